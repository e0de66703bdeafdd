"""The part of a router that answers with text, whole or as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from madspark._drive import adrive, drive
from madspark.llm._base_router import BaseRouter
from madspark.llm.exceptions import AllProvidersFailedError

if TYPE_CHECKING:
    from typing import Any, Literal, Unpack

    from madspark._drive import Steps
    from madspark.llm._base_router import TimeLimits
    from madspark.llm.response import LLMResponse, Restarted
    from madspark.llm.stream import AsyncTextStream, TextStream


class TextRouter(BaseRouter):
    """Answers prompts with text, whole or as it comes."""

    __slots__ = ()

    def generate(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
        *,
        use_cache: bool | None = None,
    ) -> tuple[str, LLMResponse]:
        """Answer `prompt` with text.

        Args:
            prompt: At most 100 000 characters, not blank.
            system_instruction: Empty for none.
            temperature: 0.0 to 2.0; None means the config's `default_temperature`. Anthropic's ends at 1.0, and its
                models newer than 4.6 are asked without one.
            max_tokens: Upper bound of the answer; None leaves it to the model, but for Anthropic: 16 000.
            force_provider: The only provider that may answer, whatever the router's own choice.
            use_cache: Whether the answer may come from the response cache and is kept there; None leaves it to the
                router.

        Returns:
            The text, and how it came about.

        Raises:
            ValueError: For a wrong argument; nothing was sent.
            AllProvidersFailedError: No provider answered; it names each with its reason.
            LLMProviderError: A provider refused to answer.
        """
        return drive(self._text(prompt, system_instruction, temperature, max_tokens, force_provider, use_cache))

    async def agenerate(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
        *,
        use_cache: bool | None = None,
    ) -> tuple[str, LLMResponse]:
        """Do as `generate`, as a coroutine; cancelling it closes the connection."""
        return await adrive(self._text(prompt, system_instruction, temperature, max_tokens, force_provider, use_cache))

    @overload
    def stream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
        on_stream_error: Literal["fail"] = "fail",
        **limits: Unpack[TimeLimits],
    ) -> TextStream[str]: ...
    @overload
    def stream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
        on_stream_error: str = "fail",
        **limits: Unpack[TimeLimits],
    ) -> TextStream[str | Restarted]: ...
    def stream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
        on_stream_error: str = "fail",
        *,
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
    ) -> TextStream[Any]:
        """Answer `prompt` with text as it comes, never from the response cache.

        The other arguments are those of `generate`. Before the first text a failing provider is replaced by the next
        one unnoticed. The time limits hold for one provider each, and only the time spent waiting for it counts.

        Args:
            on_stream_error: What happens when a provider fails after its first text: "fail" raises the error, with the
                text so far in its `partial`; "restart" gives a `Restarted`, which tells to drop the text so far, and
                starts anew with the next provider, or with the same one where it alone may be asked.
            first_token_timeout: Seconds to the first text; None means 120, for Ollama the config's `ollama_timeout`.
            idle_timeout: Seconds that a stream may stand still; None means 60.
            total_timeout: Seconds for the whole answer; None means 600, for Ollama the config's `ollama_timeout`.

        Returns:
            An iterator and context manager; nothing is sent before the first `next()`.

        Raises:
            ValueError: For a wrong argument; nothing was sent.
        """
        from madspark.llm.stream import TextStream

        limits = (first_token_timeout, idle_timeout, total_timeout)
        chosen = self._or_default(temperature)
        core = self._begin_stream(
            prompt, system_instruction, chosen, max_tokens, force_provider, on_stream_error, limits
        )
        return TextStream(core, prompt)

    @overload
    def astream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
        on_stream_error: Literal["fail"] = "fail",
        **limits: Unpack[TimeLimits],
    ) -> AsyncTextStream[str]: ...
    @overload
    def astream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
        on_stream_error: str = "fail",
        **limits: Unpack[TimeLimits],
    ) -> AsyncTextStream[str | Restarted]: ...
    def astream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
        on_stream_error: str = "fail",
        *,
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
    ) -> AsyncTextStream[Any]:
        """Do as `stream`, for `async for` and `async with`; cancelling it closes the connection."""
        from madspark.llm.stream import AsyncTextStream

        limits = (first_token_timeout, idle_timeout, total_timeout)
        chosen = self._or_default(temperature)
        core = self._begin_stream(
            prompt, system_instruction, chosen, max_tokens, force_provider, on_stream_error, limits
        )
        return AsyncTextStream(core, prompt)

    def _text(
        self,
        prompt: str,
        system: str,
        temperature: float | None,
        max_tokens: int | None,
        force: str | None,
        use_cache: bool | None,
    ) -> Steps[tuple[str, LLMResponse]]:
        chosen = self._or_default(temperature)
        call = self._core.begin(prompt, system, chosen, max_tokens, None, (), (), (), force, use_cache)
        try:
            text = yield call, None
        except AllProvidersFailedError as error:
            error.prompt = prompt
            raise
        return text, call.finish()

    def _or_default(self, temperature: float | None) -> float:
        return self._config.default_temperature if temperature is None else temperature
