"""A prepared call: sent by `run` from synchronous code, or by `arun` from a coroutine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

from madspark import _greenlets
from madspark._waiting import result_of, run_sync
from madspark.llm.exceptions import AllProvidersFailedError, LLMProviderError, SchemaValidationError

if TYPE_CHECKING:
    from madspark import _core
    from madspark.llm._output import OutputAdapter
    from madspark.llm.response import LLMResponse

_T = TypeVar("_T")


class ReplyValidation(Generic[_T]):
    """Validates the replies of one call. The reply to a text call is valid as it is.

    `errors` describes why the last reply is invalid, for the request that asks the model to correct it.
    """

    __slots__ = ("_adapter", "_cause", "_prompt", "_reply", "errors", "value")

    value: _T
    """The value of the valid reply."""

    def __init__(self, prompt: str, adapter: OutputAdapter[_T] | None = None) -> None:
        self._prompt = prompt
        self._adapter = adapter
        self.errors: list[str] | None = None

    def accepts(self, reply: str) -> bool:
        """Return whether `reply` is valid. Exceptions of the caller's own validators are not caught."""
        adapter = self._adapter
        if adapter is None:
            self.value = cast("_T", reply)
            return True
        try:
            self.value = adapter.validate_json(reply)
        except adapter.VALIDATION_ERRORS as error:
            self._reply, self._cause, self.errors = reply, error, adapter.describe(error)
            return False
        return True

    def annotate(self, failure: BaseException) -> None:
        """Add to the error of a failed call what only Python knows: the prompt, and why the last reply is invalid."""
        if isinstance(failure, AllProvidersFailedError):
            failure.prompt = self._prompt
        # The last reply may have held no JSON at all; it was never validated then.
        if isinstance(failure, SchemaValidationError) and self.errors is not None and failure.raw == self._reply:
            # The cause belongs to the error of the target that sent this reply.
            (failure.__cause__ or failure).__cause__ = self._cause


class Call(Generic[_T]):
    """One call: requests replies until one is valid."""

    __slots__ = ("_core", "_validation")

    def __init__(self, core: _core.Call, prompt: str, adapter: OutputAdapter[_T] | None = None) -> None:
        self._core = core
        self._validation = ReplyValidation(prompt, adapter)

    def run(self) -> tuple[_T, LLMResponse]:
        """Run the call on the calling thread, which under gevent is shared with other greenlets."""
        if _greenlets.is_patched():
            return run_sync(self.arun)
        core, validation = self._core, self._validation
        try:
            while not validation.accepts(core.next(validation.errors)):
                pass
        except LLMProviderError as failure:
            validation.annotate(failure)
            raise
        response = core.finish()
        core.settle()
        return validation.value, response

    async def arun(self) -> tuple[_T, LLMResponse]:
        """Run the call on the running event loop."""
        core, validation = self._core, self._validation
        try:
            while True:
                step = core.anext(validation.errors)
                if validation.accepts(step if isinstance(step, str) else await result_of(step)):
                    break
        except LLMProviderError as failure:
            validation.annotate(failure)
            raise
        response = core.finish()
        cache_write = core.asettle()
        if cache_write is not None:
            await result_of(cache_write)
        return validation.value, response
