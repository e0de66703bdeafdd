"""Streams of structured answers, as returned by `LLMRouter.stream_structured` and `LLMRouter.astream_structured`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from madspark import _core
from madspark.llm._call import ReplyValidation
from madspark.llm._stream import AsyncStream, Signal, Stream, SyncStream

if TYPE_CHECKING:
    from madspark.llm._stream import Received

__all__ = ["AsyncStructuredStream", "StructuredStream"]

# The type of the schema.
_T = TypeVar("_T")
# `Restarted` with on_stream_error="restart", otherwise `Never`.
_R = TypeVar("_R")

_Partial: TypeAlias = dict[str, Any] | list[Any]


class _Structured(Stream[_Partial | _T | _R], Generic[_T, _R]):
    __slots__ = ("_partial",)

    def __init__(self, core: _core.Stream, validation: ReplyValidation[_T]) -> None:
        super().__init__(core, validation)
        self._partial: _Partial | None = None

    @property
    def partial(self) -> _Partial | None:
        """The last partial value. None before the first completed field, and after a restart."""
        return self._partial

    @property
    def value(self) -> _T:
        """The validated value. Raises RuntimeError before the end, and if the stream failed or was closed."""
        if self._response is None:
            raise RuntimeError(f"there is no value: {self._state()}")
        return cast("_T", self._validation.value)

    def _receive(self, received: Received) -> _Partial | _T | _R | Signal:
        match received:
            case (text, True):
                return self._complete(text)
            case (text, False):
                # pydantic is loaded by the first structured call, not with this module.
                import pydantic_core

                try:
                    partial = cast("_Partial", pydantic_core.from_json(text))
                except ValueError:
                    # Python cannot represent it: a number of thousands of digits. The complete reply is rejected.
                    return Signal.PULL
                self._partial = partial
                return partial
            case None:
                # Closed while the event was awaited.
                self._has_ended = True
                return Signal.END
        self._partial = None
        return cast("_R", received)

    def _complete(self, reply: str) -> _T | Signal:
        """Validate the complete reply and end the stream, or send the reply back for correction."""
        try:
            if not self._validation.accepts(reply):
                self._core.reject(self._validation.errors or [])
                return Signal.PULL
            self._response = self._core.finish()
        except BaseException:
            # One of the caller's own validators failed.
            self._close()
            raise
        self._has_ended = True
        return cast("_T", self._validation.value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'ended' if self._has_ended else 'open'}>"


class StructuredStream(_Structured[_T, _R], SyncStream[_Partial | _T | _R]):
    """A structured answer as it arrives: an iterator of partial values, with the validated value as its last item.

    A partial value is plain data (a dict or a list, like the result of `json.loads`) and holds completed fields only:
    no string, number or key that may still grow. Lists and objects grow by completed members. Each partial value is a
    new object that contains everything the previous one did. It is what the model wrote; the validated value may differ
    if pydantic converts fields or the reply is repaired. Large partial values may lag behind by 1/256 of their size.

    With on_stream_error="restart", a `Restarted` item means that all items so far are void.

    To stop early, leave the `with` block, call `close()`, or drop the object. After the last item, `value` is the
    validated value, and `response` describes how it came about.

    >>> with router.stream_structured("Name a river", River) as stream:  # doctest: +SKIP
    ...     for item in stream:
    ...         show(item)
    ... print(stream.value, stream.response.provider)
    """

    __slots__ = ()


class AsyncStructuredStream(_Structured[_T, _R], AsyncStream[_Partial | _T | _R]):
    """A structured answer as it arrives: an async iterator of partial values that ends with the validated value.

    Like `StructuredStream`, for `async for`. To stop early, leave the `async with` block, call `aclose()`, or drop the
    object. Cancelling the task that waits for an item closes the stream too.

    >>> async with router.astream_structured("Name a river", River) as stream:  # doctest: +SKIP
    ...     async for item in stream:
    ...         show(item)
    ... print(stream.value, stream.response.provider)
    """

    __slots__ = ()
