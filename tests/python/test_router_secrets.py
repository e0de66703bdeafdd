"""No key appears in an error, a record, a log, a URL or a body, whatever fails."""

from __future__ import annotations

import json
import logging
import pickle
import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark.llm.exceptions import LLMProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from madspark import LLMRouter
    from madspark.testing import Simulator

GEMINI_KEY = "AIza-recognisable-gemini-0123456789"
OPENAI_KEY = "sk-recognisable-openai-0123456789"
PASSWORD = "recognisable-password"  # noqa: S105  # made up
KEYS = (GEMINI_KEY, OPENAI_KEY, PASSWORD)

ECHOED_KEY = "<the key>"
"""A placeholder for the key of the request."""

FAULTS: dict[str, dict[str, Any]] = {
    **{str(status): {"status": status} for status in (400, 401, 403, 404, 408, 429, 500, 503)},
    # A server that repeats the key of the request.
    **{
        f"{status} with the key": {
            "status": status,
            "headers": {"www-authenticate": f"Bearer {ECHOED_KEY}"},
            "body": f'{{"error": {{"message": "bad key {ECHOED_KEY}.", "code": "{ECHOED_KEY}"}}}}',
        }
        for status in (400, 401, 403, 404, 429, 500)
    },
    "200 with the key": {"body": f'{{"error": {{"message": "bad key {ECHOED_KEY}"}}}}'},
    "text with the key": {"status": 502, "body": f"bad key {ECHOED_KEY}"},
    "redirect": {"status": 307, "headers": {"location": f"http://127.0.0.1:9/?key={ECHOED_KEY}"}, "body": ""},
    "malformed": {"fault": "malformed"},
    "truncated": {"fault": "truncate"},
    "disconnect": {"fault": "disconnect"},
    "empty": {"text": " "},
    "no JSON": {"text": "I would rather not."},
    "wrong JSON": {"json": {"other": 1}},
    "none": {},
}


REPAIRED = ("no JSON", "wrong JSON")
"""Repeated to the sender."""


def script(simulator: Simulator, rule: dict[str, Any]) -> None:
    """Apply `rule` to every provider."""
    for provider, key in (("ollama", "none"), ("gemini", GEMINI_KEY), ("openai", OPENAI_KEY)):
        own: dict[str, Any] = dict(rule)
        if "body" in rule:
            own["body"] = rule["body"].replace(ECHOED_KEY, key)
        if "headers" in rule:
            own["headers"] = {name: value.replace(ECHOED_KEY, key) for name, value in rule["headers"].items()}
        simulator.on(provider, **own)


class Note(BaseModel):
    """The requested output."""

    text: str


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its causes and the errors that it summarizes."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        for cause in getattr(error, "errors", {}).values() if isinstance(error, LLMProviderError) else ():
            yield from chain(cause)


def texts(error: BaseException) -> str:
    """Return every text of an error."""
    texts = ["".join(traceback.format_exception(error))]
    for one in chain(error):
        texts += [str(one), repr(one), repr(one.args), repr(vars(one))]
        if isinstance(one, LLMProviderError):
            texts += [json.dumps(attempt.to_dict()) for attempt in one.attempts]
            texts.append(one.explain())
            texts.append(pickle.dumps(one).decode("latin-1"))
    return "\n".join(texts)


async def outcome(call: Callable[[], Any]) -> str:
    """Return every text of a call's outcome."""
    try:
        answer = call()
        value, response = answer if isinstance(answer, tuple) else await answer
    except LLMProviderError as error:
        return texts(error)
    return f"{value!r} {response!r} {json.dumps(response.to_dict())} {response.explain()} {pickle.dumps(response)!r}"


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("primary", ["ollama", "gemini", "openai"])
async def test_no_error_contains_a_key(
    primary: str,
    name: str,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    script(madspark_simulator, FAULTS[name])
    # A password in a base URL is a secret, too.
    address = madspark_simulator.ollama_url.replace("http://", f"http://user:{PASSWORD}@")
    router = madspark_router(
        primary_provider=primary,
        fallback_enabled=True,
        gemini_api_key=GEMINI_KEY,
        openai_api_key=OPENAI_KEY,
        ollama_host=address,
        # Every target is tried as often as possible without a delay.
        max_attempts=(3 if primary == "openai" else 2) * (2 if name in REPAIRED else 1),
        deadline=0.5,
    )
    seen = [
        await outcome(lambda: router.generate("hello")),
        await outcome(lambda: router.agenerate("hello")),
        await outcome(lambda: router.generate_structured("hello", Note)),
        await outcome(lambda: router.agenerate_structured("hello", Note)),
        await outcome(lambda: router.generate_structured_batch(["hello", "again"], Note)),
        repr(await router.ahealth_status()),
        repr(router.get_metrics()),
        f"{router!r} {router.config!r} {router.config}",
        "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records),
    ]
    assert madspark_simulator.requests
    for key in KEYS:
        for place, text in enumerate(seen):
            assert key not in text, (key, place)
        for request in madspark_simulator.requests:
            assert key not in request.path
            assert key.encode() not in request.body
            assert key not in repr(request)
    # Each key is sent to its provider only.
    for request in madspark_simulator.requests:
        headers = str(request.headers)
        assert (GEMINI_KEY in headers) == (request.provider == "gemini")
        assert (OPENAI_KEY in headers) == (request.provider == "openai")


def test_a_wrong_key_is_reported_without_the_key(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    for provider in ("gemini", "openai"):
        madspark_simulator.require_key(provider, "the-right-one")
        router = madspark_router(
            primary_provider=provider,
            fallback_enabled=False,
            gemini_api_key=GEMINI_KEY,
            openai_api_key=OPENAI_KEY,
        )
        with pytest.raises(LLMProviderError) as caught:
            router.generate("hello")
        assert not [key for key in KEYS if key in texts(caught.value)]


class Listener(logging.Handler):
    """Collects messages, which may arrive after their call."""

    def __init__(self, last: str) -> None:
        super().__init__()
        self.last = last
        self.messages: list[str] = []
        self.complete = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        if self.last in self.messages[-1]:
            self.complete.set()


def test_the_log_names_the_failure_and_the_fallback_and_no_prompt(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    madspark_simulator.on("ollama", status=503)
    listener = Listener("falling back to gemini")
    logging.getLogger("madspark").addHandler(listener)
    try:
        text, _ = madspark_router(gemini_api_key=GEMINI_KEY).generate("a private prompt")
        assert listener.complete.wait(10), listener.messages
    finally:
        logging.getLogger("madspark").removeHandler(listener)
    assert any("ollama" in message and "503" in message for message in listener.messages), listener.messages
    assert not [message for message in listener.messages if "private" in message or text in message]
