"""Errors map to HTTP: every class has a status and a code, and problem details hold no secret."""

from __future__ import annotations

import asyncio
import copy
import importlib
import json
import pickle
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import madspark
from madspark import (
    AsyncCoordinator,
    Budget,
    LLMConfig,
    LLMRouter,
    MadsparkError,
)
from madspark.llm import exceptions as errors
from madspark.llm.response import Attempt
from madspark.utils.temperature_control import TemperatureManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
KEY = "simulator-key-of-no-worth"


def every_class() -> list[type[MadsparkError]]:
    """Every error class of the package, also those that a module other than `exceptions` defines."""
    for module in pkgutil.walk_packages(madspark.__path__, "madspark."):
        if module.name.startswith(("madspark.core", "madspark.llm", "madspark.agents", "madspark.utils")):
            importlib.import_module(module.name)

    def below(cls: type[MadsparkError]) -> Iterator[type[MadsparkError]]:
        yield cls
        for child in cls.__subclasses__():
            yield from below(child)

    ours = (cls for cls in below(MadsparkError) if cls.__module__.split(".")[0] == "madspark")
    return list(dict.fromkeys(ours))


EVERY_CLASS = every_class()
SUMMARIES = [
    cls
    for cls in EVERY_CLASS
    if issubclass(cls, errors.AllProvidersFailedError) and cls.__bases__ != (errors.LLMProviderError,)
]
KINDS = [cls for cls in EVERY_CLASS if cls not in SUMMARIES]


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_every_class_has_a_code_a_status_and_a_title_of_its_own(cls: type[MadsparkError]) -> None:
    assert {"code", "http_status", "title"} <= vars(cls).keys()
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", cls.code)
    assert 400 <= cls.http_status <= 599
    assert cls.http_status not in {400, 401, 403}
    assert cls.title[0].isupper()
    assert not cls.title.endswith(".")


def test_no_two_kinds_share_a_code() -> None:
    assert len({cls.code for cls in KINDS}) == len(KINDS)


@pytest.mark.parametrize("cls", SUMMARIES)
def test_a_summary_has_the_code_and_the_status_of_its_class(cls: type[MadsparkError]) -> None:
    summary = errors.AllProvidersFailedError
    (kind,) = (base for base in cls.__bases__ if base is not summary and base not in SUMMARIES)
    assert issubclass(kind, MadsparkError)
    assert (cls.code, cls.http_status, cls.title) == (kind.code, kind.http_status, kind.title)


@pytest.mark.parametrize("cls", KINDS)
def test_the_page_lists_every_code(cls: type[MadsparkError]) -> None:
    status = "by its parts" if cls is errors.AllProvidersFailedError else str(cls.http_status)
    assert f'| <a id="{cls.code}"></a>`{cls.code}` | `{cls.__name__}` | {status} | ' in PAGE


def test_the_page_lists_no_code_that_does_not_exist() -> None:
    assert set(re.findall(r'<a id="(\w+)">', PAGE)) == {cls.code for cls in KINDS}


UNAVAILABLE, TIMEOUT = errors.ProviderUnavailableError("down"), errors.ProviderTimeoutError("slow")
LIMITED, REJECTED = errors.RateLimitError("busy", retry_after=7.0), errors.AuthorizationError("no")
REFUSED, LONG = errors.ContentRefusedError("no"), errors.ContextLengthError("long")


@pytest.mark.parametrize(
    ("failures", "status", "code"),
    [
        ([LIMITED, LIMITED], 429, "rate_limited"),
        ([TIMEOUT, TIMEOUT], 504, "provider_timeout"),
        ([TIMEOUT, UNAVAILABLE], 503, "provider_unavailable"),
        ([LIMITED, TIMEOUT], 503, "all_providers_failed"),
        ([REJECTED, LIMITED], 503, "all_providers_failed"),
        ([REJECTED, errors.SchemaValidationError("bad")], 502, "all_providers_failed"),
        ([REFUSED, LONG], 422, "all_providers_failed"),
        ([REFUSED, REJECTED], 502, "all_providers_failed"),
        ([errors.MissingKeyError("none"), REJECTED], 502, "all_providers_failed"),
        ([ValueError("of a custom router")], 502, "all_providers_failed"),
        ([], 502, "all_providers_failed"),
    ],
)
def test_several_failures_have_a_common_status(failures: list[Exception], status: int, code: str) -> None:
    by_provider = {f"target {index}": failure for index, failure in enumerate(failures)}
    summary = errors.all_failed("none", by_provider)
    assert (summary.http_status, summary.code, summary.to_problem()["status"]) == (status, code, status)
    for twin in (copy.copy(summary), copy.deepcopy(summary), pickle.loads(pickle.dumps(summary))):  # noqa: S301  # our own bytes
        assert (twin.http_status, twin.code, twin.to_problem()) == (status, code, summary.to_problem())


def test_a_provider_that_nothing_was_sent_to_does_not_count() -> None:
    skipped = Attempt("gemini", "m", ok=False, error="missing_key")
    busy = Attempt("ollama", "m", ok=False, error="rate_limited", status=429)
    summary = errors.all_failed(
        "none", {"ollama": LIMITED, "gemini": errors.MissingKeyError("none")}, attempts=[busy, skipped]
    )
    assert (type(summary), summary.http_status) == (errors.AllProvidersRateLimitedError, 429)
    plain = errors.AllProvidersFailedError(
        "none", {"ollama": REJECTED, "gemini": errors.MissingKeyError("none")}, attempts=[busy, skipped]
    )
    assert plain.http_status == 502


def test_problem_details_have_the_members_of_the_standard_and_what_is_known() -> None:
    busy = Attempt(
        "ollama", "gemma3:4b", ok=False, status=429, error="rate_limited", message="a reply", retry_after=7.0
    )
    error = errors.all_failed("none at http://10.0.0.1", {"ollama": LIMITED}, "a private prompt", attempts=[busy])
    body = error.to_problem()
    assert json.loads(json.dumps(body)) == {
        "type": "https://madspark.github.io/madspark/reference/errors/#rate_limited",
        "title": "Too many requests",
        "status": 429,
        "detail": error.explain(),
        "code": "rate_limited",
        "retry_after": 7.0,
        "attempts": [
            {"provider": "ollama", "model": "gemma3:4b", "error": "rate_limited", "status": 429, "retry_after": 7.0}
        ],
    }
    assert errors.WorkflowTimeoutError("slow").to_problem() == {
        "type": "https://madspark.github.io/madspark/reference/errors/#workflow_timeout",
        "title": "The run took too long",
        "status": 504,
        "detail": "The deadline was reached before there was an answer.",
        "code": "workflow_timeout",
    }


def test_the_wait_of_a_problem_is_the_shortest_that_is_known() -> None:
    error = errors.ProviderUnavailableError("down", retry_after=9.0)
    error.ready_in = {"ollama": 5.5, "gemini": 60.0}
    assert error.to_problem()["retry_after"] == 5.5


@pytest.mark.parametrize("cls", EVERY_CLASS)
def test_a_problem_contains_no_secret(cls: type[MadsparkError]) -> None:
    message = f"cannot read http://user:hunter2@intranet/page?token={KEY}#part sorry"
    error = cls(message, provider="ollama", model="m")
    if isinstance(error, errors.AllProvidersFailedError):
        error.prompt = "hunter2 is the prompt"
        error.errors = {"ollama": errors.LLMProviderError(message)}
    if isinstance(error, errors.SchemaValidationError):
        error.raw, error.faults = "hunter2 replied", ("hunter2 is no number",)
    error.partial = "hunter2 streamed"
    text = json.dumps(error.to_problem())
    assert "hunter2" not in text
    assert KEY not in text
    if issubclass(cls, errors.InvalidRequestError):
        assert "cannot read http://intranet/page sorry" in text
    else:
        # Messages of failed calls name hosts, and may repeat what a provider wrote.
        assert "intranet" not in text


def problem_of(caught: pytest.ExceptionInfo[MadsparkError]) -> tuple[int, str]:
    body = caught.value.to_problem()
    assert (body["status"], body["code"]) == (caught.value.http_status, caught.value.code)
    return body["status"], body["code"]


INVALID: dict[str, Callable[[LLMRouter], object]] = {
    "blank prompt": lambda router: router.generate(" "),
    "blank prompt, structured": lambda router: router.generate_structured("", dict[str, int]),
    "blank prompt, batch": lambda router: router.generate_structured_batch(["a", " "], dict[str, int]),
    "blank prompt, stream": lambda router: list(router.stream("")),
    "temperature": lambda router: router.generate("hello", temperature=3.0),
    "maximum of tokens": lambda router: router.generate("hello", max_tokens=0),
    "provider": lambda router: router.generate("hello", force_provider="nobody"),  # type: ignore[arg-type]
    "time limit": lambda router: list(router.stream("hello", idle_timeout=-1.0)),
    "empty file": lambda router: router.generate_structured("hello", dict[str, int], files=[b""]),
    "address": lambda router: router.generate_structured("hello", dict[str, int], urls=["ftp://example.org"]),
    "schema": lambda router: router.generate_structured("hello", {"type": "nothing"}),
    "provider of a router": lambda _router: LLMRouter("nobody", config=LLMConfig()),  # type: ignore[arg-type]
    "deadline": lambda _router: LLMRouter("ollama", config=LLMConfig(), deadline=0.0),
    "budget": lambda _router: Budget(max_calls=-1),
    "preset": lambda _router: TemperatureManager.from_preset("hot"),
    "blank topic": lambda router: asyncio.run(AsyncCoordinator(router=router).run(" ")),
    "number of candidates": lambda router: asyncio.run(AsyncCoordinator(router=router).run("t", num_top_candidates=0)),
    "mode": lambda router: asyncio.run(AsyncCoordinator(router=router).run("t", mode="fast")),  # type: ignore[arg-type]
    "language": lambda router: asyncio.run(AsyncCoordinator(router=router).run("t", language="Martian")),
    "buffer": lambda router: asyncio.run(AsyncCoordinator(router=router).start("t", buffer=0)),
    "lone surrogate": lambda router: asyncio.run(AsyncCoordinator(router=router).run("\ud800")),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_value_is_the_clients_mistake(
    name: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    with pytest.raises(errors.InvalidRequestError) as caught:
        INVALID[name](madspark_router(primary_provider="ollama"))
    assert isinstance(caught.value, ValueError)
    assert not isinstance(caught.value, errors.LLMProviderError)
    assert problem_of(caught) == (422, "invalid_request")
    assert caught.value.to_problem()["detail"] == str(caught.value) != ""
    assert madspark_simulator.requests == []


WRONG_TYPES: dict[str, Callable[[LLMRouter], object]] = {
    "option": lambda router: asyncio.run(AsyncCoordinator(router=router).run("t", num_top=1)),  # type: ignore[call-arg]
    "topic": lambda router: asyncio.run(AsyncCoordinator(router=router).run(3)),  # type: ignore[arg-type]
    "prompts": lambda router: router.generate_structured_batch("ab", dict[str, int]),  # type: ignore[call-overload]
    "files": lambda router: asyncio.run(AsyncCoordinator(router=router).run("t", multimodal_files="a.txt")),
    "both limits": lambda router: router.generate_structured("hello", dict[str, int], max_tokens=1, token_budget=2),
}


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_a_wrong_type_is_the_clients_mistake_and_a_type_error(
    name: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    with pytest.raises(TypeError) as caught:
        WRONG_TYPES[name](madspark_router(primary_provider="ollama"))
    assert isinstance(caught.value, errors.InvalidArgumentError)
    assert (caught.value.http_status, caught.value.code) == (422, "invalid_argument")
    assert madspark_simulator.requests == []


def test_a_long_prompt_is_too_large(madspark_router: Make, madspark_simulator: Simulator) -> None:
    router = madspark_router(primary_provider="ollama", max_prompt_chars=5)
    for call in (
        lambda: router.generate("hello!"),
        lambda: router.generate_structured_batch(["hello!"], dict[str, int]),
    ):
        with pytest.raises(errors.PromptTooLongError) as caught:
            call()
        assert problem_of(caught) == (413, "prompt_too_long")
        assert isinstance(caught.value, ValueError)
    assert madspark_simulator.requests == []


def test_a_missing_file_is_a_file_not_found_error_and_a_value_error(madspark_router: Make) -> None:
    router = madspark_router(primary_provider="ollama")
    with pytest.raises(FileNotFoundError, match=r"absent\.txt") as caught:
        router.generate_structured("hello", dict[str, int], files=["absent.txt"])
    assert isinstance(caught.value, errors.MissingFileError)
    assert isinstance(caught.value, ValueError)
    assert (caught.value.http_status, caught.value.code) == (422, "missing_file")


@pytest.mark.parametrize(
    "settings",
    [
        {"ollama_timeout": -1.0},
        {"default_provider": "nobody"},
        {"gemini_base_url": "nowhere"},
        {"ollama_think": "lots"},
    ],
)
def test_an_invalid_setting_is_the_servers_mistake(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        LLMConfig(**settings)
    assert isinstance(caught.value, errors.InvalidSettingsError)
    body = caught.value.to_problem()
    assert (body["status"], body["code"]) == (500, "invalid_settings")
    # Clients learn nothing of the settings.
    assert body["detail"] == "The settings of the server are invalid."


@pytest.mark.parametrize(("provider", "key"), [("gemini", "gemini_api_key"), ("anthropic", "anthropic_api_key")])
def test_a_missing_key_is_the_servers_mistake(provider: str, key: str) -> None:
    config = LLMConfig(anthropic_model="claude-sonnet-4-5", **{key: None})
    router = LLMRouter(provider, fallback_enabled=False, config=config)  # type: ignore[arg-type]
    with pytest.raises(errors.MissingKeyError) as caught:
        router.generate("hello")
    assert problem_of(caught) == (500, "missing_key")
    assert not isinstance(caught.value, errors.ProviderUnavailableError)
    assert isinstance(caught.value, errors.AllProvidersLackKeyError)
    assert "it has no API key" in caught.value.to_problem()["detail"]
    assert [attempt.error for attempt in caught.value.attempts] == ["missing_key"]


def test_a_missing_model_is_not_configured() -> None:
    router = LLMRouter("openai", fallback_enabled=False, config=LLMConfig(openai_api_key=KEY))
    with pytest.raises(errors.NotConfiguredError) as caught:
        router.generate("hello")
    assert problem_of(caught) == (500, "not_configured")


FAILURES: dict[str, tuple[dict[str, Any], int, str]] = {
    "429": ({"status": 429, "headers": {"retry-after": "7"}}, 429, "rate_limited"),
    "401": ({"status": 401}, 502, "key_rejected"),
    "403": ({"status": 403}, 502, "key_rejected"),
    "404": ({"status": 404, "body": {"error": "model 'x' not found"}}, 500, "model_not_found"),
    "400": ({"status": 400}, 502, "all_providers_failed"),
    "500": ({"status": 500}, 503, "provider_unavailable"),
    "503": ({"status": 503}, 503, "provider_unavailable"),
    "not a reply": ({"fault": "malformed"}, 502, "invalid_output"),
    "too long": ({"fault": "stall"}, 504, "provider_timeout"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_call_has_the_status_of_its_class(
    name: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    rule, status, code = FAILURES[name]
    madspark_simulator.on("ollama", **rule)
    router = madspark_router(
        primary_provider="ollama", fallback_enabled=False, max_attempts=1, ollama_timeout=0.5, ollama_load_timeout=0.5
    )
    with pytest.raises(MadsparkError) as caught:
        router.generate("hello, this is private")
    assert problem_of(caught) == (status, code)
    text = json.dumps(caught.value.to_problem())
    assert "private" not in text
    assert madspark_simulator.ollama_url not in text
    if status == 429:
        assert 0 < caught.value.to_problem()["retry_after"] <= 7.0


def test_a_file_that_the_provider_does_not_take_is_the_clients_mistake(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="ollama", fallback_enabled=False)
    with pytest.raises(errors.UnsupportedError) as caught:
        router.generate_structured("hello", dict[str, int], files=[b"%PDF-1.7\n"])
    assert problem_of(caught) == (422, "unsupported")
    assert not any(request.path == "/api/chat" for request in madspark_simulator.requests)


def test_a_budget_and_a_deadline_have_their_status(madspark_router: Make, madspark_simulator: Simulator) -> None:
    with pytest.raises(errors.BudgetExceededError) as spent:
        madspark_router(primary_provider="ollama", budget=Budget(max_calls=0)).generate("hello")
    assert problem_of(spent) == (402, "budget_exceeded")
    madspark_simulator.on(fault="stall")
    with pytest.raises(errors.DeadlineExceededError) as late:
        madspark_router(primary_provider="ollama", deadline=0.2).generate("hello")
    assert problem_of(late) == (504, "deadline_exceeded")
    with pytest.raises(errors.WorkflowTimeoutError) as cut:
        asyncio.run(AsyncCoordinator(router=madspark_router()).run("topic", timeout=0.2))
    assert problem_of(cut) == (504, "workflow_timeout")
