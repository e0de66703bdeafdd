"""No key reaches a text, a record, a log, an address or a body, whatever goes wrong."""

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

SAID_BACK = "<the key>"
"""Stands for the key of whoever asks."""

FAULTS: dict[str, dict[str, Any]] = {
    **{str(status): {"status": status} for status in (400, 401, 403, 404, 408, 429, 500, 503)},
    # A server that says the key back to whoever sent it.
    **{
        f"{status} with the key": {
            "status": status,
            "headers": {"www-authenticate": f"Bearer {SAID_BACK}"},
            "body": f'{{"error": {{"message": "bad key {SAID_BACK}.", "code": "{SAID_BACK}"}}}}',
        }
        for status in (400, 401, 403, 404, 429, 500)
    },
    "200 with the key": {"body": f'{{"error": {{"message": "bad key {SAID_BACK}"}}}}'},
    "text with the key": {"status": 502, "body": f"bad key {SAID_BACK}"},
    "redirect": {"status": 307, "headers": {"location": f"http://127.0.0.1:9/?key={SAID_BACK}"}, "body": ""},
    "malformed": {"fault": "malformed"},
    "truncated": {"fault": "truncate"},
    "disconnect": {"fault": "disconnect"},
    "empty": {"text": " "},
    "no JSON": {"text": "I would rather not."},
    "wrong JSON": {"json": {"other": 1}},
    "none": {},
}


MENDED = ("no JSON", "wrong JSON")
"""Sent back to whoever gave it, at once."""


def script(simulator: Simulator, rule: dict[str, Any]) -> None:
    """Let every provider behave by `rule`."""
    for provider, key in (("ollama", "none"), ("gemini", GEMINI_KEY), ("openai", OPENAI_KEY)):
        own: dict[str, Any] = dict(rule)
        if "body" in rule:
            own["body"] = rule["body"].replace(SAID_BACK, key)
        if "headers" in rule:
            own["headers"] = {name: value.replace(SAID_BACK, key) for name, value in rule["headers"].items()}
        simulator.on(provider, **own)


class Note(BaseModel):
    """What is asked for."""

    text: str


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it sums up and what is underneath."""
    if error is not None:
        yield error
        yield from chain(error.__cause__)
        for cause in getattr(error, "errors", {}).values() if isinstance(error, LLMProviderError) else ():
            yield from chain(cause)


def told(error: BaseException) -> str:
    """Everything that an error says of itself."""
    texts = ["".join(traceback.format_exception(error))]
    for one in chain(error):
        texts += [str(one), repr(one), repr(one.args), repr(vars(one))]
        if isinstance(one, LLMProviderError):
            texts += [json.dumps(attempt.to_dict()) for attempt in one.attempts]
            texts.append(one.explain())
            texts.append(pickle.dumps(one).decode("latin-1"))
    return "\n".join(texts)


async def outcome(ask: Callable[[], Any]) -> str:
    """What the caller can see of one call."""
    try:
        answer = ask()
        value, response = answer if isinstance(answer, tuple) else await answer
    except LLMProviderError as error:
        return told(error)
    return f"{value!r} {response!r} {json.dumps(response.to_dict())} {response.explain()} {pickle.dumps(response)!r}"


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("primary", ["ollama", "gemini", "openai"])
async def test_whatever_goes_wrong_no_key_is_told(
    primary: str,
    name: str,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    script(madspark_simulator, FAULTS[name])
    # A password in an address is as secret as a key.
    address = madspark_simulator.ollama_url.replace("http://", f"http://user:{PASSWORD}@")
    router = madspark_router(
        primary_provider=primary,
        fallback_enabled=True,
        gemini_api_key=GEMINI_KEY,
        openai_api_key=OPENAI_KEY,
        ollama_host=address,
        # Each target is asked as often as it can be without a pause, and none is waited for that has failed too often.
        max_attempts=(3 if primary == "openai" else 2) * (2 if name in MENDED else 1),
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
    # Each key goes to its own provider and to no other.
    for request in madspark_simulator.requests:
        headers = str(request.headers)
        assert (GEMINI_KEY in headers) == (request.provider == "gemini")
        assert (OPENAI_KEY in headers) == (request.provider == "openai")


def test_a_wrong_key_is_told_without_it(
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
        assert not [key for key in KEYS if key in told(caught.value)]


class Listener(logging.Handler):
    """Keeps messages; they may come a moment after the call they are about."""

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
