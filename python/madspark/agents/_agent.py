"""The base class of the agents, which runs their tasks in the core."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from madspark import _core, _greenlets
from madspark._check import count as whole, listed, number, text
from madspark._custom_router import native, router_or_default, source
from madspark._waiting import result_of, run_sync
from madspark.llm.exceptions import InvalidArgumentError
from madspark.llm.options import File

if TYPE_CHECKING:
    from pydantic import BaseModel

_Model = TypeVar("_Model", bound="BaseModel")


class Outcome(NamedTuple):
    """The result of an agent, as plain data, and the number of tokens it used."""

    value: Any
    tokens: int

    def one(self, model: type[_Model]) -> _Model:
        """Return the result as a `model`."""
        return model.model_validate(self.value)

    def many(self, model: type[_Model]) -> list[_Model]:
        """Return a result for several ideas as a `model` each."""
        return [model.model_validate(value) for value in self.value]


class Agent:
    """The base class of the agents.

    Args:
        router: An `LLMRouter`, or any object with `generate_structured`. None builds one from the environment.
        use_cache: Whether answers may come from the response cache and are stored there. None means only at temperature
            0. A custom router gets a value as `use_cache=`, None not at all.

    Raises:
        TypeError: If `router` has no `generate_structured`, or `use_cache` is no bool.
    """

    __slots__ = ("_router", "_use_cache")

    def __init__(self, router: Any = None, *, use_cache: bool | None = None) -> None:
        if not isinstance(use_cache, bool | None):
            raise TypeError(f"use_cache must be a bool or None, not {type(use_cache).__name__}")
        self._router = router_or_default(router)
        self._use_cache = use_cache

    @property
    def router(self) -> Any:
        """The router used for requests."""
        return self._router

    def _run(
        self, task: Mapping[str, Any], files: Sequence[File] | None = None, urls: Sequence[str] | None = None
    ) -> Outcome:
        files, urls = listed("files", files), listed("urls", urls)
        core_router = native(self._router)
        if core_router is None or _greenlets.is_patched():
            return run_sync(lambda: self._arun(task, files, urls))
        return _parse_outcome(_core.run_agent(core_router, self._json(task), files, urls))

    async def _arun(
        self, task: Mapping[str, Any], files: Sequence[File] | None = None, urls: Sequence[str] | None = None
    ) -> Outcome:
        files, urls = listed("files", files), listed("urls", urls)
        router = source(self._router, files, urls)
        return _parse_outcome(await result_of(_core.arun_agent(router, self._json(task), files, urls)))

    def _json(self, task: Mapping[str, Any]) -> str:
        return json.dumps({**task, "use_cache": self._use_cache})


def build_task(
    agent: str,
    topic: str,
    context: str,
    temperature: float | None,
    cases: Sequence[Mapping[str, Any]] = (),
    count: int = 0,
    language: str | None = None,
) -> dict[str, Any]:
    """Return a task for the core. If `language` is None, the reply is in the language of the topic.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a text or a number cannot be sent.
    """
    return {
        "agent": agent,
        "topic": text("topic", topic),
        "context": text("context", context),
        "temperature": None if temperature is None else number("temperature", temperature),
        "count": whole("the number of ideas", count),
        "cases": [{name: _text(name, value) for name, value in case.items()} for case in cases],
        "language": None if language is None else text("language", language),
    }


def idea_cases(ideas: Sequence[str]) -> list[dict[str, str]]:
    """Return a case for each of `ideas`.

    Raises:
        TypeError: If `ideas` is a single text.
    """
    if isinstance(ideas, str):
        raise InvalidArgumentError("ideas must be a list of texts; a single text would be taken letter by letter")
    return [{"idea": idea} for idea in ideas]


def select_fields(fields: Mapping[str, Any], **names: Sequence[str]) -> dict[str, Any]:
    """Return `fields` under the names of the core: for each, the first of the alternative `names` that has a value.

    Raises:
        TypeError: If `fields` is not a mapping.
    """
    if not isinstance(fields, Mapping):
        raise InvalidArgumentError(f"each idea must be a dict with its text as 'idea', not {type(fields).__name__}")
    return {
        name: next((fields[other] for other in alternatives if fields.get(other) is not None), "")
        for name, alternatives in names.items()
    }


def require_router(use_router: bool) -> None:
    """Reject `use_router=False`, which the previous package supported.

    Raises:
        ValueError: If `use_router` is false.
    """
    if not use_router:
        raise ValueError(
            "use_router=False is not supported: every call goes through a router; pass the one to use as router="
        )


def _text(name: str, value: Any) -> str:
    """Return a text unchanged, and a structured value, such as the output of an agent, as JSON."""
    if hasattr(value, "model_dump_json"):
        dumped: str = value.model_dump_json(exclude_none=True)
        return dumped
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return text(name, value)


def _parse_outcome(json_text: str) -> Outcome:
    outcome = json.loads(json_text)
    return Outcome(outcome["value"], outcome["tokens"])
