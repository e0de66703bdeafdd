"""The request-scoped router."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import ModuleType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Never, TypeVar, Unpack, overload

from madspark import _core, _greenlets
from madspark._not_from_requests import keep_from_requests
from madspark._waiting import result_of, run_sync
from madspark.llm._batch import BATCH_CONCURRENCY, MAX_PROMPT_CHARS, run_batch
from madspark.llm._call import Call, ReplyValidation
from madspark.llm.budget import Budget
from madspark.llm.config import LLMConfig
from madspark.llm.exceptions import InvalidArgumentError
from madspark.llm.metrics import HealthStatus, RouterMetrics
from madspark.llm.options import (
    File,
    PageErrorPolicy,
    ProviderChoice,
    ProviderName,
    StreamTimeouts,
    StructuredOptions,
    StructuredStreamOptions,
    Temperature,
    TierName,
)
from madspark.llm.response import LLMResponse, Restarted
from madspark.llm.stream import AsyncTextStream, TextStream
from madspark.llm.structured_stream import AsyncStructuredStream, StructuredStream
from madspark.llm.tiers import ModelTier

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from typing_extensions import TypeForm

    from madspark.llm._output import OutputAdapter

__all__ = [
    "BATCH_CONCURRENCY",
    "MAX_ATTEMPTS",
    "MAX_PROMPT_CHARS",
    "LLMRouter",
    "RouterMetrics",
    "get_router",
    "reset_router",
]

_T = TypeVar("_T")

MAX_ATTEMPTS = 6
"""The default of `LLMRouter(max_attempts=...)`."""


class LLMRouter:
    """Sends prompts to the providers that its configuration names, and to no others.

    A router belongs to one request. Building one takes microseconds, does no I/O and leaves nothing to close. It may be
    used from any thread and any event loop. Its settings and metrics are not shared with any other router.

    Each method has a coroutine twin with the same parameters, whose name starts with "a". Synchronous methods release
    the interpreter while they wait, and respond to Ctrl-C. Cancelling a coroutine closes its connections.

    Args:
        primary_provider: The provider that calls start with. Any value except "auto" pins it: it is always tried first.
        fallback_enabled: Whether another provider may answer if the first one fails.
        cache_enabled: Whether calls at temperature 0 use the response cache. A call or a run decides otherwise with
            `use_cache`.
        config: All other settings. None reads the environment, like `LLMConfig.from_env()`.
        model_tier: "fast", "balanced" or "quality".
        deadline: Seconds for one call, with all retries, repairs, fallbacks and pauses. None leaves only the timeouts
            of single requests.
        max_attempts: Upper bound of the requests that one call sends.
        budget: Upper bounds of what all calls of this router spend together. None means no bound.
        on_refusal: What happens if a model refuses or a safety filter blocks: "stop" raises ContentRefusedError, "next"
            tries the next provider.
        hedge_after: Seconds after which a call that has no answer is also sent to another provider, or "p95" for the
            95th percentile of the first provider's latencies. The first answer is used; the other request is cancelled,
            and its estimated usage is counted. None disables hedging. Streams are never hedged.

    Arguments override the configuration. The configuration overrides the environment.

    Raises:
        ValueError: If a provider or tier is unknown, or a number would let no call succeed.
    """

    __slots__ = ("__weakref__", "_config", "_core")

    def __init__(
        self,
        primary_provider: ProviderChoice | None = None,
        fallback_enabled: bool | None = None,
        cache_enabled: bool | None = None,
        config: LLMConfig | None = None,
        *,
        model_tier: ModelTier | TierName | None = None,
        deadline: float | None = None,
        max_attempts: int = MAX_ATTEMPTS,
        budget: Budget | None = None,
        on_refusal: Literal["stop", "next"] = "stop",
        hedge_after: float | Literal["p95"] | None = None,
    ) -> None:
        self._config = LLMConfig.from_env() if config is None else config
        self._core = _core.Router(
            self._config,
            primary_provider,
            fallback_enabled,
            cache_enabled,
            model_tier,
            deadline,
            max_attempts,
            budget,
            on_refusal,
            hedge_after,
        )

    def generate(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: Temperature = "default",
        max_tokens: int | None = None,
        force_provider: ProviderName | None = None,
        *,
        use_cache: bool | None = None,
    ) -> tuple[str, LLMResponse]:
        """Answer `prompt` with text.

        Args:
            prompt: Not blank, and not longer than the configuration's `max_prompt_chars`, or than the context window
                of the model where that is known.
            system_instruction: Instructions for the model; may be empty.
            temperature: 0.0 to 2.0, or "default" for the configuration's `default_temperature`. None sends none, so
                that the model's own default applies. Anthropic accepts at most 1.0; reasoning models of OpenAI and
                newer models of Anthropic accept none. The value is lowered or left out (`Attempt.omitted`).
            max_tokens: Upper bound of the answer, in tokens. None leaves it to the provider; Anthropic requires one:
                16 000.
            force_provider: The only provider that may answer. It overrides the router's choice and disables fallback.
            use_cache: Whether the answer may come from the response cache, or from an equal call in flight, and is
                stored there: True at any temperature, False never. None means only at temperature 0, and only if the
                router's cache is enabled.

        Returns:
            The text, and the response: who answered, tokens, cost and every attempt.

        Raises:
            ValueError: If an argument is invalid. Nothing is sent.
            AllProvidersFailedError: If no provider answered. It holds the error of each.
            LLMProviderError: If a provider refused to answer.
        """
        return self._begin(prompt, system_instruction, temperature, max_tokens, force_provider, use_cache).run()

    async def agenerate(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: Temperature = "default",
        max_tokens: int | None = None,
        force_provider: ProviderName | None = None,
        *,
        use_cache: bool | None = None,
    ) -> tuple[str, LLMResponse]:
        """Answer `prompt` with text, as a coroutine. See `generate`."""
        call = self._begin(prompt, system_instruction, temperature, max_tokens, force_provider, use_cache)
        return await call.arun()

    @overload
    def generate_structured(
        self,
        prompt: str,
        schema: TypeForm[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[_T, LLMResponse]: ...
    @overload
    def generate_structured(
        self,
        prompt: str,
        schema: TypeAdapter[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[_T, LLMResponse]: ...
    @overload
    def generate_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[Any, LLMResponse]: ...
    def generate_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: ProviderName | None = None,
        use_cache: bool | None = None,
        token_budget: int | None = None,
        *,
        max_tokens: int | None = None,
        on_page_error: PageErrorPolicy = "fail",
    ) -> tuple[Any, LLMResponse]:
        """Answer `prompt` with a value of the type `schema`.

        Pydantic validates the reply; a JSON Schema is validated as it is written. An invalid reply is repaired locally
        if that loses nothing (the attempt lists the `changes`). Otherwise it is sent back once with the validation
        errors, and after that the next provider is tried.

        The other arguments are those of `generate`.

        Args:
            schema: A pydantic model, a dataclass, a TypedDict, an enumeration, any other type that pydantic can
                validate (`list[Idea]`, `dict[str, int]`, `A | B`, `Annotated[...]`), a `TypeAdapter`, or a JSON Schema
                as a dictionary. A JSON Schema returns plain data; its `format`s are sent but not validated.
            files: Paths or bytes: images up to 8 MB, PDF up to 40 MB, text and Markdown up to 20 MB.
            urls: Web pages for the model to read, at most 20. They are fetched here and sent as text. Gemini receives
                the addresses instead if it is the first provider of the call, except those of `page_hosts`.
            images: Paths or bytes of images.
            token_budget: The same as `max_tokens`, under the name of earlier versions.
            on_page_error: What happens if a page cannot be read, here or by Gemini: "fail" raises PageUnavailableError;
                "skip" reports it to the model, and the `pages` of the last attempt say which page and why.

        Returns:
            The value, and the response: who answered, tokens, cost and every attempt.

        Raises:
            TypeError: If `schema` is none of these, or both `max_tokens` and `token_budget` are passed.
            ValueError: If a JSON Schema uses unsupported keywords, a file is too large or of an unknown kind, or
                another argument is invalid.
            FileNotFoundError: If a file is missing.
            PageUnavailableError: If a page cannot be read. An address that is private or contains credentials is a
                ValueError, whatever `on_page_error` says.
            AllProvidersFailedError: If no provider answered. It holds the error of each.
            LLMProviderError: If a provider refused to answer.
        """
        adapter, limit = _output().output_adapter(schema), _max_tokens(max_tokens, token_budget)
        return self._begin(
            prompt,
            system_instruction,
            temperature,
            limit,
            force_provider,
            use_cache,
            adapter,
            files,
            images,
            urls,
            on_page_error,
        ).run()

    @overload
    async def agenerate_structured(
        self,
        prompt: str,
        schema: TypeForm[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[_T, LLMResponse]: ...
    @overload
    async def agenerate_structured(
        self,
        prompt: str,
        schema: TypeAdapter[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[_T, LLMResponse]: ...
    @overload
    async def agenerate_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[Any, LLMResponse]: ...
    async def agenerate_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: ProviderName | None = None,
        use_cache: bool | None = None,
        token_budget: int | None = None,
        *,
        max_tokens: int | None = None,
        on_page_error: PageErrorPolicy = "fail",
    ) -> tuple[Any, LLMResponse]:
        """Answer `prompt` with a value of the type `schema`, as a coroutine. See `generate_structured`."""
        adapter, limit = _output().output_adapter(schema), _max_tokens(max_tokens, token_budget)
        call = self._begin(
            prompt,
            system_instruction,
            temperature,
            limit,
            force_provider,
            use_cache,
            adapter,
            files,
            images,
            urls,
            on_page_error,
        )
        return await call.arun()

    @overload
    def generate_structured_batch(
        self,
        prompts: list[str],
        schema: TypeForm[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[list[_T], LLMResponse]: ...
    @overload
    def generate_structured_batch(
        self,
        prompts: list[str],
        schema: TypeAdapter[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[list[_T], LLMResponse]: ...
    @overload
    def generate_structured_batch(
        self,
        prompts: list[str],
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[list[Any], LLMResponse]: ...
    def generate_structured_batch(
        self,
        prompts: list[str],
        schema: Any,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: ProviderName | None = None,
        use_cache: bool | None = None,
        token_budget: int | None = None,
        *,
        max_tokens: int | None = None,
        on_page_error: PageErrorPolicy = "fail",
    ) -> tuple[list[Any], LLMResponse]:
        """Answer each prompt with a value of the type `schema`, with up to ten calls in flight.

        The arguments except `prompts` are those of `generate_structured` and apply to each prompt. If one prompt fails,
        the others are cancelled and its error is raised. Equal prompts share one request at temperature 0, the default;
        at any other each is a request of its own, unless `use_cache` is True.

        Returns:
            The values in the order of the prompts (`[]` for none), and one response for the batch. It sums up tokens,
            cost (None if one is unknown) and attempts. Its latency is that of the whole batch, its text a JSON array of
            the replies, and its provider and model are joined by commas if they differ.

        Raises:
            TypeError: If `prompts` is not a list of strings.
            ValueError: If a prompt is blank or too long. Nothing is sent.
        """
        limit = _max_tokens(max_tokens, token_budget)
        options = StructuredOptions(
            files=files,
            urls=urls,
            images=images,
            force_provider=force_provider,
            use_cache=use_cache,
            max_tokens=limit,
            on_page_error=on_page_error,
        )
        return run_sync(
            lambda: self.agenerate_structured_batch(prompts, schema, system_instruction, temperature, **options)
        )

    @overload
    async def agenerate_structured_batch(
        self,
        prompts: list[str],
        schema: TypeForm[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[list[_T], LLMResponse]: ...
    @overload
    async def agenerate_structured_batch(
        self,
        prompts: list[str],
        schema: TypeAdapter[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[list[_T], LLMResponse]: ...
    @overload
    async def agenerate_structured_batch(
        self,
        prompts: list[str],
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        **options: Unpack[StructuredOptions],
    ) -> tuple[list[Any], LLMResponse]: ...
    async def agenerate_structured_batch(
        self,
        prompts: list[str],
        schema: Any,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: ProviderName | None = None,
        use_cache: bool | None = None,
        token_budget: int | None = None,
        *,
        max_tokens: int | None = None,
        on_page_error: PageErrorPolicy = "fail",
    ) -> tuple[list[Any], LLMResponse]:
        """Answer each prompt with a value of the type `schema`, as a coroutine. See `generate_structured_batch`."""
        limit = _max_tokens(max_tokens, token_budget)
        options = StructuredOptions(
            files=files,
            urls=urls,
            images=images,
            force_provider=force_provider,
            use_cache=use_cache,
            max_tokens=limit,
            on_page_error=on_page_error,
        )
        return await run_batch(
            prompts,
            lambda prompt: self.agenerate_structured(prompt, schema, system_instruction, temperature, **options),
            self._core.prompt_limit(force_provider),
        )

    @overload
    def stream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: Temperature = "default",
        max_tokens: int | None = None,
        force_provider: ProviderName | None = None,
        on_stream_error: Literal["fail"] = "fail",
        **timeouts: Unpack[StreamTimeouts],
    ) -> TextStream[str]: ...
    @overload
    def stream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: Temperature = "default",
        max_tokens: int | None = None,
        force_provider: ProviderName | None = None,
        on_stream_error: Literal["fail", "restart"] = "fail",
        **timeouts: Unpack[StreamTimeouts],
    ) -> TextStream[str | Restarted]: ...
    def stream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: Temperature = "default",
        max_tokens: int | None = None,
        force_provider: ProviderName | None = None,
        on_stream_error: Literal["fail", "restart"] = "fail",
        *,
        first_token_timeout: float | None = None,
        first_text_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
    ) -> TextStream[Any]:
        """Answer `prompt` with text as it arrives. The response cache is not used.

        The other arguments are those of `generate` and `StreamTimeouts`. Before the first text, a failing provider is
        replaced by the next one.

        Args:
            on_stream_error: What happens if a provider fails after its first text. "fail" raises the error, whose
                `partial` holds the text so far. "restart" yields a `Restarted`, which means that the text so far is
                void, and starts again with the next provider, or with the same one if no other may answer.

        Returns:
            An iterator and context manager. Nothing is sent before the first `next()`.

        Raises:
            ValueError: If an argument is invalid. Nothing is sent.
        """
        timeouts = (first_token_timeout, first_text_timeout, idle_timeout, total_timeout)
        call = self._begin_stream(
            prompt, system_instruction, temperature, max_tokens, force_provider, on_stream_error, timeouts
        )
        return TextStream(*call)

    @overload
    def astream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: Temperature = "default",
        max_tokens: int | None = None,
        force_provider: ProviderName | None = None,
        on_stream_error: Literal["fail"] = "fail",
        **timeouts: Unpack[StreamTimeouts],
    ) -> AsyncTextStream[str]: ...
    @overload
    def astream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: Temperature = "default",
        max_tokens: int | None = None,
        force_provider: ProviderName | None = None,
        on_stream_error: Literal["fail", "restart"] = "fail",
        **timeouts: Unpack[StreamTimeouts],
    ) -> AsyncTextStream[str | Restarted]: ...
    def astream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: Temperature = "default",
        max_tokens: int | None = None,
        force_provider: ProviderName | None = None,
        on_stream_error: Literal["fail", "restart"] = "fail",
        *,
        first_token_timeout: float | None = None,
        first_text_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
    ) -> AsyncTextStream[Any]:
        """Answer `prompt` with text as it arrives, for `async for` and `async with`. See `stream`."""
        timeouts = (first_token_timeout, first_text_timeout, idle_timeout, total_timeout)
        call = self._begin_stream(
            prompt, system_instruction, temperature, max_tokens, force_provider, on_stream_error, timeouts
        )
        return AsyncTextStream(*call)

    @overload
    def stream_structured(
        self,
        prompt: str,
        schema: TypeForm[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        *,
        on_stream_error: Literal["fail"] = "fail",
        **options: Unpack[StructuredStreamOptions],
    ) -> StructuredStream[_T, Never]: ...
    @overload
    def stream_structured(
        self,
        prompt: str,
        schema: TypeAdapter[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        *,
        on_stream_error: Literal["fail"] = "fail",
        **options: Unpack[StructuredStreamOptions],
    ) -> StructuredStream[_T, Never]: ...
    @overload
    def stream_structured(
        self,
        prompt: str,
        schema: TypeForm[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        *,
        on_stream_error: Literal["fail", "restart"] = "fail",
        **options: Unpack[StructuredStreamOptions],
    ) -> StructuredStream[_T, Restarted]: ...
    @overload
    def stream_structured(
        self,
        prompt: str,
        schema: TypeAdapter[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        *,
        on_stream_error: Literal["fail", "restart"] = "fail",
        **options: Unpack[StructuredStreamOptions],
    ) -> StructuredStream[_T, Restarted]: ...
    @overload
    def stream_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        *,
        on_stream_error: Literal["fail", "restart"] = "fail",
        **options: Unpack[StructuredStreamOptions],
    ) -> StructuredStream[Any, Restarted]: ...
    def stream_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: ProviderName | None = None,
        *,
        on_stream_error: Literal["fail", "restart"] = "fail",
        first_token_timeout: float | None = None,
        first_text_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
        max_tokens: int | None = None,
        on_page_error: PageErrorPolicy = "fail",
    ) -> StructuredStream[Any, Any]:
        """Answer `prompt` with a value of the type `schema`, and with its completed parts as they arrive.

        The arguments are those of `generate_structured` and `stream`. The response cache is not used. Before the first
        partial value, a failing provider is replaced by the next one, and an invalid reply is sent back once. After it,
        `on_stream_error` decides, also if the complete reply is invalid: "fail" raises the error, whose `partial` holds
        the last partial value as JSON text; "restart" yields a `Restarted` and continues like `generate_structured`.

        Returns:
            An iterator of partial values (plain data, completed fields only) followed by the validated value, and a
            context manager. Nothing is sent before the first `next()`.

        Raises:
            TypeError: If `schema` is not a supported type, or both `max_tokens` and `token_budget` are passed.
            ValueError: If another argument is invalid. Nothing is sent. With files, the first `next()` raises it.
        """
        timeouts = (first_token_timeout, first_text_timeout, idle_timeout, total_timeout)
        attached = (_output().output_adapter(schema), files, images, urls, on_page_error)
        limit = _max_tokens(max_tokens, token_budget)
        call = self._begin_stream(
            prompt, system_instruction, temperature, limit, force_provider, on_stream_error, timeouts, *attached
        )
        return StructuredStream(*call)

    @overload
    def astream_structured(
        self,
        prompt: str,
        schema: TypeForm[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        *,
        on_stream_error: Literal["fail"] = "fail",
        **options: Unpack[StructuredStreamOptions],
    ) -> AsyncStructuredStream[_T, Never]: ...
    @overload
    def astream_structured(
        self,
        prompt: str,
        schema: TypeAdapter[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        *,
        on_stream_error: Literal["fail"] = "fail",
        **options: Unpack[StructuredStreamOptions],
    ) -> AsyncStructuredStream[_T, Never]: ...
    @overload
    def astream_structured(
        self,
        prompt: str,
        schema: TypeForm[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        *,
        on_stream_error: Literal["fail", "restart"] = "fail",
        **options: Unpack[StructuredStreamOptions],
    ) -> AsyncStructuredStream[_T, Restarted]: ...
    @overload
    def astream_structured(
        self,
        prompt: str,
        schema: TypeAdapter[_T],
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        *,
        on_stream_error: Literal["fail", "restart"] = "fail",
        **options: Unpack[StructuredStreamOptions],
    ) -> AsyncStructuredStream[_T, Restarted]: ...
    @overload
    def astream_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        *,
        on_stream_error: Literal["fail", "restart"] = "fail",
        **options: Unpack[StructuredStreamOptions],
    ) -> AsyncStructuredStream[Any, Restarted]: ...
    def astream_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: Temperature = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: ProviderName | None = None,
        *,
        on_stream_error: Literal["fail", "restart"] = "fail",
        first_token_timeout: float | None = None,
        first_text_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
        max_tokens: int | None = None,
        on_page_error: PageErrorPolicy = "fail",
    ) -> AsyncStructuredStream[Any, Any]:
        """Answer `prompt` with a value and its parts, for `async for` and `async with`. See `stream_structured`."""
        timeouts = (first_token_timeout, first_text_timeout, idle_timeout, total_timeout)
        attached = (_output().output_adapter(schema), files, images, urls, on_page_error)
        limit = _max_tokens(max_tokens, token_budget)
        call = self._begin_stream(
            prompt, system_instruction, temperature, limit, force_provider, on_stream_error, timeouts, *attached
        )
        return AsyncStructuredStream(*call)

    def get_metrics(self) -> RouterMetrics:
        """Return the counters of this router."""
        return self._core.metrics()

    def reset_metrics(self) -> None:
        """Set every counter to zero."""
        self._core.reset_metrics()

    def health_status(self) -> HealthStatus:
        """Probe each provider by listing its models, for at most five seconds, and return what was found."""
        if _greenlets.is_patched():
            return run_sync(self.ahealth_status)
        return self._core.health()

    async def ahealth_status(self) -> HealthStatus:
        """Probe each provider, as a coroutine. See `health_status`."""
        return await result_of(self._core.ahealth())

    @property
    def config(self) -> LLMConfig:
        """The configuration the router was built from."""
        return self._config

    @property
    def primary_provider(self) -> ProviderChoice:
        """The provider that calls start with; "auto" lets the model tier decide."""
        return self._core.primary_provider

    @property
    def fallback_enabled(self) -> bool:
        """Whether another provider may answer if the first one fails."""
        return self._core.fallback_enabled

    @property
    def cache_enabled(self) -> bool:
        """Whether calls at temperature 0 use the response cache, unless they choose otherwise."""
        return self._core.cache_enabled

    @property
    def model_tier(self) -> ModelTier:
        """The model tier."""
        return self._core.model_tier

    @property
    def deadline(self) -> float | None:
        """Seconds for one call; None means no deadline."""
        return self._core.deadline

    @property
    def max_attempts(self) -> int:
        """Upper bound of the requests that one call sends."""
        return self._core.max_attempts

    @property
    def budget(self) -> Budget:
        """Upper bounds of what all calls of this router spend together."""
        return self._core.budget

    @property
    def on_refusal(self) -> Literal["stop", "next"]:
        """What happens after a refusal: "stop" raises an error, "next" tries the next provider."""
        return self._core.on_refusal

    @property
    def hedge_after(self) -> float | Literal["p95"] | None:
        """When a slow call is also sent to another provider: seconds, or "p95". None disables hedging."""
        return self._core.hedge_after

    def __repr__(self) -> str:
        return (
            f"LLMRouter(primary_provider={self.primary_provider!r}, fallback_enabled={self.fallback_enabled}, "
            f"cache_enabled={self.cache_enabled}, model_tier={self.model_tier.value!r})"
        )

    def __reduce__(self) -> Never:
        raise TypeError(
            "an LLMRouter cannot be pickled or copied: it belongs to one request and holds its metrics and budget; "
            "pickle its `config` and build a new LLMRouter from that"
        )

    def _begin(
        self,
        prompt: str,
        system: str,
        temperature: Temperature,
        max_tokens: int | None,
        force_provider: str | None,
        use_cache: bool | None,
        adapter: OutputAdapter[Any] | None = None,
        files: Sequence[File] | None = None,
        images: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        on_page_error: PageErrorPolicy = "fail",
    ) -> Call[Any]:
        core = self._core.begin(
            prompt,
            system,
            self._config.default_temperature if temperature == "default" else temperature,
            max_tokens,
            None if adapter is None else adapter.schema,
            files or (),
            images or (),
            urls or (),
            force_provider,
            use_cache,
            on_page_error,
        )
        return Call(core, prompt, adapter)

    def _begin_stream(
        self,
        prompt: str,
        system: str,
        temperature: Temperature,
        max_tokens: int | None,
        force_provider: str | None,
        on_stream_error: str,
        timeouts: tuple[float | None, float | None, float | None, float | None],
        adapter: OutputAdapter[Any] | None = None,
        files: Sequence[File] | None = None,
        images: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        on_page_error: PageErrorPolicy = "fail",
    ) -> tuple[_core.Stream, ReplyValidation[Any]]:
        core = self._core.begin_stream(
            prompt,
            system,
            self._config.default_temperature if temperature == "default" else temperature,
            max_tokens,
            force_provider,
            on_stream_error,
            *timeouts,
            None if adapter is None else adapter.schema,
            files or (),
            images or (),
            urls or (),
            on_page_error,
        )
        return core, ReplyValidation(prompt, adapter)


keep_from_requests(LLMRouter.__init__, "config", LLMConfig | None)


@functools.cache
def _output() -> ModuleType:
    """Import the output adapters, and pydantic with them, at the first structured call."""
    from madspark.llm import _output

    return _output


def _max_tokens(max_tokens: int | None, token_budget: int | None) -> int | None:
    if max_tokens is None:
        return token_budget
    if token_budget is None:
        return max_tokens
    raise InvalidArgumentError("pass max_tokens or token_budget, not both: they are two names of one limit")


_process_wide: dict[str, LLMRouter] = {}
"""The deprecated singleton. `dict.setdefault` is atomic; a lock could be held by a thread while another one forks."""


def get_router() -> LLMRouter:
    """Return the process-wide router, built from the environment at first use.

    Deprecated: its configuration and metrics are shared by all callers. Safe to call from any thread.
    """
    import warnings

    warnings.warn(
        "get_router() shares one router between requests: build an LLMRouter(...) per request and pass it as router=",
        DeprecationWarning,
        stacklevel=2,
    )
    router = _process_wide.get("router")
    # If two threads build one at the same time, the first one stays; the other has not been used.
    return _process_wide.setdefault("router", LLMRouter()) if router is None else router


def reset_router() -> None:
    """Forget the process-wide router; the next `get_router()` builds a new one."""
    _process_wide.pop("router", None)
