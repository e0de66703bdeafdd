"""Arguments that change the cache key, and processes that share one cache folder."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import LLMConfig, LLMRouter
from madspark.llm import cache
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from madspark.testing import Simulator

pytestmark = pytest.mark.cache


class Answer(BaseModel):
    name: str


class Longer(BaseModel):
    name: str
    reason: str


@pytest.fixture
def make(madspark_router: Callable[..., LLMRouter], tmp_path: Path) -> Callable[..., LLMRouter]:
    """Makes routers that share the cache of the test."""

    def router(**choices: Any) -> LLMRouter:
        settings = {
            "cache_enabled": True,
            "cache_dir": tmp_path / "cache",
            "primary_provider": "ollama",
            "default_temperature": 0.0,
        }
        return madspark_router(**{**settings, **choices})

    return router


@pytest.mark.parametrize(
    "other",
    [
        {"ollama_model_balanced": "another"},
        {"model_tier": "fast"},
        {"ollama_num_ctx": 4096},
        {"primary_provider": "gemini"},
    ],
    ids=str,
)
def test_each_model_has_its_own_answers(
    other: dict[str, Any], make: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    make().generate("q")
    assert not make(**other).generate("q")[1].cached
    assert len(model_requests(madspark_simulator)) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "another"},
        {"system_instruction": "Be brief."},
        {"temperature": 0.3},
        {"token_budget": 50},
        {"schema": Longer},
        {"images": [b"\x89PNG\r\n\x1a\n" + b"\0" * 32]},
        {"files": [b"some text"]},
    ],
    ids=lambda other: next(iter(other)),
)
def test_each_argument_changes_the_key(
    other: dict[str, Any], make: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = make()
    arguments: dict[str, Any] = {"prompt": "q", "schema": Answer, "use_cache": True}
    router.generate_structured(**arguments)
    assert not router.generate_structured(**{**arguments, **other})[1].cached
    assert router.generate_structured(**{**arguments, **other})[1].cached
    assert len(model_requests(madspark_simulator)) == 2


_ASK = """
import sys
from madspark import LLMConfig, LLMRouter
router = LLMRouter("ollama", False, config=LLMConfig(ollama_host=sys.argv[1], cache_dir=sys.argv[2]))
for turn in range(30):
    question = f"question {(turn + int(sys.argv[3]) * 4) % 30}"
    text, _ = router.generate(question, temperature=0.0)
    assert text
    print(question, "|", text.replace("\\n", " "))
"""


def test_eight_processes_share_one_folder(madspark_simulator: Simulator, tmp_path: Path) -> None:
    arguments = [madspark_simulator.ollama_url, str(tmp_path / "cache")]
    children = [
        subprocess.Popen(  # noqa: S603  # a constant
            [sys.executable, "-c", _ASK, *arguments, str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={"HOME": os.environ["HOME"]},
        )
        for number in range(8)
    ]
    answers: dict[str, set[str]] = {}
    for child in children:
        out, err = child.communicate(timeout=120)
        assert (child.returncode, err) == (0, "")
        for line in out.splitlines():
            question, _, text = line.partition(" | ")
            answers.setdefault(question, set()).add(text)
    assert len(answers) == 30
    assert cache.stats(LLMConfig(cache_dir=tmp_path / "cache"))["disk_entries"] == 30
