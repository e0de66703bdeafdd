"""Routers of the caller's own: any object with `generate_structured`, sync or async, in place of an `LLMRouter`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from madspark.llm.router import LLMRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from madspark import _core
    from madspark.llm.options import File

    Source = _core.Router | Callable[..., Coroutine[Any, Any, tuple[str, str, str, int, float | None, float]]]

_OURS = {name: getattr(LLMRouter, name) for name in ("generate_structured", "agenerate_structured")}
"""The methods as this package wrote them; what differs from them, by inheritance or by a patch, is the caller's."""


def router_or_default(router: object | None) -> object:
    """`router` itself; for None a fresh `LLMRouter()` that nothing else shares.

    Raises:
        TypeError: `router` has no `generate_structured`.
    """
    if router is None:
        return LLMRouter()
    if not any(callable(getattr(router, name, None)) for name in _OURS):
        message = f"router must be an LLMRouter or have generate_structured(), not {type(router).__name__}"
        raise TypeError(message)
    return router


def native(router: object) -> _core.Router | None:
    """The compiled router of an `LLMRouter`; None for any other object, and where the caller's own code answers."""
    # `isinstance` would also take a mock that was given LLMRouter as its spec.
    if not issubclass(type(router), LLMRouter) or any(_is_replaced(router, name) for name in _OURS):
        return None
    ours: _core.Router = router._core  # type: ignore[attr-defined]  # noqa: SLF001  (one package)
    return ours


def _is_replaced(router: object, name: str) -> bool:
    """Whether `router`, an `LLMRouter`, has another method of this name: by a subclass, or by a patch of either."""
    return getattr(type(router), name) is not _OURS[name] or name in getattr(router, "__dict__", ())


def _method(router: Any) -> Any:
    """The method that asks `router`: of the synchronous one and its twin, the one that the caller wrote."""
    import inspect

    own = getattr(router, "generate_structured", None)
    twin = getattr(router, "agenerate_structured", None)
    if not callable(own) or not callable(twin):
        return own if callable(own) else twin
    if issubclass(type(router), LLMRouter):
        return twin if _is_replaced(router, "agenerate_structured") else own
    # A mock with a spec has a coroutine for a twin whether or not its owner thought of it.
    is_real = router.__class__ is type(router)
    return twin if is_real and inspect.iscoroutinefunction(twin) and not inspect.iscoroutinefunction(own) else own


def source(router: object, files: Sequence[File], urls: Sequence[str]) -> Source:
    """What the core asks: its own router, or a function that asks the caller's."""
    return native(router) or functools.partial(_ask, router, files, urls)


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
    import inspect

    from madspark import schemas

    asking: dict[str, Any] = {
        "prompt": prompt,
        "schema": getattr(schemas, schema_name),
        "system_instruction": system_instruction,
        "temperature": temperature,
    }
    if with_attachments:
        asking |= {name: list(given) for name, given in (("files", files), ("urls", urls)) if given}
    method = _method(router)
    if inspect.iscoroutinefunction(method):
        answer = await method(**asking)
    else:
        answer = await _on_thread(functools.partial(method, **asking))
        if inspect.isawaitable(answer):
            answer = await answer
    return _told(answer, type(router).__name__, schema_name)


async def _on_thread(call: Callable[[], Any]) -> Any:
    """Call synchronous code off the loop, in the context of the caller.

    On a thread of its own: a loop's default threads are few and not ours, and leaving the loop waits for them, so that
    neither a time limit nor Ctrl-C could end a run whose router hangs.
    """
    import asyncio
    import contextlib
    import contextvars
    import threading

    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(value: object, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def body() -> None:
        value: object = None
        error: BaseException | None = None
        try:
            value = call()
        except StopIteration as stopped:
            # No future can carry it; a mock whose answers have run out raises it. Coroutines turn it into the same.
            error = RuntimeError("the router raised StopIteration")
            error.__cause__ = stopped
        except BaseException as raised:  # noqa: BLE001  (handed to the waiting coroutine, which raises it)
            error = raised
        # A closed loop has nobody waiting.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, value, error)

    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(body,), name="madspark-router", daemon=True).start()
    return await future


def _told(answer: Any, owner: str, schema_name: str) -> tuple[str, str, str, int, float | None, float]:
    """What the core wants to know of an answer.

    Raises:
        TypeError: It is not a pair of a pydantic instance and a response.
    """
    try:
        value, response = answer
        text = value.model_dump_json()
    except (AttributeError, TypeError, ValueError) as error:
        raise _wrong(answer, owner, schema_name) from error
    if not isinstance(text, str):
        raise _wrong(value, owner, schema_name)
    return (
        text,
        str(getattr(response, "provider", owner)),
        str(getattr(response, "model", "")),
        int(_number(response, "tokens_used") or 0),
        _number(response, "cost"),
        _number(response, "latency_ms") or 0.0,
    )


def _wrong(answer: Any, owner: str, schema_name: str) -> TypeError:
    wanted = f"{owner}.generate_structured() must return (instance of {schema_name}, response)"
    return TypeError(f"{wanted}, not {type(answer).__name__}")


def _number(response: Any, name: str) -> float | None:
    """A number of the response; None where it tells none, as the response of a double may."""
    value = getattr(response, name, None)
    return float(value) if isinstance(value, int | float) and value >= 0 else None
