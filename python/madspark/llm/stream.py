"""Text as it comes: what `LLMRouter.stream()` and `LLMRouter.astream()` return."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from madspark.llm._stream import AsyncStream, Mark, Stream, SyncStream

if TYPE_CHECKING:
    from madspark import _core
    from madspark.llm._stream import Received

__all__ = ["AsyncTextStream", "TextStream"]

# `str`, with on_stream_error="restart" also `Restarted`.
_Event = TypeVar("_Event")


class _Text(Stream[_Event]):
    """What both kinds share."""

    __slots__ = ("_pieces",)

    def __init__(self, core: _core.Stream, prompt: str) -> None:
        super().__init__(core, prompt)
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """The text so far; a restart empties it."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def _take(self, received: Received) -> _Event | Mark:
        if received is None:
            # A close() in the meantime has ended it too, without an answer.
            if not self._has_ended:
                self._has_ended = True
                self._response = self._core.finish()
            return Mark.END
        if isinstance(received, str):
            self._pieces.append(received)
        else:
            self._pieces.clear()
        return cast("_Event", received)

    def __repr__(self) -> str:
        state = "ended" if self._has_ended else "open"
        return f"<{type(self).__name__} {state}, {sum(map(len, self._pieces))} characters>"


class TextStream(_Text[_Event], SyncStream[_Event]):
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


class AsyncTextStream(_Text[_Event], AsyncStream[_Event]):
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
