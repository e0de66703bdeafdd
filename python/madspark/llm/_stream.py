"""The base of all streams: pulling events in synchronous code and in coroutines, closing, and the response."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar

from madspark import _core, _greenlets
from madspark._waiting import result_of
from madspark.llm._call import ReplyValidation
from madspark.llm.response import LLMResponse, Restarted

if TYPE_CHECKING:
    # Text; JSON text and whether it is complete; a restart; or the end of the stream.
    Received: TypeAlias = str | tuple[str, bool] | Restarted | None

_Event = TypeVar("_Event")


class Signal(Enum):
    """What the consumer of a stream does not see."""

    END = "the stream has ended"
    PULL = "the next event must be pulled"


class Stream(Generic[_Event]):
    """The state of one stream."""

    __slots__ = ("__weakref__", "_core", "_has_ended", "_response", "_validation")

    def __init__(self, core: _core.Stream, validation: ReplyValidation[Any]) -> None:
        self._core = core
        self._validation = validation
        self._has_ended = False
        self._response: LLMResponse | None = None

    @property
    def response(self) -> LLMResponse:
        """The response of the completed stream. Raises RuntimeError before its end, and if it failed or was closed."""
        if self._response is None:
            raise RuntimeError(f"there is no response: {self._state()}")
        return self._response

    def _state(self) -> str:
        return "the stream ended without a complete answer" if self._has_ended else "the stream has not ended yet"

    def _close(self) -> None:
        self._has_ended = True
        self._core.close()

    def _receive(self, received: Received) -> _Event | Signal:
        """Record what was pulled and return the event for the consumer."""
        raise NotImplementedError

    def _fail(self, error: BaseException) -> None:
        self._close()
        self._validation.annotate(error)


class SyncStream(Stream[_Event]):
    """A stream for synchronous code."""

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _Event:
        """Wait for the next event.

        Raises:
            AllProvidersFailedError: If no provider answered. It holds the error of each.
            LLMProviderError: If a provider refused to answer, or failed after its first text. `partial` holds what had
                arrived.
        """
        while not self._has_ended:
            try:
                received = _greenlets.call(self._core.next) if _greenlets.is_patched() else self._core.next()
            except RuntimeError:
                # Another thread is reading the stream, which stays open.
                raise
            except BaseException as error:
                self._fail(error)
                raise
            event = self._receive(received)
            if not isinstance(event, Signal):
                return event
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream and close its connection. Safe to call again, and from another thread."""
        self._close()


class AsyncStream(Stream[_Event]):
    """A stream for coroutines."""

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Event:
        """Wait for the next event. Raises what `SyncStream.__next__` does."""
        while not self._has_ended:
            # Outside the try block: this raises if another task is reading the stream, which stays open.
            step = self._core.anext()
            try:
                received = await result_of(step) if isinstance(step, _core.Pending) else step
            except BaseException as error:
                self._fail(error)
                raise
            event = self._receive(received)
            if not isinstance(event, Signal):
                return event
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._close()

    async def aclose(self) -> None:
        """End the stream and close its connection. Safe to call again, and from another task."""
        self._close()
