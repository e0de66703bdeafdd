"""The workflow for synchronous code."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from madspark._not_from_requests import keep_from_requests
from madspark._waiting import run_sync
from madspark.core.async_coordinator import AsyncCoordinator
from madspark.core.options import DEFAULT_TIMEOUT
from madspark.llm.options import File, PageErrorPolicy
from madspark.utils.temperature_control import TemperatureManager

__all__ = ["Coordinator", "run_multistep_workflow"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _sync(
    method: Callable[Concatenate[AsyncCoordinator, _P], Coroutine[Any, Any, _T]],
) -> Callable[Concatenate[Coordinator, _P], _T]:
    """Return the synchronous twin of a coroutine method, with the same signature and documentation."""
    name = method.__name__

    @functools.wraps(method)
    def twin(self: Coordinator, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        work: Callable[[], Coroutine[Any, Any, _T]] = functools.partial(getattr(self._twin, name), *args, **kwargs)
        return run_sync(work)

    twin.__module__, twin.__qualname__ = __name__, f"Coordinator.{name}"
    return twin


class Coordinator:
    """The synchronous twin of `AsyncCoordinator`, with the same arguments.

    The progress callback must be a plain function. It is called on the calling thread; under a running event loop, as
    in a notebook, and under gevent it is called on the thread of the run while the caller waits.

    Raises:
        ValueError: If `max_concurrent_agents` is less than 1.
        TypeError: If `router` or `progress_callback` has the wrong type.
    """

    __slots__ = ("_twin",)

    def __init__(
        self,
        max_concurrent_agents: int = 10,
        progress_callback: Callable[[str, float], None] | None = None,
        cache_manager: Any = None,
        router: Any = None,
    ) -> None:
        if inspect.iscoroutinefunction(progress_callback):
            raise TypeError("progress_callback is a coroutine function: pass a plain function, or use AsyncCoordinator")
        self._twin = AsyncCoordinator(max_concurrent_agents, progress_callback, cache_manager, router)

    @property
    def router(self) -> Any:
        """The router of all agents of this coordinator."""
        return self._twin.router

    run_workflow = _sync(AsyncCoordinator.run_workflow)
    run = _sync(AsyncCoordinator.run)


keep_from_requests(Coordinator.__init__, "router", Any)


def run_multistep_workflow(
    topic: str,
    context: str = "",
    num_top_candidates: int = 2,
    enable_novelty_filter: bool = True,
    novelty_threshold: float = 0.8,
    temperature_manager: TemperatureManager | None = None,
    verbose: bool = False,
    enhanced_reasoning: bool = False,
    multi_dimensional_eval: bool = False,
    logical_inference: bool = False,
    reasoning_engine: Any = None,
    timeout: float | None = DEFAULT_TIMEOUT,
    multimodal_files: Sequence[File] | None = None,
    multimodal_urls: Sequence[str] | None = None,
    router: Any = None,
    *,
    stage_timeouts: Mapping[str, float | None] | None = None,
    mode: Literal["auto", "batch", "fanout"] = "batch",
    language: str | None = None,
    order: Literal["final", "initial"] = "final",
    use_cache: bool | None = None,
    on_page_error: PageErrorPolicy = "skip",
) -> list[dict[str, Any]]:
    """Run the workflow once, as `Coordinator(router=router).run_workflow` does."""
    options = dict(locals())
    del options["router"]
    return Coordinator(router=router).run_workflow(**options)
