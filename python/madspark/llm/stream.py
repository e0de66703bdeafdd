"""Text streams, as returned by `LLMRouter.stream` and `LLMRouter.astream`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from madspark import _core
from madspark.llm._call import ReplyValidation
from madspark.llm._stream import AsyncStream, Signal, Stream, SyncStream

if TYPE_CHECKING:
    from madspark.llm._stream import Received

__all__ = ["AsyncTextStream", "TextStream"]

# `str`; with on_stream_error="restart" also `Restarted`.
_Event = TypeVar("_Event")


class _Text(Stream[_Event]):
    __slots__ = ("_pieces",)

    def __init__(self, core: _core.Stream, validation: ReplyValidation[str]) -> None:
        super().__init__(core, validation)
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """The text so far. A restart clears it."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def _receive(self, received: Received) -> _Event | Signal:
        if received is None:
            # `close()` also ends a stream, without a response.
            if not self._has_ended:
                self._has_ended = True
                self._response = self._core.finish()
            return Signal.END
        if isinstance(received, str):
            self._pieces.append(received)
        else:
            self._pieces.clear()
        return cast("_Event", received)

    def __repr__(self) -> str:
        state = "ended" if self._has_ended else "open"
        return f"<{type(self).__name__} {state}, {sum(map(len, self._pieces))} characters>"


class TextStream(_Text[_Event], SyncStream[_Event]):
    """An answer as it arrives: an iterator of `str`, and of `Restarted` if `on_stream_error` is "restart".

    Each item is all the text that has arrived since the last one; joined, they are the answer. Nothing is read ahead: a
    slow consumer slows the provider down.

    To stop early, leave the `with` block, call `close()`, or drop the object. After the last item, `response` describes
    how the answer came about.

    >>> with router.stream("Tell me a story") as stream:  # doctest: +SKIP
    ...     for piece in stream:
    ...         print(piece, end="")
    ... print(stream.response.provider)
    """

    __slots__ = ()


class AsyncTextStream(_Text[_Event], AsyncStream[_Event]):
    """An answer as it arrives: an async iterator of `str`, and of `Restarted` if `on_stream_error` is "restart".

    Like `TextStream`, for `async for`. To stop early, leave the `async with` block, call `aclose()`, or drop the
    object. Cancelling the task that waits for an item closes the stream too.

    >>> async with router.astream("Tell me a story") as stream:  # doctest: +SKIP
    ...     async for piece in stream:
    ...         print(piece, end="")
    ... print(stream.response.provider)
    """

    __slots__ = ()
