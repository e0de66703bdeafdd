"""Text as it comes: what `LLMRouter.stream()` and `LLMRouter.astream()` return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

from madspark._drive import finish
from madspark.llm.exceptions import AllProvidersFailedError

if TYPE_CHECKING:
    from typing import Self

    from madspark import _core
    from madspark.llm.response import LLMResponse, Restarted

__all__ = ["AsyncTextStream", "TextStream"]

# `str`, with on_stream_error="restart" also `Restarted`.
_Event = TypeVar("_Event")


class _Stream(Generic[_Event]):
    """What both kinds share: the books of one stream."""

    __slots__ = ("__weakref__", "_core", "_has_ended", "_pieces", "_prompt", "_response")

    def __init__(self, core: _core.Stream, prompt: str) -> None:
        self._core = core
        self._prompt = prompt
        self._pieces: list[str] = []
        self._has_ended = False
        self._response: LLMResponse | None = None

    @property
    def text(self) -> str:
        """The text so far; a restart empties it."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    @property
    def response(self) -> LLMResponse:
        """How the answer came about. Raises RuntimeError before the end, and where the stream was closed or failed."""
        if self._response is None:
            state = "ended without a whole answer" if self._has_ended else "has not ended yet"
            raise RuntimeError(f"there is no response: the stream {state}")
        return self._response

    def _close(self) -> None:
        self._has_ended = True
        self._core.close()

    def _take(self, event: str | Restarted | None) -> _Event | None:
        """Enter `event` in the books; None is the end."""
        if event is None:
            # A close() in the meantime has ended it too, without an answer.
            if not self._has_ended:
                self._has_ended = True
                self._response = self._core.finish()
            return None
        if isinstance(event, str):
            self._pieces.append(event)
        else:
            self._pieces.clear()
        return cast("_Event", event)

    def _failed(self, error: BaseException) -> None:
        self._close()
        if isinstance(error, AllProvidersFailedError):
            error.prompt = self._prompt

    def __repr__(self) -> str:
        state = "ended" if self._has_ended else "open"
        return f"<{type(self).__name__} {state}, {sum(map(len, self._pieces))} characters>"


class TextStream(_Stream[_Event]):
    """An answer as it comes: an iterator of `str`, and of `Restarted` where that was asked for.

    One piece is all the text that has arrived since the last one; joined they are the answer. Nothing is read ahead:
    a consumer that takes its time slows the provider down.

    Leaving the loop for good and closing go together: use `with`, call `close()`, or drop the object. When the loop has
    come to its end `response` tells how the answer came about.

    >>> with router.stream("Tell me a story") as stream:  # doctest: +SKIP
    ...     for piece in stream:
    ...         print(piece, end="")
    ... print(stream.response.provider)
    """

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _Event:
        """Wait for the next text.

        Raises:
            AllProvidersFailedError: No provider answered; it names each with its reason.
            LLMProviderError: A provider refused to answer, or failed after its first text, which `partial` holds.
        """
        if self._has_ended:
            raise StopIteration
        try:
            received = self._core.next()
        except RuntimeError:
            # Another thread reads it: that is no end.
            raise
        except BaseException as error:
            self._failed(error)
            raise
        event = self._take(received)
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream and close its connection. Safe to call again, and from another thread."""
        self._close()


class AsyncTextStream(_Stream[_Event]):
    """An answer as it comes: an async iterator of `str`, and of `Restarted` where that was asked for.

    One piece is all the text that has arrived since the last one; joined they are the answer. Nothing is read ahead:
    a consumer that takes its time slows the provider down.

    Leaving the loop for good and closing go together: use `async with`, call `aclose()`, or drop the object; cancelling
    the task that waits for text closes the stream too. When the loop has come to its end `response` tells how the
    answer came about.

    >>> async with router.astream("Tell me a story") as stream:  # doctest: +SKIP
    ...     async for piece in stream:
    ...         print(piece, end="")
    ... print(stream.response.provider)
    """

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Event:
        """Wait for the next text.

        Raises:
            AllProvidersFailedError: No provider answered; it names each with its reason.
            LLMProviderError: A provider refused to answer, or failed after its first text, which `partial` holds.
        """
        if self._has_ended:
            raise StopAsyncIteration
        # Fails where another task reads it: that is no end, so it stays outside.
        pending = self._core.anext()
        try:
            received = await finish(pending)
        except BaseException as error:
            self._failed(error)
            raise
        event = self._take(received)
        if event is None:
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._close()

    async def aclose(self) -> None:
        """End the stream and close its connection. Safe to call again, and from another task."""
        self._close()
