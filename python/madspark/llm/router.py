"""The request-scoped router: one request's providers, models, keys and metrics."""

from __future__ import annotations

import functools
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar, overload

from madspark import _core
from madspark._drive import adrive, drive, finish, run_sync
from madspark.llm.config import LLMConfig
from madspark.llm.exceptions import AllProvidersFailedError

# The core makes these. Imported here, and not by its first call: a process that another thread forks in the middle of
# an import would wait for ever for the rest of it.
from madspark.llm.response import LLMResponse, Restarted  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from os import PathLike
    from types import UnionType
    from typing import Any, Literal, Never

    from pydantic import TypeAdapter

    from madspark._core import Call, Stream
    from madspark.llm._judge import Judge
    from madspark.llm.budget import Budget
    from madspark.llm.stream import AsyncTextStream, TextStream
    from madspark.llm.structured_stream import AsyncStructuredStream, StructuredStream
    from madspark.llm.tiers import ModelTier

    File = str | PathLike[str] | bytes

_T = TypeVar("_T")

MAX_PROMPT_CHARS = 100_000
"""Upper bound of one prompt, in characters."""

MAX_ATTEMPTS = 6
"""The most requests that one call sends where `LLMRouter` was told no number."""

BATCH_CONCURRENCY = 10
"""How many prompts of one batch are under way at once."""


class LLMRouter:
    """Answers prompts through the providers that its own configuration names, and through no other.

    A router belongs to one request. Building one takes microseconds, does no I/O and leaves nothing to close; it can be
    used from any thread and any event loop. Nothing that one router was given (provider, tier, host, key, model,
    timeout) can reach another.

    Args:
        primary_provider: "auto", "ollama", "gemini", "openai", "anthropic" or "mock". Naming one pins it: it is always
            asked first.
        fallback_enabled: Whether another provider may answer when the first one fails.
        config: Everything else. Without it the environment is read, as by `LLMConfig.from_env()`.
        model_tier: "fast", "balanced" or "quality".
        deadline: Seconds one call may take, with every retry, repair, fallback and pause; None for no end but those of
            the single requests.
        max_attempts: The most requests one call sends.
        budget: What all calls of this router may spend together; None for no bound.
        on_refusal: What follows when a model refuses or a safety filter blocks: "stop" raises ContentRefusedError,
            "next" asks the next provider.
        hedge_after: Seconds without an answer after which another provider is asked beside the first, or "p95": when 95
            of 100 answers of the first had come. The answer that comes first is taken, the other request is given up
            and counted. None never asks two; streams are never asked for twice.

    An argument beats the config, the config beats the environment.

    Raises:
        ValueError: For an unknown provider or tier, and for a number that would let no call succeed.
    """

    __slots__ = ("__weakref__", "_config", "_core")

    def __init__(
        self,
        primary_provider: str | None = None,
        fallback_enabled: bool | None = None,
        *,
        config: LLMConfig | None = None,
        model_tier: ModelTier | str | None = None,
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
            model_tier,
            deadline,
            max_attempts,
            budget,
            on_refusal,
            hedge_after,
        )

    @property
    def config(self) -> LLMConfig:
        """The configuration it was made from."""
        return self._config

    @property
    def primary_provider(self) -> str:
        """The provider calls start with; "auto" where the tier decides."""
        return self._core.primary_provider

    @property
    def fallback_enabled(self) -> bool:
        """Whether another provider may answer when the first one fails."""
        return self._core.fallback_enabled

    @property
    def model_tier(self) -> ModelTier:
        """How much model."""
        return self._core.model_tier

    @property
    def deadline(self) -> float | None:
        """Seconds one call may take; None for no end."""
        return self._core.deadline

    @property
    def max_attempts(self) -> int:
        """The most requests one call sends."""
        return self._core.max_attempts

    @property
    def budget(self) -> Budget:
        """What its calls may spend together."""
        return self._core.budget

    def generate(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
    ) -> tuple[str, LLMResponse]:
        """Answer `prompt` with text.

        Args:
            prompt: At most 100 000 characters, not blank.
            system_instruction: Empty for none.
            temperature: 0.0 to 2.0; None means the config's `default_temperature`. Anthropic's ends at 1.0, and its
                models newer than 4.6 are asked without one.
            max_tokens: Upper bound of the answer; None leaves it to the model, but for Anthropic: 16 000.
            force_provider: The only provider that may answer, whatever the router's own choice.

        Returns:
            The text, and how it came about.

        Raises:
            ValueError: For a wrong argument; nothing was sent.
            AllProvidersFailedError: No provider answered; it names each with its reason.
            LLMProviderError: A provider refused to answer.
        """
        return drive(self._text(prompt, system_instruction, temperature, max_tokens, force_provider))

    async def agenerate(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
    ) -> tuple[str, LLMResponse]:
        """Do as `generate`, as a coroutine; cancelling it closes the connection."""
        return await adrive(self._text(prompt, system_instruction, temperature, max_tokens, force_provider))

    @overload
    def stream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
        on_stream_error: Literal["fail"] = "fail",
        *,
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
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
        *,
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
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
        """Answer `prompt` with text as it comes.

        The other arguments are those of `generate`. Before the first text a failing provider is replaced by the next
        one unnoticed. The time limits hold for one provider each, and only the time spent waiting for it counts.

        Args:
            on_stream_error: What happens when a provider fails after its first text: "fail" raises the error, with the
                text so far in its `partial`; "restart" goes on with the next provider, where there is one, after
                giving a `Restarted`, which tells to drop the text so far.
            first_token_timeout: Seconds to the first text; None means 120, for Ollama the config's `ollama_timeout`.
            idle_timeout: Seconds that a stream may stand still; None means 60.
            total_timeout: Seconds for the whole answer; None means 600, for Ollama the config's `ollama_timeout`.

        Returns:
            An iterator and context manager; nothing is sent before the first `next()`.

        Raises:
            ValueError: For a wrong argument; nothing was sent.
        """
        from madspark.llm.stream import TextStream

        return TextStream(
            *self._begin_stream(
                prompt,
                system_instruction,
                temperature,
                max_tokens,
                force_provider,
                on_stream_error,
                first_token_timeout,
                idle_timeout,
                total_timeout,
            )
        )

    @overload
    def astream(
        self,
        prompt: str,
        system_instruction: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        force_provider: str | None = None,
        on_stream_error: Literal["fail"] = "fail",
        *,
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
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
        *,
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
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

        return AsyncTextStream(
            *self._begin_stream(
                prompt,
                system_instruction,
                temperature,
                max_tokens,
                force_provider,
                on_stream_error,
                first_token_timeout,
                idle_timeout,
                total_timeout,
            )
        )

    @overload
    def generate_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[_T, LLMResponse]: ...
    @overload
    def generate_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[Any, LLMResponse]: ...
    def generate_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[Any, LLMResponse]:
        """Answer `prompt` with a value of `schema`.

        Pydantic alone judges the reply, but for a JSON Schema: that is judged as it says. A reply that does not fit is
        first mended where its damage has one reading (the response's attempts name the `changes`), then sent back once
        with what is wrong with it; after that the next provider is asked.

        Args:
            prompt: At most 100 000 characters, not blank.
            schema: A pydantic model class, a dataclass, a TypedDict, an enumeration, any other type that pydantic knows
                (`list[Idea]`, `dict[str, int]`, `A | B`, `Annotated[...]`), a `TypeAdapter`, or a JSON Schema as a
                dictionary. The answer to a JSON Schema is plain data; its `format`s are told and not judged.
            system_instruction: Empty for none.
            temperature: 0.0 to 2.0.
            files: Paths or bytes: images to 8 MB, PDF to 40 MB, text and Markdown to 20 MB.
            urls: Web pages the provider reads by itself; Gemini can.
            images: Paths or bytes of images.
            force_provider: The only provider that may answer, whatever the router's own choice.
            token_budget: Upper bound of the answer's tokens; None leaves it to the model, but for Anthropic: 16 000.

        Returns:
            The value, and how it came about.

        Raises:
            TypeError: `schema` is none of these.
            ValueError: For a JSON Schema with keywords that cannot be judged, for another wrong argument, and for a
                file that is too large or of an unknown kind.
            FileNotFoundError: A file is missing.
            AllProvidersFailedError: No provider answered; it names each with its reason.
            LLMProviderError: A provider refused to answer.
        """
        return drive(
            self._structured(
                prompt, schema, system_instruction, temperature, files, urls, images, force_provider, token_budget
            )
        )

    @overload
    async def agenerate_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[_T, LLMResponse]: ...
    @overload
    async def agenerate_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[Any, LLMResponse]: ...
    async def agenerate_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[Any, LLMResponse]:
        """Do as `generate_structured`, as a coroutine; cancelling it closes the connection."""
        return await adrive(
            self._structured(
                prompt, schema, system_instruction, temperature, files, urls, images, force_provider, token_budget
            )
        )

    @overload
    def stream_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: Literal["fail"] = "fail",
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
    ) -> StructuredStream[_T, Never]: ...
    @overload
    def stream_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
    ) -> StructuredStream[_T, Restarted]: ...
    @overload
    def stream_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
    ) -> StructuredStream[Any, Restarted]: ...
    def stream_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
    ) -> StructuredStream[Any, Any]:
        """Answer `prompt` with an instance of `schema`, and with what is closed of it as it comes.

        The arguments are those of `generate_structured` and of `stream`. Before the first partial object a failing
        provider is replaced by the next one unnoticed, and a reply that does not fit is sent back once. After it,
        `on_stream_error` says what happens, for a reply that does not fit at its end as well: "fail" raises the error,
        with the last partial object as JSON text in its `partial`; "restart" gives a `Restarted` and goes on with what
        `generate_structured` would do.

        Returns:
            An iterator of partial objects (plain data, closed fields only) and then the instance, and a context
            manager; nothing is sent before the first `next()`.

        Raises:
            TypeError: `schema` is no type that can be judged.
            ValueError: For another wrong argument; nothing was sent. With files, it comes with the first `next()`.
        """
        from madspark.llm.structured_stream import StructuredStream

        return StructuredStream(
            *self._begin_structured_stream(
                prompt,
                schema,
                system_instruction,
                temperature,
                files,
                urls,
                images,
                force_provider,
                on_stream_error,
                first_token_timeout,
                idle_timeout,
                total_timeout,
                token_budget,
            )
        )

    @overload
    def astream_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: Literal["fail"] = "fail",
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
    ) -> AsyncStructuredStream[_T, Never]: ...
    @overload
    def astream_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
    ) -> AsyncStructuredStream[_T, Restarted]: ...
    @overload
    def astream_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
    ) -> AsyncStructuredStream[Any, Restarted]: ...
    def astream_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
    ) -> AsyncStructuredStream[Any, Any]:
        """Do as `stream_structured`, for `async for` and `async with`; cancelling it closes the connection."""
        from madspark.llm.structured_stream import AsyncStructuredStream

        return AsyncStructuredStream(
            *self._begin_structured_stream(
                prompt,
                schema,
                system_instruction,
                temperature,
                files,
                urls,
                images,
                force_provider,
                on_stream_error,
                first_token_timeout,
                idle_timeout,
                total_timeout,
                token_budget,
            )
        )

    @overload
    def generate_structured_batch(
        self,
        prompts: list[str],
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[list[_T], LLMResponse]: ...
    @overload
    def generate_structured_batch(
        self,
        prompts: list[str],
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[list[Any], LLMResponse]: ...
    def generate_structured_batch(
        self,
        prompts: list[str],
        schema: Any,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[list[Any], LLMResponse]:
        """Answer every prompt with a value of `schema`, several at once.

        The arguments besides `prompts` are those of `generate_structured` and hold for each prompt. When one prompt
        fails the others are cancelled and its error is raised.

        Returns:
            The values in the order of the prompts, and one response with the sums: tokens, cost (None where one
            is unknown) and attempts; its latency is the whole batch's, its text a JSON array of the replies, its
            provider and model are those of the replies, joined by commas where they differ. `[]` for no prompts.

        Raises:
            TypeError: `prompts` is not a list of strings.
            ValueError: A prompt is blank or longer than 100 000 characters; nothing was sent.
        """
        return run_sync(
            lambda: self.agenerate_structured_batch(
                prompts,
                schema,
                system_instruction,
                temperature,
                files,
                urls,
                images,
                force_provider,
                token_budget=token_budget,
            )
        )

    @overload
    async def agenerate_structured_batch(
        self,
        prompts: list[str],
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[list[_T], LLMResponse]: ...
    @overload
    async def agenerate_structured_batch(
        self,
        prompts: list[str],
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[list[Any], LLMResponse]: ...
    async def agenerate_structured_batch(
        self,
        prompts: list[str],
        schema: Any,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        token_budget: int | None = None,
    ) -> tuple[list[Any], LLMResponse]:
        """Do as `generate_structured_batch`, as a coroutine; cancelling it cancels every call."""
        from madspark.llm._batch import aggregate, check, gather

        check(prompts, MAX_PROMPT_CHARS)
        started = perf_counter()
        answers = await gather(
            [
                functools.partial(
                    self.agenerate_structured,
                    prompt,
                    schema,
                    system_instruction,
                    temperature,
                    files,
                    urls,
                    images,
                    force_provider,
                    token_budget=token_budget,
                )
                for prompt in prompts
            ],
            BATCH_CONCURRENCY,
        )
        responses = [response for _, response in answers]
        return [value for value, _ in answers], aggregate(responses, (perf_counter() - started) * 1000.0)

    def get_metrics(self) -> dict[str, Any]:
        """Count what this router has done: its own calls and nobody else's.

        `total_requests` counts calls, `ollama_calls`, `gemini_calls`, `openai_calls` and `anthropic_calls` the HTTP
        requests sent, `failed_requests` the calls without an answer (cancelled ones are not among them, but
        `cancelled_requests`); tokens and cost are those of every attempt, `avg_latency_ms` is over the answered calls.

        `providers` has an entry for each provider that was used: `calls`, `attempts` (HTTP requests), `repairs` (those
        that sent a reply back to be corrected), `failures` by class, and `p50_latency_ms` and `p95_latency_ms` of its
        answers, each within 5 % and from its own request on; None before the first answer.
        """
        return self._core.metrics()

    def reset_metrics(self) -> None:
        """Set every counter to zero."""
        self._core.reset_metrics()

    def health_status(self) -> dict[str, Any]:
        """Ask each provider for its models, now; five seconds at most.

        Returns:
            Per provider `available` (configured), `healthy` (answers and has the model), `model` and `reason` (why it
            is not healthy); and `cache` with `enabled` and `stats`.
        """
        return _with_cache(self._core.health())

    async def ahealth_status(self) -> dict[str, Any]:
        """Do as `health_status`, as a coroutine."""
        return _with_cache(await finish(self._core.ahealth()))

    def __repr__(self) -> str:
        return (
            f"LLMRouter(primary_provider={self.primary_provider!r}, fallback_enabled={self.fallback_enabled}, "
            f"model_tier={self.model_tier.value!r})"
        )

    def _text(
        self, prompt: str, system: str, temperature: float | None, max_tokens: int | None, force: str | None
    ) -> Generator[tuple[Call, list[str] | None], str, tuple[str, LLMResponse]]:
        chosen = self._config.default_temperature if temperature is None else temperature
        call = self._core.begin(prompt, system, chosen, max_tokens, None, (), (), (), force)
        try:
            text = yield call, None
        except AllProvidersFailedError as error:
            error.prompt = prompt
            raise
        return text, call.finish()

    def _begin_stream(
        self,
        prompt: str,
        system: str,
        temperature: float | None,
        max_tokens: int | None,
        force: str | None,
        on_stream_error: str,
        first: float | None,
        idle: float | None,
        total: float | None,
    ) -> tuple[Stream, str]:
        chosen = self._config.default_temperature if temperature is None else temperature
        stream = self._core.begin_stream(
            prompt, system, chosen, max_tokens, force, on_stream_error, first, idle, total, None, (), (), ()
        )
        return stream, prompt

    def _begin_structured_stream(
        self,
        prompt: str,
        schema: Any,
        system: str,
        temperature: float,
        files: Sequence[File] | None,
        urls: Sequence[str] | None,
        images: Sequence[File] | None,
        force: str | None,
        on_stream_error: str,
        first: float | None,
        idle: float | None,
        total: float | None,
        max_tokens: int | None,
    ) -> tuple[Stream, str, Judge[Any]]:
        from madspark.llm._judge import judge_of

        judge = judge_of(schema)
        stream = self._core.begin_stream(
            prompt,
            system,
            temperature,
            max_tokens,
            force,
            on_stream_error,
            first,
            idle,
            total,
            judge.schema,
            files or (),
            images or (),
            urls or (),
        )
        return stream, prompt, judge

    def _structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system: str,
        temperature: float,
        files: Sequence[File] | None,
        urls: Sequence[str] | None,
        images: Sequence[File] | None,
        force: str | None,
        max_tokens: int | None,
    ) -> Generator[tuple[Call, list[str] | None], str, tuple[_T, LLMResponse]]:
        from madspark.llm._judge import judge_of

        judge = judge_of(schema)
        call = self._core.begin(
            prompt, system, temperature, max_tokens, judge.schema, files or (), images or (), urls or (), force
        )
        try:
            return (yield from judge.steps(call))
        except AllProvidersFailedError as error:
            error.prompt = prompt
            raise


def _with_cache(health: dict[str, Any]) -> dict[str, Any]:
    health["cache"] = {"enabled": False, "stats": None}
    return health


_process_router: LLMRouter | None = None


def get_router() -> LLMRouter:
    """Return the process-wide router. Deprecated: its configuration and metrics are shared by whoever calls this."""
    import warnings

    global _process_router  # noqa: PLW0603  (the deprecated singleton itself)
    warnings.warn(
        "get_router() shares one router between requests: build an LLMRouter(...) per request and pass it as router=",
        DeprecationWarning,
        stacklevel=2,
    )
    if _process_router is None:
        _process_router = LLMRouter()
    return _process_router


def reset_router() -> None:
    """Forget the process-wide router; the next `get_router()` builds another one."""
    global _process_router  # noqa: PLW0603  (the deprecated singleton itself)
    _process_router = None
