"""Settings of the response cache: fields, arguments, environment and command line."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from madspark import LLMConfig, LLMRouter
from madspark.cli.main import main
from madspark.llm import cache

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWORD = "the-password"  # noqa: S105  # a made-up one


def test_the_defaults_match_the_contract() -> None:
    config = LLMConfig()
    defaults = (
        config.cache_enabled,
        config.cache_ttl_seconds,
        config.cache_max_size_mb,
        config.cache_dir,
        config.cache_url,
    )
    assert defaults == (True, 86400, 1000, "~/.cache/madspark/llm", None)
    assert type(config.cache_ttl_seconds) is int


def test_the_order_of_the_fields_matches_the_contract() -> None:
    config = LLMConfig(
        "auto", "fast", True, "http://h", "a", "b", 1.0, None, "g", 0.5, False, 60, 5, "/srv/c", cache_url="redis://h"
    )
    assert (config.cache_enabled, config.cache_ttl_seconds, config.cache_max_size_mb) == (False, 60, 5)
    assert (config.cache_dir, config.cache_url) == ("/srv/c", "redis://h")
    for method in (LLMRouter.generate_structured, LLMRouter.generate_structured_batch):
        parameters = inspect.signature(method).parameters.values()
        names = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
        assert names[-3:] == ["force_provider", "use_cache", "token_budget"]
    assert list(inspect.signature(LLMRouter).parameters)[:4] == [
        "primary_provider",
        "fallback_enabled",
        "cache_enabled",
        "config",
    ]


def test_a_configuration_with_a_cache_has_value_semantics() -> None:
    config = LLMConfig(cache_dir=Path("/srv/c"), cache_ttl_seconds=0.5, cache_url=f"rediss://u:{PASSWORD}@h:1/2")
    assert config.cache_dir == "/srv/c"
    assert config.cache_ttl_seconds == 0.5
    same = pickle.loads(pickle.dumps(config))  # noqa: S301  # our own
    assert same == config
    assert hash(same) == hash(config)
    assert config.replace(cache_enabled=False) != config
    assert config.replace(cache_url=None) != config


def test_the_password_of_the_server_is_hidden() -> None:
    config = LLMConfig(cache_url=f"redis://:{PASSWORD}@cache:6380/2")
    assert PASSWORD not in repr(config)
    assert "@cache:6380/2" in repr(config)
    with pytest.raises(ValueError, match="cache_url") as raised:
        LLMConfig(cache_url=f"http://:{PASSWORD}@cache")
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cache_ttl_seconds": 0},
        {"cache_ttl_seconds": -1},
        {"cache_ttl_seconds": float("nan")},
        {"cache_ttl_seconds": 1e300},
        {"cache_max_size_mb": 0},
        {"cache_max_size_mb": -1},
        {"cache_max_size_mb": 2**62},
        {"cache_dir": ""},
        {"cache_dir": "a\0b"},
        {"cache_url": "cache:6379"},
        {"cache_url": "redis://"},
        {"cache_url": "redis://cache/name"},
    ],
    ids=str,
)
def test_invalid_settings_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LLMConfig(**wrong)


def test_the_environment_configures_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADSPARK_CACHE_ENABLED", "false")
    monkeypatch.setenv("MADSPARK_CACHE_TTL", "60")
    monkeypatch.setenv("MADSPARK_CACHE_MAX_SIZE_MB", "7")
    monkeypatch.setenv("MADSPARK_CACHE_DIR", "/srv/of-the-environment")
    monkeypatch.setenv("MADSPARK_CACHE_URL", "redis://h/1")
    config = LLMConfig.from_env()
    assert (config.cache_enabled, config.cache_ttl_seconds, config.cache_max_size_mb) == (False, 60, 7)
    assert (config.cache_dir, config.cache_url) == ("/srv/of-the-environment", "redis://h/1")


@pytest.mark.cache
def test_an_argument_overrides_the_configuration() -> None:
    assert LLMRouter(config=LLMConfig()).cache_enabled
    assert not LLMRouter(config=LLMConfig(cache_enabled=False)).cache_enabled
    assert LLMRouter(cache_enabled=True, config=LLMConfig(cache_enabled=False)).cache_enabled
    assert not LLMRouter(None, None, False, LLMConfig()).cache_enabled
    assert "cache_enabled=False" in repr(LLMRouter(None, None, False, LLMConfig()))


def test_the_health_of_the_cache_is_reported(madspark_router: Callable[..., LLMRouter], tmp_path: Path) -> None:
    assert madspark_router().health_status()["cache"] == {"enabled": False, "stats": None}
    folder = tmp_path / "cache"
    found = madspark_router(cache_enabled=True, cache_dir=folder).health_status()["cache"]
    assert found["enabled"]
    assert found["stats"] is not None
    assert set(found["stats"]) == set(cache.CacheStats.__annotations__)
    assert (found["stats"]["disk_entries"], found["stats"]["dir"]) == (0, str(folder))
    assert not folder.exists(), "reading the status creates nothing"


async def test_coroutines_report_the_health_of_the_cache(
    madspark_router: Callable[..., LLMRouter], tmp_path: Path
) -> None:
    found = await madspark_router(cache_enabled=True, cache_dir=tmp_path / "cache").ahealth_status()
    assert found["cache"]["stats"] is not None
    assert found["cache"]["stats"]["disk_entries"] == 0


def test_an_empty_cache_has_statistics_and_can_be_cleared(tmp_path: Path) -> None:
    config = LLMConfig(cache_dir=tmp_path / "cache")
    assert cache.stats(config)["disk_entries"] == 0
    assert cache.clear(config) == 0


def test_the_command_prints_the_contents_of_the_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "stats", "--cache-dir", str(tmp_path / "cache")]) == 0
    out = capsys.readouterr().out
    assert str(tmp_path / "cache") in out
    assert "holds   0 answers, 0.0 MB of 1000 MB" in out
    assert main(["cache", "clear", "--cache-dir", str(tmp_path / "cache")]) == 0
    assert capsys.readouterr().out == "removed 0 answers\n"


def test_the_command_uses_the_cache_of_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADSPARK_CACHE_DIR", str(tmp_path / "of the environment"))
    monkeypatch.setenv("MADSPARK_CACHE_URL", f"redis://:{PASSWORD}@127.0.0.1:1")
    assert main(["cache", "stats"]) == 0
    out = capsys.readouterr().out
    assert "of the environment" in out
    assert "127.0.0.1:1" in out
    assert PASSWORD not in out


def test_the_command_reports_an_unusable_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "answers.sqlite3").mkdir()
    (tmp_path / "folder" / "answers.damaged").mkdir()
    (tmp_path / "folder" / "answers.damaged" / "full").mkdir()
    assert main(["cache", "stats", "--cache-dir", str(tmp_path / "folder")]) == 1
    assert "cannot be used" in capsys.readouterr().out
    assert main(["cache", "clear", "--cache-dir", str(tmp_path / "folder")]) == 1
    assert "could not be cleared" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["cache"], ["cache", "fill"], ["cache", "stats", "--cache-dir", " "]], ids=str)
def test_an_invalid_command_line_is_rejected(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "madspark cache" in capsys.readouterr().err
