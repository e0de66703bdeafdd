"""What the agents share: a router, and the two doors to the core."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from madspark import _core
from madspark._check import count as whole
from madspark._check import listed, number, text
from madspark._custom_router import native, router_or_default, source
from madspark._waiting import result_of, run_sync
from madspark.llm.options import File


class Outcome(NamedTuple):
    """What an agent found, and what it took."""

    value: Any
    tokens: int


class Agent:
    """An agent that asks one router.

    Args:
        router: An `LLMRouter`, or any object with `generate_structured`; None builds a fresh one from the environment.

    Raises:
        TypeError: `router` has no `generate_structured`.
    """

    __slots__ = ("_router",)

    def __init__(self, router: Any = None) -> None:
        self._router = router_or_default(router)

    @property
    def router(self) -> Any:
        """The router it asks."""
        return self._router

    def _run(self, task: Mapping[str, Any], files: Sequence[File] = (), urls: Sequence[str] = ()) -> Outcome:
        files, urls = listed("files", files), listed("urls", urls)
        ours = native(self._router)
        if ours is None:
            return run_sync(lambda: self._arun(task, files, urls))
        return _read(_core.run_agent(ours, json.dumps(task), files, urls))

    async def _arun(self, task: Mapping[str, Any], files: Sequence[File] = (), urls: Sequence[str] = ()) -> Outcome:
        files, urls = listed("files", files), listed("urls", urls)
        asked = source(self._router, files, urls)
        return _read(await result_of(_core.arun_agent(asked, json.dumps(task), files, urls)))


def task(
    agent: str,
    topic: str,
    context: str,
    temperature: float,
    cases: Sequence[Mapping[str, Any]] = (),
    count: int = 0,
    language: str | None = None,
) -> dict[str, Any]:
    """One question to one agent, in the core's terms; the answer's language is that of the topic where it is None.

    Raises:
        TypeError: A text is no text, or a number no number.
        ValueError: A text or a number that cannot be sent.
    """
    return {
        "agent": agent,
        "topic": text("topic", topic),
        "context": text("context", context),
        "temperature": number("temperature", temperature),
        "count": whole("the number of ideas", count),
        "cases": [_case(case) for case in cases],
        "language": language if language is None else text("language", language),
    }


def idea_cases(ideas: Sequence[str]) -> list[dict[str, str]]:
    """A case for each of `ideas`.

    Raises:
        TypeError: `ideas` is a single text.
    """
    if isinstance(ideas, str):
        message = "ideas must be a list of texts; a single text would be taken letter by letter"
        raise TypeError(message)
    return [{"idea": idea} for idea in ideas]


def case_of(given: Mapping[str, Any], **names: Sequence[str]) -> dict[str, Any]:
    """`given` under the core's names: for each, the value of the first of `names` that `given` has.

    Raises:
        TypeError: `given` is no mapping.
    """
    if not isinstance(given, Mapping):
        message = f"each idea must be a dict with its text as 'idea', not {type(given).__name__}"
        raise TypeError(message)
    return {
        ours: next((given[name] for name in theirs if given.get(name) is not None), "")
        for ours, theirs in names.items()
    }


def routed(use_router: bool) -> None:
    """Refuse the existing package's switch away from the router.

    Raises:
        ValueError: `use_router` is false.
    """
    if not use_router:
        message = "use_router=False is not supported: every call goes through a router; pass the one to use as router="
        raise ValueError(message)


def _case(case: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(name, value) for name, value in case.items()}


def _text(name: str, value: Any) -> str:
    """Texts as they are; structured values, such as an earlier agent's output, as JSON."""
    if hasattr(value, "model_dump_json"):
        dumped: str = value.model_dump_json(exclude_none=True)
        return dumped
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return text(name, value)


def _read(told: str) -> Outcome:
    outcome = json.loads(told)
    return Outcome(outcome["value"], outcome["tokens"])
