"""What every kind of stream shares: the two doors, closing, and the books of one stream."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeVar

from madspark._core import Pending
from madspark._drive import finish
from madspark.llm.exceptions import AllProvidersFailedError

if TYPE_CHECKING:
    from typing import Self

    from madspark import _core
    from madspark.llm.response import LLMResponse, Restarted

    Received = str | tuple[str, bool] | Restarted | None

_Event = TypeVar("_Event")


class Mark(Enum):
    """What is no event for the consumer."""

    END = "the stream has ended"
    AGAIN = "the next event is wanted"


class Stream(Generic[_Event]):
    """The books of one stream."""

    __slots__ = ("__weakref__", "_core", "_has_ended", "_prompt", "_response")

    def __init__(self, core: _core.Stream, prompt: str) -> None:
        self._core = core
        self._prompt = prompt
        self._has_ended = False
        self._response: LLMResponse | None = None

    @property
    def response(self) -> LLMResponse:
        """How the answer came about. Raises RuntimeError before the end, and where the stream was closed or failed."""
        if self._response is None:
            raise RuntimeError(f"there is no response: {self._state()}")
        return self._response

    def _state(self) -> str:
        return "the stream ended without a whole answer" if self._has_ended else "the stream has not ended yet"

    def _close(self) -> None:
        self._has_ended = True
        self._core.close()

    def _take(self, received: Received) -> _Event | Mark:
        """Enter what was received in the books; None is the end."""
        raise NotImplementedError

    def _failed(self, error: BaseException) -> None:
        self._close()
        if isinstance(error, AllProvidersFailedError):
            error.prompt = self._prompt


class SyncStream(Stream[_Event]):
    """The door for synchronous code."""

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _Event:
        """Wait for the next event.

        Raises:
            AllProvidersFailedError: No provider answered; it names each with its reason.
            LLMProviderError: A provider refused to answer, or failed after its first text; `partial` holds what was
                given last.
        """
        while not self._has_ended:
            try:
                received = self._core.next()
            except RuntimeError:
                # Another thread reads it: that is no end.
                raise
            except BaseException as error:
                self._failed(error)
                raise
            event = self._take(received)
            if not isinstance(event, Mark):
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
    """The door for coroutines."""

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Event:
        """Wait for the next event.

        Raises:
            AllProvidersFailedError: No provider answered; it names each with its reason.
            LLMProviderError: A provider refused to answer, or failed after its first text; `partial` holds what was
                given last.
        """
        while not self._has_ended:
            # Fails where another task reads it: that is no end, so it stays outside.
            step = self._core.anext()
            try:
                received = await finish(step) if isinstance(step, Pending) else step
            except BaseException as error:
                self._failed(error)
                raise
            event = self._take(received)
            if not isinstance(event, Mark):
                return event
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._close()

    async def aclose(self) -> None:
        """End the stream and close its connection. Safe to call again, and from another task."""
        self._close()
