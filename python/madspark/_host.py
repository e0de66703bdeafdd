"""Routers of the caller's own: any object with `generate_structured`, sync or async, in place of an `LLMRouter`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from madspark.llm.router import LLMRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from madspark import _core
    from madspark.llm.router import File

    Source = _core.Router | Callable[..., Coroutine[Any, Any, tuple[str, str, str, int, float | None, float]]]

_OVERRIDABLE = ("generate_structured", "agenerate_structured")


def router_or_default(router: object | None) -> object:
    """`router` itself; for None a fresh `LLMRouter()` that nothing else shares.

    Raises:
        TypeError: `router` has no `generate_structured`.
    """
    if router is None:
        return LLMRouter()
    if not any(callable(getattr(router, name, None)) for name in _OVERRIDABLE):
        message = f"router must be an LLMRouter or have generate_structured(), not {type(router).__name__}"
        raise TypeError(message)
    return router


def native(router: object) -> _core.Router | None:
    """The compiled router of an `LLMRouter`; None for any other object, and for a subclass that answers by itself."""
    if not isinstance(router, LLMRouter):
        return None
    if any(getattr(type(router), name) is not getattr(LLMRouter, name) for name in _OVERRIDABLE):
        return None
    return router._core  # noqa: SLF001  (one package)


def source(router: object, files: Sequence[File], urls: Sequence[str]) -> Source:
    """What the core asks: its own router, or a function that asks the caller's."""
    return native(router) or functools.partial(_ask, router, files, urls)


def _ask_sync(router: Any, asking: dict[str, Any]) -> Any:
    try:
        return router.generate_structured(**asking)
    except StopIteration as error:
        # A future cannot carry it: before Python 3.12 whoever awaits the thread would wait for ever. A mock that ran
        # out of answers raises it.
        message = f"{type(router).__name__}.generate_structured() raised StopIteration"
        raise RuntimeError(message) from error


async def _ask(
    router: Any,
    files: Sequence[File],
    urls: Sequence[str],
    prompt: str,
    schema_name: str,
    system_instruction: str,
    temperature: float,
    with_attachments: bool,
) -> tuple[str, str, str, int, float | None, float]:
    """Ask the caller's router as the contract says; a synchronous one on a thread, so that the loop goes on."""
    import asyncio
    import inspect

    from madspark import schemas

    asking: dict[str, Any] = {
        "prompt": prompt,
        "schema": getattr(schemas, schema_name),
        "system_instruction": system_instruction,
        "temperature": temperature,
    }
    if with_attachments:
        asking |= {"files": list(files) or None, "urls": list(urls) or None}
    twin = getattr(router, "agenerate_structured", None)
    if inspect.iscoroutinefunction(twin):
        answer = await twin(**asking)
    elif inspect.iscoroutinefunction(router.generate_structured):
        answer = await router.generate_structured(**asking)
    else:
        answer = await asyncio.to_thread(_ask_sync, router, asking)
        if inspect.isawaitable(answer):
            answer = await answer
    try:
        value, response = answer
        text: str = value.model_dump_json()
    except (AttributeError, TypeError, ValueError) as error:
        message = (
            f"{type(router).__name__}.generate_structured() must return (instance of {schema_name}, response), "
            f"not {type(answer).__name__}"
        )
        raise TypeError(message) from error
    return (
        text,
        str(getattr(response, "provider", type(router).__name__)),
        str(getattr(response, "model", "")),
        int(getattr(response, "tokens_used", 0) or 0),
        getattr(response, "cost", None),
        float(getattr(response, "latency_ms", 0.0) or 0.0),
    )
