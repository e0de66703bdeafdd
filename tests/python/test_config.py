"""LLMConfig: names and defaults, immutability, validation, environment variables."""

from __future__ import annotations

import copy
import os
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import AnyUrl, HttpUrl, RedisDsn, Secret, SecretBytes, SecretStr

from madspark import InvalidSettingsError, Limits, LLMConfig, LLMRouter, ModelTier
from madspark.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import TierName
    from madspark.testing import Simulator

KEY = "AIza-recognisable-key-0123456789"

DEFAULTS: dict[str, object] = {
    "default_provider": "auto",
    "model_tier": ModelTier.BALANCED,
    "fallback_enabled": True,
    "ollama_host": "http://localhost:11434",
    "ollama_model_fast": "gemma3:4b",
    "ollama_model_balanced": "gemma3:12b",
    "ollama_timeout": 600.0,
    "gemini_api_key": None,
    "gemini_model": "gemini-3-flash-preview",
    "default_temperature": 0.7,
    "gemini_base_url": "https://generativelanguage.googleapis.com/v1beta",
    "openai_api_key": None,
    "openai_model": None,
    "openai_base_url": "https://api.openai.com/v1",
    "ollama_num_ctx": None,
    "ollama_keep_alive": None,
    "ollama_load_timeout": 600.0,
    "gemini_thinking_budget": None,
    "gemini_thinking_level": None,
    "limits": {},
    "prices": {},
    "page_hosts": (),
    "request_timeout": 600.0,
    "max_prompt_chars": None,
    "ollama_think": None,
    "ollama_api_key": None,
    "openai_reasoning_effort": None,
    "openai_service_tier": None,
    "openai_key_header": None,
    "anthropic_effort": None,
    "openai_api": "chat",
}

OTHERS: dict[str, object] = {
    "default_provider": "gemini",
    "model_tier": ModelTier.FAST,
    "fallback_enabled": False,
    "ollama_host": "http://box:1",
    "ollama_model_fast": "small",
    "ollama_model_balanced": "large",
    "ollama_timeout": 1.5,
    "gemini_api_key": KEY,
    "gemini_model": "gemini-x",
    "default_temperature": 0.0,
    "gemini_base_url": "http://box:2/v1",
    "openai_api_key": "sk-" + KEY,
    "openai_model": "gpt-x",
    "openai_base_url": "http://box:3/v1",
    "ollama_num_ctx": 8192,
    "ollama_keep_alive": "1h30m",
    "ollama_load_timeout": 30.0,
    "gemini_thinking_budget": None,
    "gemini_thinking_level": "low",
    "limits": {"gemini": Limits(requests_per_minute=10), "ollama": Limits(concurrent=1)},
    "prices": {"gemini-x": (0.5, 0.05, 3.0)},
    "page_hosts": ("intranet:8080",),
    "request_timeout": 30.0,
    "max_prompt_chars": 500_000,
    "ollama_think": "low",
    "ollama_api_key": "ollama-" + KEY,
    "openai_reasoning_effort": "minimal",
    "openai_service_tier": "flex",
    "openai_key_header": "api-key",
    "anthropic_effort": "xhigh",
    "openai_api": "responses",
}

VARIABLES: dict[str, tuple[str, str, object]] = {
    "MADSPARK_LLM_PROVIDER": ("default_provider", " Gemini ", "gemini"),
    "MADSPARK_MODEL_TIER": ("model_tier", "QUALITY", ModelTier.QUALITY),
    "MADSPARK_FALLBACK_ENABLED": ("fallback_enabled", "off", False),
    "OLLAMA_HOST": ("ollama_host", "box:11434", "http://box:11434"),
    "OLLAMA_MODEL_FAST": ("ollama_model_fast", "small", "small"),
    "OLLAMA_MODEL_BALANCED": ("ollama_model_balanced", "large", "large"),
    "OLLAMA_REQUEST_TIMEOUT": ("ollama_timeout", "2.5", 2.5),
    "OLLAMA_API_KEY": ("ollama_api_key", KEY, KEY),
    "MADSPARK_REQUEST_TIMEOUT": ("request_timeout", "2.5", 2.5),
    "MADSPARK_MAX_PROMPT_CHARS": ("max_prompt_chars", "5000", 5000),
    "GOOGLE_API_KEY": ("gemini_api_key", KEY, KEY),
    "GOOGLE_GENAI_MODEL": ("gemini_model", "gemini-x", "gemini-x"),
    "GEMINI_BASE_URL": ("gemini_base_url", "http://box/v1", "http://box/v1"),
    "OPENAI_API_KEY": ("openai_api_key", KEY, KEY),
    "OPENAI_MODEL": ("openai_model", "gpt-x", "gpt-x"),
    "OPENAI_BASE_URL": ("openai_base_url", "https://box/v1", "https://box/v1"),
    "MADSPARK_OPENAI_API": ("openai_api", "Responses", "responses"),
    "MADSPARK_OLLAMA_LOAD_TIMEOUT": ("ollama_load_timeout", "2.5", 2.5),
    "MADSPARK_OLLAMA_NUM_CTX": ("ollama_num_ctx", "8192", 8192),
    "MADSPARK_OLLAMA_KEEP_ALIVE": ("ollama_keep_alive", "1h30m", "1h30m"),
    "MADSPARK_OLLAMA_THINK": ("ollama_think", "Low", "low"),
    "MADSPARK_GEMINI_THINKING_LEVEL": ("gemini_thinking_level", "low", "low"),
    "MADSPARK_GEMINI_THINKING_BUDGET": ("gemini_thinking_budget", "-1", -1),
    "MADSPARK_OPENAI_REASONING_EFFORT": ("openai_reasoning_effort", "minimal", "minimal"),
    "MADSPARK_OPENAI_SERVICE_TIER": ("openai_service_tier", "flex", "flex"),
    "MADSPARK_OPENAI_KEY_HEADER": ("openai_key_header", "api-key", "api-key"),
    "MADSPARK_ANTHROPIC_EFFORT": ("anthropic_effort", "xhigh", "xhigh"),
    "MADSPARK_DEFAULT_TEMPERATURE": ("default_temperature", "0.2", 0.2),
    "MADSPARK_PAGE_HOSTS": ("page_hosts", "intranet:8080, wiki:443", ("intranet:8080", "wiki:443")),
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def fields(config: LLMConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in DEFAULTS}


def test_defaults_do_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (_, value, _) in VARIABLES.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert fields(LLMConfig()) == DEFAULTS
    assert dict(os.environ) == before


def test_every_field_is_a_keyword_and_the_first_ten_are_positional() -> None:
    assert fields(LLMConfig(**OTHERS)) == OTHERS  # type: ignore[arg-type]  # a dictionary of mixed values
    first: list[Any] = list(OTHERS.values())[:10]
    assert fields(LLMConfig(*first)) == {**DEFAULTS, **dict(list(OTHERS.items())[:10])}
    with pytest.raises(TypeError):
        LLMConfig(*first, "http://box")  # type: ignore[call-arg]


def test_the_key_of_gemini_has_two_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    assert LLMConfig.from_env().gemini_api_key == KEY
    monkeypatch.setenv("GOOGLE_API_KEY", "other")
    assert LLMConfig.from_env().gemini_api_key == "other"


@pytest.mark.parametrize("name", DEFAULTS)
def test_fields_are_read_only(name: str) -> None:
    config = LLMConfig()
    with pytest.raises(AttributeError):
        setattr(config, name, OTHERS[name])
    with pytest.raises(AttributeError):
        delattr(config, name)
    assert fields(config) == DEFAULTS
    with pytest.raises(AttributeError):
        config.no_such_field = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", DEFAULTS)
def test_replace_changes_one_field_in_a_copy(name: str) -> None:
    config = LLMConfig()
    other = 128 if name == "gemini_thinking_budget" else OTHERS[name]
    changed = config.replace(**{name: other})
    assert fields(changed) == {**DEFAULTS, name: other}
    assert fields(config) == DEFAULTS
    assert changed != config
    assert fields(changed.replace(**{name: DEFAULTS[name]})) == DEFAULTS


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ollama_modle_fast", "did you mean 'ollama_model_fast'?"),
        ("cache", "did you mean 'cache_dir'?"),
        ("temperature", "did you mean 'default_temperature'?"),
        ("tea", "the fields are default_provider, model_tier, "),
    ],
)
def test_an_unknown_field_is_answered_with_the_nearest_one(name: str, hint: str) -> None:
    value: Any = {name: "a-secret-value"}
    for build in (LLMConfig, LLMConfig().replace):
        with pytest.raises(TypeError, match=re.escape(f"unknown field '{name}': {hint}")) as raised:
            build(**value)
        assert "a-secret-value" not in str(raised.value)


BAD_VALUES: list[tuple[str, Any]] = [
    ("default_provider", "claude"),
    ("default_provider", ""),
    ("model_tier", "best"),
    ("ollama_host", "box:port"),
    ("ollama_host", "ftp://box"),
    ("ollama_host", ""),
    ("gemini_base_url", "http://"),
    ("openai_base_url", "box/v1"),
    ("ollama_model_fast", " "),
    ("ollama_model_balanced", ""),
    ("gemini_model", ""),
    ("openai_model", ""),
    ("ollama_timeout", 0.0),
    ("ollama_timeout", -1.0),
    ("ollama_timeout", float("nan")),
    ("ollama_timeout", float("inf")),
    ("ollama_timeout", 1e300),
    ("default_temperature", -0.1),
    ("default_temperature", 2.1),
    ("default_temperature", float("nan")),
    ("ollama_timeout", 10**400),
    ("default_temperature", -(10**400)),
    ("ollama_num_ctx", 0),
    ("ollama_num_ctx", -1),
    ("ollama_num_ctx", 2**32),
    ("ollama_num_ctx", 2**64),
    ("ollama_keep_alive", 10**400),
    ("ollama_load_timeout", 10**400),
    ("ollama_keep_alive", "forever"),
    ("ollama_keep_alive", "10"),
    ("ollama_keep_alive", ""),
    ("ollama_keep_alive", float("inf")),
    ("ollama_keep_alive", float("nan")),
    ("ollama_load_timeout", 0.0),
    ("ollama_load_timeout", float("inf")),
    ("gemini_thinking_budget", -2),
    ("gemini_thinking_budget", 2**31),
    ("gemini_thinking_budget", -(2**64)),
    ("gemini_thinking_level", "much"),
    ("gemini_thinking_level", ""),
    ("request_timeout", 0.0),
    ("request_timeout", float("nan")),
    ("max_prompt_chars", 0),
    ("ollama_think", "true"),
    ("ollama_think", "much"),
    ("openai_reasoning_effort", "much"),
    ("openai_service_tier", " "),
    ("openai_key_header", "api key"),
    ("anthropic_effort", "much"),
    ("openai_api", "completions"),
    ("anthropic_effort", "none"),
    ("limits", {"claude": Limits()}),
    ("prices", {"gemini-x": (1.0,)}),
    ("prices", {"gemini-x": 1.0}),
    ("prices", {"gemini-x": (1.0, -1.0)}),
    ("prices", {"gemini-x": (1.0, 10**400)}),
    ("prices", {"gemini-x": (1.0, float("nan"), 1.0)}),
    ("prices", {" ": (1.0, 1.0)}),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_an_invalid_value_is_rejected_at_construction(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name.removeprefix("default_").replace("model_tier", "tier")):
        LLMConfig(**{name: value})
    with pytest.raises(ValueError):  # noqa: PT011  # the message is matched above
        LLMConfig().replace(**{name: value})


def test_thinking_budget_and_level_are_mutually_exclusive() -> None:
    with pytest.raises(ValueError, match="gemini_thinking_budget and gemini_thinking_level"):
        LLMConfig(gemini_thinking_budget=0, gemini_thinking_level="low")
    level = LLMConfig(gemini_thinking_level="low")
    with pytest.raises(ValueError, match="exclude each other"):
        level.replace(gemini_thinking_budget=0)
    budget = level.replace(gemini_thinking_budget=0, gemini_thinking_level=None)
    assert (budget.gemini_thinking_budget, budget.gemini_thinking_level) == (0, None)


@pytest.mark.parametrize("value", [0, -1, 300, 0.5, "-1s", "0", "1.5h"])
def test_a_keep_alive_is_seconds_or_a_duration(value: str | float) -> None:
    config = LLMConfig(ollama_keep_alive=value)
    assert config.ollama_keep_alive == value
    assert f"ollama_keep_alive={value!r}" in repr(config)


@pytest.mark.parametrize(("name", "value"), [("limits", {"gemini": 5}), ("limits", 5), ("ollama_keep_alive", [])])
def test_a_wrong_type_is_a_type_error(name: str, value: Any) -> None:
    with pytest.raises(TypeError):
        LLMConfig(**{name: value})


def test_limits_are_values() -> None:
    limits = Limits(concurrent=2, requests_per_minute=60, tokens_per_minute=2**40)
    assert (limits.concurrent, limits.requests_per_minute, limits.tokens_per_minute) == (2, 60, 2**40)
    assert (Limits().concurrent, Limits().requests_per_minute, Limits().tokens_per_minute) == (None, None, None)
    assert repr(Limits()) == "Limits()"
    assert eval(repr(limits)) == limits  # noqa: S307  # the repr of the object
    for twin in (copy.deepcopy(limits), pickle.loads(pickle.dumps(limits))):  # noqa: S301  # trusted bytes
        assert twin == limits
        assert hash(twin) == hash(limits)
    assert limits != Limits(concurrent=2)
    with pytest.raises(AttributeError):
        limits.concurrent = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limits(2)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["concurrent", "requests_per_minute", "tokens_per_minute"])
@pytest.mark.parametrize("value", [0, -1, 2**64, -(2**64)])
def test_an_invalid_limit_is_rejected(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})


def test_a_price_of_two_numbers_bills_cached_tokens_in_full() -> None:
    assert LLMConfig(prices={"m": (1, 2.5)}).prices == {"m": (1.0, 1.0, 2.5)}


def test_the_mappings_of_a_configuration_are_copies() -> None:
    given = {"ollama": Limits(concurrent=1)}
    config = LLMConfig(limits=given, prices={"m": (1.0, 2.0)})
    given["gemini"] = Limits(concurrent=2)
    assert config.limits == {"ollama": Limits(concurrent=1)}
    with pytest.raises(TypeError):
        config.limits["gemini"] = Limits()  # type: ignore[index]
    with pytest.raises(TypeError):
        config.prices["m"] = (0.0, 0.0, 0.0)  # type: ignore[index]


def test_a_password_in_a_base_url_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="ollama_host") as caught:
        LLMConfig(ollama_host="ftp://user:hunter2@box")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("variable", VARIABLES)
def test_only_from_env_reads_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, text, expected = VARIABLES[variable]
    monkeypatch.setenv(variable, text)
    before = dict(os.environ)
    assert fields(LLMConfig.from_env()) == {**DEFAULTS, name: expected}
    assert fields(LLMRouter().config) == {**DEFAULTS, name: expected}
    assert fields(LLMConfig()) == DEFAULTS
    assert dict(os.environ) == before
    monkeypatch.setenv(variable, "  ")
    assert fields(LLMConfig.from_env()) == DEFAULTS


MALFORMED = [
    ("MADSPARK_LLM_PROVIDER", "olama", "auto, ollama, gemini, openai, anthropic or mock; did you mean ollama?"),
    ("MADSPARK_LLM_PROVIDER", "sk-pasted-here", "auto, ollama, gemini, openai, anthropic or mock"),
    ("MADSPARK_MODEL_TIER", "Qualtiy", "fast, balanced or quality; did you mean quality?"),
    ("MADSPARK_OPENAI_API", "completions", "chat or responses"),
    ("MADSPARK_FALLBACK_ENABLED", "sk-pasted-here", "true or false"),
    ("MADSPARK_OLLAMA_THINK", "sk-pasted-here", "false, true, low, medium, high or max"),
    ("OLLAMA_REQUEST_TIMEOUT", "sk-pasted-here", "a positive number of seconds"),
    ("OLLAMA_REQUEST_TIMEOUT", "1e300", "a positive number of seconds"),
    ("OLLAMA_REQUEST_TIMEOUT", "0", "a positive number of seconds"),
    ("MADSPARK_DEFAULT_TEMPERATURE", "2.5", "a number from 0.0 to 2.0, or none"),
    ("MADSPARK_PAGE_HOSTS", "sk-pasted-here", "a list of hosts with ports"),
    ("MADSPARK_CACHE_URL", "http://:sk-pasted-here@h", "a URL such as redis://host:port/0"),
    # Invalid UTF-8.
    ("GOOGLE_GENAI_MODEL", "sk-pasted-here\udcff", "UTF-8 text"),
    ("GOOGLE_API_KEY", "sk-pasted-here\udcff", "UTF-8 text"),
]


@pytest.mark.parametrize(("variable", "text", "expected"), MALFORMED)
def test_a_malformed_variable_is_an_error_that_says_what_it_must_be(
    variable: str, text: str, expected: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(variable, text)
    for construct in (LLMConfig.from_env, LLMRouter):
        with pytest.raises(ValueError, match=variable) as caught:
            construct()
        assert isinstance(caught.value, InvalidSettingsError)
        assert caught.value.variables == (variable,)
        assert expected in str(caught.value)
        assert "sk-pasted-here" not in str(caught.value)
    assert caplog.records == []


def test_all_malformed_variables_are_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADSPARK_LLM_PROVIDER", "gemni")
    monkeypatch.setenv("OLLAMA_HOST", "ftp://box")
    monkeypatch.setenv("MADSPARK_CACHE_TTL", "soon")
    with pytest.raises(InvalidSettingsError) as caught:
        LLMConfig.from_env()
    assert caught.value.variables == ("MADSPARK_LLM_PROVIDER", "OLLAMA_HOST", "MADSPARK_CACHE_TTL")
    message = str(caught.value)
    assert message.startswith("3 environment variables are malformed: MADSPARK_LLM_PROVIDER must be auto")
    assert "did you mean gemini?" in message
    assert "MADSPARK_CACHE_TTL must be a positive number of seconds" in message


def test_a_malformed_variable_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, madspark_simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", madspark_simulator.ollama_url)
    monkeypatch.setenv("MADSPARK_LLM_PROVIDER", "olama")
    assert main(["food from city roofs"]) == 2
    assert "MADSPARK_LLM_PROVIDER must be auto, ollama" in capsys.readouterr().err
    assert madspark_simulator.requests == []


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OLLAMA_HOST", "http://sk-pasted-here:port"),
        ("OLLAMA_HOST", "ftp://sk-pasted-here"),
        ("GEMINI_BASE_URL", "sk-pasted-here"),
        ("OPENAI_BASE_URL", "ftp://sk-pasted-here"),
        ("OPENAI_BASE_URL", "sk-pasted-here:8000/v1"),
        ("ANTHROPIC_BASE_URL", "sk-pasted-here"),
        ("OPENAI_BASE_URL", "http://sk-pasted-here\udcff"),
    ],
)
def test_a_malformed_address_is_an_error_and_no_default_takes_its_place(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    for construct in (LLMConfig.from_env, LLMRouter):
        with pytest.raises(ValueError, match=variable) as caught:
            construct()
        assert "sk-pasted-here" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("gpu-box", "http://gpu-box:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),  # noqa: S104  (an address to connect to)
        (":11435", "http://localhost:11435"),
        ("::1", "http://[::1]:11434"),
        ("[::]:11434", "http://localhost:11434"),
        ("'gpu-box:1'", "http://gpu-box:1"),
        ("https://gpu-box/ollama", "https://gpu-box/ollama"),
    ],
)
def test_the_address_of_ollama_follows_its_own_rules(text: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", text)
    assert LLMConfig.from_env().ollama_host == url
    assert LLMConfig(ollama_host=text).ollama_host == url
    assert LLMConfig().replace(ollama_host=text).ollama_host == url


def test_the_scheme_of_an_address_of_this_machine_is_optional() -> None:
    config = LLMConfig(
        openai_base_url="localhost:8000/v1", anthropic_base_url="127.0.0.1:1/v1", gemini_base_url="[::1]:2"
    )
    assert config.openai_base_url == "http://localhost:8000/v1"
    assert config.anthropic_base_url == "http://127.0.0.1:1/v1"
    assert config.gemini_base_url == "http://[::1]:2"


@pytest.mark.parametrize("text", ["none", "None"])
def test_no_temperature_is_a_default(
    text: str, monkeypatch: pytest.MonkeyPatch, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    monkeypatch.setenv("MADSPARK_DEFAULT_TEMPERATURE", text)
    assert LLMConfig.from_env().default_temperature is None
    config = LLMConfig(default_temperature=None)
    assert config.default_temperature is None
    assert config.replace(model_tier="fast").default_temperature is None
    assert config.replace(default_temperature=0.5).default_temperature == 0.5
    assert config != LLMConfig()
    router = madspark_router(primary_provider="ollama", default_temperature=None)
    router.generate("Hello")
    router.generate_structured("Hello", {"type": "object"}, temperature="default")
    assert "".join(router.stream("Hello"))
    assert ["temperature" in request.json["options"] for request in madspark_simulator.requests] == [False] * 3
    madspark_router(primary_provider="ollama").generate("Hello")
    assert madspark_simulator.requests[-1].json["options"]["temperature"] == 0.7


@pytest.mark.parametrize(("text", "expected"), [("1", True), ("YES", True), ("0", False), ("False", False)])
def test_boolean_variables(text: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADSPARK_FALLBACK_ENABLED", text)
    assert LLMConfig.from_env().fallback_enabled is expected


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda config: pickle.loads(pickle.dumps(config))])  # noqa: S301  # trusted bytes
@pytest.mark.parametrize("values", [DEFAULTS, OTHERS])
def test_copies_are_equal(values: dict[str, Any], duplicate: Callable[[LLMConfig], LLMConfig]) -> None:
    config = LLMConfig(**values)
    twin = duplicate(config)
    assert fields(twin) == values
    assert twin == config
    assert hash(twin) == hash(config)
    assert {config: 1}[twin] == 1


def test_configurations_differ_by_any_field() -> None:
    others = {**OTHERS, "gemini_thinking_budget": 128}
    one_changed = [LLMConfig(**{name: value}) for name, value in others.items()]  # type: ignore[arg-type]
    assert len({LLMConfig(), *one_changed}) == len(OTHERS) + 1
    assert LLMConfig() != "config"
    assert LLMConfig() is not None


SECRETS = ["gemini_api_key", "openai_api_key", "anthropic_api_key", "ollama_api_key"]
ADDRESSES = ["ollama_host", "gemini_base_url", "openai_base_url", "anthropic_base_url"]


class OwnSecret:
    """A secret of a caller's own class."""

    def get_secret_value(self) -> str:
        return KEY


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "secret",
    [SecretStr(KEY), SecretBytes(KEY.encode()), Secret[str](KEY), OwnSecret()],
    ids=lambda it: type(it).__name__,
)
def test_a_key_may_be_a_secret_object(name: str, secret: Any) -> None:
    config = LLMConfig(**{name: secret})
    assert getattr(config, name) == KEY
    assert config == LLMConfig(**{name: KEY})  # type: ignore[arg-type]  # one of four names
    assert LLMConfig().replace(**{name: secret}) == config
    for twin in (config, copy.deepcopy(config), pickle.loads(pickle.dumps(config))):  # noqa: S301  # trusted bytes
        assert getattr(twin, name) == KEY
        assert KEY not in f"{twin!r} {twin} {LLMRouter(config=twin)!r}"
    assert getattr(LLMConfig().replace(**{name: SecretStr(" ")}), name) is None


def test_a_key_of_a_secret_object_is_sent(madspark_simulator: Simulator) -> None:
    config = LLMConfig(
        openai_api_key=SecretStr(KEY), openai_base_url=AnyUrl(madspark_simulator.openai_url), openai_model="m"
    )
    LLMRouter("openai", fallback_enabled=False, config=config, cache_enabled=False).generate("Hello")
    assert [request.headers["authorization"] for request in madspark_simulator.requests] == [f"Bearer {KEY}"]


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("wrap", [str, SecretStr, AnyUrl, HttpUrl, lambda url: Secret[HttpUrl](HttpUrl(url))])
def test_an_address_may_be_a_url_or_a_secret(name: str, wrap: Callable[[str], Any]) -> None:
    url = "https://user:hunter2@box:8080/v1"
    config = LLMConfig(**{name: wrap(url)})
    assert getattr(config, name) == url
    assert LLMConfig().replace(**{name: wrap(url)}) == config
    assert "hunter2" not in repr(config)


def test_the_address_of_the_shared_cache_may_be_a_url_or_a_secret() -> None:
    url = "redis://:hunter2@box:6379/0"
    for value in (url, SecretStr(url), RedisDsn(url)):
        config = LLMConfig(cache_url=value)
        assert config.cache_url == url
        assert "hunter2" not in repr(config)
    assert LLMConfig(cache_url=SecretStr("")).cache_url is None


def test_a_wrong_secret_is_not_repeated() -> None:
    wrong: list[Any] = [SecretBytes(b"hunter2\xff"), Secret[list[str]](["hunter2"]), ["hunter2"], b"hunter2"]
    for value in wrong:
        for name in (*SECRETS, *ADDRESSES, "cache_url"):
            with pytest.raises((TypeError, ValueError), match=r"secret|it must be a str") as caught:
                LLMConfig(**{name: value})
            assert "hunter2" not in str(caught.value)


def test_keys_are_not_printed() -> None:
    config = LLMConfig(**OTHERS)  # type: ignore[arg-type]
    assert KEY not in f"{config!r} {config} {LLMRouter(config=config)!r}"
    assert "gemini_api_key='***'" in repr(config)
    assert "gemini_api_key=None" in repr(LLMConfig())
    assert "ollama_host='http://user:***@box:1/'" in repr(LLMConfig(ollama_host="http://user:hunter2@box:1"))
    assert "ollama_host='http://user@box:1'" in repr(LLMConfig(ollama_host="http://user@box:1"))
    assert config.gemini_api_key == KEY


@pytest.mark.parametrize("tier", [*ModelTier, *(tier.value for tier in ModelTier)])
def test_a_tier_is_a_member_or_its_name(tier: ModelTier | TierName) -> None:
    config = LLMConfig(model_tier=tier)
    assert config.model_tier is ModelTier(tier)
    assert config.get_ollama_model() == ("gemma3:4b" if tier == "fast" else "gemma3:12b")
    assert LLMRouter(config=LLMConfig(), model_tier=tier).model_tier is ModelTier(tier)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, False),
        ("", False),
        ("   ", False),
        ("nineteen-characters", False),
        ("twenty-characters-xy", True),
        (KEY, True),
        (f"  {KEY}\n", True),
        ("YOUR_API_KEY_HERE_0123456789", False),
        ("your-api-key-goes-here-please", False),
    ],
)
def test_a_plausible_key(key: str | None, expected: bool) -> None:
    assert LLMConfig(gemini_api_key=key).validate_api_key() is expected


def test_arguments_precede_the_config_and_the_config_precedes_the_environment(
    monkeypatch: pytest.MonkeyPatch, madspark_simulator: Simulator
) -> None:
    monkeypatch.setenv("MADSPARK_LLM_PROVIDER", "openai")
    monkeypatch.setenv("MADSPARK_MODEL_TIER", "quality")
    monkeypatch.setenv("MADSPARK_FALLBACK_ENABLED", "true")
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_MODEL_FAST", "of-the-environment")
    config = LLMConfig("gemini", "balanced", False, madspark_simulator.ollama_url)
    by_config = LLMRouter(config=config)
    assert (by_config.primary_provider, by_config.model_tier, by_config.fallback_enabled) == (
        "gemini",
        "balanced",
        False,
    )
    by_argument = LLMRouter("ollama", True, config=config, model_tier="fast")
    assert (by_argument.primary_provider, by_argument.model_tier, by_argument.fallback_enabled) == (
        "ollama",
        "fast",
        True,
    )
    by_argument.generate("hello")
    assert [(request.provider, request.model) for request in madspark_simulator.requests] == [("ollama", "gemma3:4b")]
    assert LLMRouter().primary_provider == "openai"
