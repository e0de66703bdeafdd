"""What an application of FastAPI shares between requests: its settings, and the runs that it ends at shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from weakref import WeakSet

from fastapi import FastAPI, Request

from madspark.core.run import WorkflowRun
from madspark.llm.config import LLMConfig

__all__ = ["AppState", "hold_run", "lifespan", "read_settings"]

_logger = logging.getLogger("madspark.integrations")


class AppState:
    """The state of one application, from its start to its shutdown."""

    __slots__ = ("closing", "runs", "settings")

    def __init__(self, settings: LLMConfig) -> None:
        self.settings = settings
        self.closing = asyncio.Event()
        """Set when the application shuts down."""
        self.runs: WeakSet[WorkflowRun] = WeakSet()

    def close(self) -> None:
        """End every run and every stream of events."""
        self.closing.set()
        for run in list(self.runs):
            run.cancel()


def lifespan(
    settings: LLMConfig | Callable[[], LLMConfig] = LLMConfig.from_env, *, check: bool = False
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return a lifespan: `FastAPI(lifespan=lifespan())`.

    It reads the settings once, when the application starts; an invalid setting stops the start. At shutdown it ends the
    streams of `RunEventResponse` and the runs of `hold_run`; servers end the other requests themselves. To combine it
    with a lifespan of your own, enter it there: `async with lifespan()(app): ...`.

    Args:
        settings: The configuration, or what returns it.
        check: Whether to ask each configured provider once at the start, which opens connections and warns in the log
            about providers that do not answer or lack the model.
    """

    @asynccontextmanager
    async def span(app: FastAPI) -> AsyncIterator[None]:
        state = AppState(settings if isinstance(settings, LLMConfig) else settings())
        app.state.madspark = state
        if check:
            await _check(state.settings)
        try:
            yield
        finally:
            state.close()

    return span


def read_settings(request: Request) -> LLMConfig:
    """Return the settings that `lifespan` read. A dependency: `Annotated[LLMConfig, Depends(read_settings)]`.

    Raises:
        RuntimeError: If the application was built without it.
    """
    return _state_of(request.app).settings


def hold_run(app: FastAPI, run: WorkflowRun) -> WorkflowRun:
    """End `run` when `app` shuts down, and return it. For runs that outlive their requests.

    Raises:
        RuntimeError: If the application was built without `lifespan`.
    """
    _state_of(app).runs.add(run)
    return run


def _state_of(app: FastAPI) -> AppState:
    state = getattr(app.state, "madspark", None)
    if not isinstance(state, AppState):
        raise RuntimeError(  # noqa: TRY004  (the type is not what is wrong)
            "this application has no settings of madspark: build it with FastAPI(lifespan=lifespan()), with lifespan "
            "from madspark.integrations.fastapi, or pass the settings to router_dependency()"
        )
    return state


async def _check(settings: LLMConfig) -> None:
    from madspark.llm.router import LLMRouter

    for name, health in (await LLMRouter(config=settings).ahealth_status()).items():
        if isinstance(health, dict) and health.get("available") and not health.get("healthy"):
            _logger.warning("%s is configured but not usable: %s", name, health.get("reason"))
