"""A run as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from fastapi import BackgroundTasks, Header, Response

from madspark.core.events import RunFinished
from madspark.core.run import WorkflowEvents
from madspark.integrations._disconnect import disconnected, end
from madspark.integrations._lifespan import AppState
from madspark.llm.exceptions import InternalError, InvalidRequestError, MadsparkError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from madspark.core.events import Event

__all__ = ["LastEventId", "RunEventResponse"]

LastEventId: TypeAlias = Annotated[
    int, Header(alias="Last-Event-ID", ge=0, description="The number of the last event that the client received.")
]
"""The number that a browser sends when it reconnects, as a parameter of a handler with the default 0."""

_KEEP_ALIVE_SECONDS = 15.0
"""Proxies close connections that are silent for longer, typically for 30 to 60 seconds."""

_HEADERS = {
    "cache-control": "no-store",
    # nginx and others would collect the events.
    "x-accel-buffering": "no",
}


class RunEventResponse(Response):
    """The events of a run as server-sent events, with its result.

    >>> from madspark import AsyncCoordinator
    >>> response = RunEventResponse(AsyncCoordinator().events("food from city roofs"))

    Each event has its number as `id`, its type as `event` and its JSON as `data`. Before the last one, `run_finished`,
    comes an event without a number: `result` with the `WorkflowResult`, or `problem` with problem details if there is
    none. Comments keep the connection open while nothing happens.

    A failure before the first event, such as a blank topic, is raised, so that the exception handlers of the
    application answer it. If there is no event after the requested one, the reply is 204, which ends the attempts of a
    browser to reconnect.

    The events of `AsyncCoordinator.events` own their run: it ends when the client leaves. Those of a `WorkflowRun` do
    not, so that a client may return: `RunEventResponse(run.events(after=last_event_id))`. In an application with
    `lifespan`, the stream ends at shutdown.

    Args:
        events: The events.
        keep_alive: Seconds of silence after which a comment is sent.
        result: Whether to send the result. A failure is sent in any case.
        status_code: The status of the reply.
        headers: Additional headers.
        background: What to run after the stream.

    Raises:
        ValueError: If `keep_alive` is not positive.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: WorkflowEvents,
        *,
        keep_alive: float = _KEEP_ALIVE_SECONDS,
        result: bool = True,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTasks | None = None,
    ) -> None:
        if not keep_alive > 0:
            raise InvalidRequestError(f"keep_alive must be a positive number of seconds, not {keep_alive}")
        super().__init__(None, status_code, {**_HEADERS, **(headers or {})}, background=background)
        # The length of a body that is not known yet.
        del self.headers["content-length"]
        self._events = events
        self._keep_alive = keep_alive
        self._sends_result = result

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until the run ends, the client leaves or the application shuts down."""
        async with self._events:
            sending = asyncio.ensure_future(self._send(send))
            ends = [sending, asyncio.ensure_future(disconnected(receive)), *_shutdown(scope)]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
            finally:
                await end(*ends)
        if self.background is not None:
            await self.background()

    async def _send(self, send: Send) -> None:
        first = await anext(self._events, None)
        if first is None:
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._texts(first)) as texts:
            async for text in texts:
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _texts(self, event: Event | None) -> AsyncGenerator[str]:
        while event is not None and not isinstance(event, RunFinished):
            yield event.to_sse()
            waiting = asyncio.ensure_future(anext(self._events, None))
            try:
                while not (await asyncio.wait({waiting}, timeout=self._keep_alive))[0]:
                    yield ": keep-alive\n\n"
                event = waiting.result()
            finally:
                await end(waiting)
        async for text in self._outcome():
            yield text
        if event is not None:
            yield event.to_sse()

    async def _outcome(self) -> AsyncGenerator[str]:
        try:
            result = await self._events.result()
        except MadsparkError as error:
            yield _problem(error)
        except Exception:
            # The status is sent already. The server logs the error, and the client learns that there was one.
            yield _problem(InternalError())
            raise
        else:
            if self._sends_result:
                yield f"event: result\ndata: {result.model_dump_json()}\n\n"


def _problem(error: MadsparkError) -> str:
    import json

    return f"event: problem\ndata: {json.dumps(error.to_problem())}\n\n"


def _shutdown(scope: Scope) -> list[asyncio.Future[Any]]:
    state = getattr(getattr(scope.get("app"), "state", None), "madspark", None)
    return [asyncio.ensure_future(state.closing.wait())] if isinstance(state, AppState) else []
