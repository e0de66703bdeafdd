"""Custom routers: any object with a `generate_structured` method, sync or async, in place of an `LLMRouter`."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

from madspark.llm.router import LLMRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from madspark import _core
    from madspark.llm.options import File

    # JSON text, provider, model, tokens, cost, latency in milliseconds.
    Answer = tuple[str, str, str, int, float | None, float]
    Source = _core.Router | Callable[..., Coroutine[Any, Any, Answer]]

_METHODS = {name: getattr(LLMRouter, name) for name in ("generate_structured", "agenerate_structured")}
"""The methods of `LLMRouter` itself. A subclass or a patch that replaces one makes a custom router."""


def router_or_default(router: object | None) -> object:
    """Return `router`, or a new `LLMRouter()` if it is None.

    Raises:
        TypeError: If `router` has no `generate_structured`.
    """
    if router is None:
        return LLMRouter()
    if not any(callable(getattr(router, name, None)) for name in _METHODS):
        raise TypeError(f"router must be an LLMRouter or have generate_structured(), not {type(router).__name__}")
    return router


def native(router: object) -> _core.Router | None:
    """Return the compiled router of an `LLMRouter`, and None for a custom router."""
    # `isinstance` would also accept a mock with LLMRouter as its spec.
    if not issubclass(type(router), LLMRouter) or any(_is_replaced(router, name) for name in _METHODS):
        return None
    core: _core.Router = router._core  # type: ignore[attr-defined]  # noqa: SLF001  (one package)
    return core


def source(router: object, files: Sequence[File], urls: Sequence[str]) -> Source:
    """Return what the core calls: the compiled router, or a coroutine function that calls the custom one."""
    return native(router) or functools.partial(_generate, router, files, urls)


def _is_replaced(router: object, name: str) -> bool:
    """Return whether a subclass or a patch replaces the method `name` of `router`, an `LLMRouter`."""
    return getattr(type(router), name) is not _METHODS[name] or name in getattr(router, "__dict__", ())


def _method(router: Any) -> Any:
    """Return the method of `router` to call: the one that the caller wrote, sync or async."""
    import inspect

    sync = getattr(router, "generate_structured", None)
    twin = getattr(router, "agenerate_structured", None)
    if not callable(sync) or not callable(twin):
        return sync if callable(sync) else twin
    if issubclass(type(router), LLMRouter):
        return twin if _is_replaced(router, "agenerate_structured") else sync
    # A mock with a spec always has a coroutine function as its twin, which says nothing about the caller's intent.
    is_mock = router.__class__ is not type(router)
    return twin if not is_mock and inspect.iscoroutinefunction(twin) and not inspect.iscoroutinefunction(sync) else sync


async def _generate(
    router: Any,
    files: Sequence[File],
    urls: Sequence[str],
    prompt: str,
    schema_name: str,
    system_instruction: str,
    temperature: float | None,
    with_attachments: bool,
    use_cache: bool | None,
) -> Answer:
    """Call the custom router. A synchronous one runs on a thread, so that it does not block the event loop."""
    import inspect

    from madspark import schemas

    arguments: dict[str, Any] = {
        "prompt": prompt,
        "schema": getattr(schemas, schema_name),
        "system_instruction": system_instruction,
        "temperature": temperature,
    }
    # Only if the caller chose: a custom router need not have a cache.
    if use_cache is not None:
        arguments["use_cache"] = use_cache
    if with_attachments:
        arguments |= {name: list(items) for name, items in (("files", files), ("urls", urls)) if items}
    method = _method(router)
    if inspect.iscoroutinefunction(method):
        answer = await method(**arguments)
    else:
        answer = await _run_on_thread(functools.partial(method, **arguments))
        if inspect.isawaitable(answer):
            answer = await answer
    return _answer(answer, type(router).__name__, schema_name)


async def _run_on_thread(function: Callable[[], Any]) -> Any:
    """Call a synchronous function on a new thread, in the caller's context.

    Not on the executor of the loop: it has few threads, and leaving the loop waits for them, so that neither a timeout
    nor Ctrl-C could end a run whose router hangs.
    """
    import asyncio
    import contextvars
    import threading
    from concurrent.futures import Future

    outcome: Future[Any] = Future()
    # Cancelling the coroutine does not cancel the future, whose outcome the thread still sets.
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(function())
        except StopIteration as stopped:
            # A future rejects StopIteration, which an exhausted mock raises. Coroutines also turn it into RuntimeError.
            error = RuntimeError("the router raised StopIteration")
            error.__cause__ = stopped
            outcome.set_exception(error)
        except BaseException as raised:  # noqa: BLE001  (raised again by the coroutine)
            outcome.set_exception(raised)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="madspark-router", daemon=True).start()
    return await asyncio.wrap_future(outcome)


def _answer(answer: Any, router_name: str, schema_name: str) -> Answer:
    """Return the fields of an answer that the core uses.

    Raises:
        TypeError: If the answer is not a pair of a pydantic instance and a response.
    """
    try:
        value, response = answer
        text = value.model_dump_json()
    except (AttributeError, TypeError, ValueError) as error:
        raise _wrong_type(answer, router_name, schema_name) from error
    if not isinstance(text, str):
        raise _wrong_type(value, router_name, schema_name)
    return (
        text,
        str(getattr(response, "provider", router_name)),
        str(getattr(response, "model", "")),
        _count(response, "tokens_used"),
        _number(response, "cost"),
        _number(response, "latency_ms") or 0.0,
    )


def _wrong_type(answer: Any, router_name: str, schema_name: str) -> TypeError:
    expected = f"{router_name}.generate_structured() must return (instance of {schema_name}, response)"
    return TypeError(f"{expected}, not {type(answer).__name__}")


def _number(response: Any, name: str) -> float | None:
    """Return a number of the response, and None for anything else, as the attributes of a test double may be."""
    value = getattr(response, name, None)
    if not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        return None
    return float(value)


def _count(response: Any, name: str) -> int:
    """Return a count of the response, at most the largest one that the core can hold, and 0 for anything else."""
    value = getattr(response, name, None)
    return int(min(value, _MAX_COUNT)) if isinstance(value, int | float) and value >= 0 else 0


_MAX_COUNT = 2**63 - 1
