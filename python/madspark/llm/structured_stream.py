"""Objects as they come: what `LLMRouter.stream_structured()` and `LLMRouter.astream_structured()` return."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic_core import from_json

from madspark.llm._stream import AsyncStream, Mark, Stream, SyncStream

if TYPE_CHECKING:
    from madspark import _core
    from madspark.llm._output import OutputAdapter
    from madspark.llm._stream import Received

__all__ = ["AsyncStructuredStream", "StructuredStream"]

# The schema's own type.
_T = TypeVar("_T")
# With on_stream_error="restart" `Restarted`, otherwise nothing.
_R = TypeVar("_R")

_Partial = dict[str, Any] | list[Any]


class _Structured(Stream[_Partial | _T | _R], Generic[_T, _R]):
    """What both kinds share."""

    __slots__ = ("_has_value", "_partial", "_validation", "_value")

    def __init__(self, core: _core.Stream, prompt: str, adapter: OutputAdapter[Any]) -> None:
        super().__init__(core, prompt)
        # An adapter calls nothing but `finish` of a call, which a stream has as well.
        self._validation = adapter.steps(cast("_core.Call", core))
        next(self._validation)
        self._partial: _Partial | None = None
        self._has_value = False
        self._value: _T | None = None

    @property
    def partial(self) -> _Partial | None:
        """What is closed so far, as it was given last; None before the first closed field, and after a restart."""
        return self._partial

    @property
    def value(self) -> _T:
        """The instance. Raises RuntimeError before the end, and where the stream was closed or failed."""
        if not self._has_value:
            raise RuntimeError(f"there is no value: {self._state()}")
        return cast("_T", self._value)

    def _take(self, received: Received) -> _Partial | _T | _R | Mark:
        match received:
            case (text, True):
                return self._validate(text)
            case (text, False):
                partial: _Partial = from_json(text)
                self._partial = partial
                return partial
            case None:
                # A close() in the meantime.
                self._has_ended = True
                return Mark.END
        self._partial = None
        return cast("_R", received)

    def _validate(self, text: str) -> _T | Mark:
        try:
            _, errors = self._validation.send(text)
        except StopIteration as done:
            self._value, self._response = done.value
            self._has_value = self._has_ended = True
            return cast("_T", self._value)
        except BaseException:
            # A validator of the caller's own has failed.
            self._close()
            raise
        self._core.reject(errors or [])
        return Mark.AGAIN

    def _failed(self, error: BaseException) -> None:
        super()._failed(error)
        if isinstance(error, Exception):
            # The adapter sets the cause and raises the same error, which the caller is about to raise.
            with suppress(Exception):
                self._validation.throw(error)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'ended' if self._has_ended else 'open'}>"


class StructuredStream(_Structured[_T, _R], SyncStream[_Partial | _T | _R]):
    """An object as it comes: an iterator of what is closed of it, with the validated instance as its last item.

    A partial object is plain data (a dict or a list, as `json.loads` would give it) and holds closed fields only: no
    string, number or key that the model may go on writing. Lists and objects grow with their closed members. Each
    partial object is a new one and holds everything that the last one did. It is what the model wrote: the instance may
    differ where pydantic converts, or where the reply had to be mended. A large one may lag behind by a part in 256.

    `Restarted` comes where that was asked for: what was given before is void.

    Leaving the loop for good and closing go together: use `with`, call `close()`, or drop the object. When the loop has
    come to its end `value` is the instance, and `response` tells how it came about.

    >>> with router.stream_structured("Name a river", River) as stream:  # doctest: +SKIP
    ...     for item in stream:
    ...         show(item)
    ... print(stream.value, stream.response.provider)
    """

    __slots__ = ()


class AsyncStructuredStream(_Structured[_T, _R], AsyncStream[_Partial | _T | _R]):
    """An object as it comes: an async iterator of what is closed of it, with the validated instance as its last item.

    What the items are is told at `StructuredStream`. Use `async with`, call `aclose()`, or drop the object to leave
    early; cancelling the task that waits for an item closes the stream too.

    >>> async with router.astream_structured("Name a river", River) as stream:  # doctest: +SKIP
    ...     async for item in stream:
    ...         show(item)
    ... print(stream.value, stream.response.provider)
    """

    __slots__ = ()
