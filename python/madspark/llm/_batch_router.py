"""The part of a router that answers many prompts at once: checked together, run together, told together."""

from __future__ import annotations

import functools
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar, overload

from madspark._drive import run_sync
from madspark.llm._structured_router import StructuredRouter
from madspark.llm.response import LLMResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import UnionType
    from typing import Any

    from pydantic import TypeAdapter

    from madspark.llm._base_router import File

_T = TypeVar("_T")

MAX_PROMPT_CHARS = 100_000
"""Upper bound of one prompt, in characters."""

BATCH_CONCURRENCY = 10
"""How many prompts of one batch are under way at once."""


class BatchRouter(StructuredRouter):
    """Answers many prompts with values of one type."""

    __slots__ = ()

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
        use_cache: bool | None = None,
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
        use_cache: bool | None = None,
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
        use_cache: bool | None = None,
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
                use_cache,
                token_budget,
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
        use_cache: bool | None = None,
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
        use_cache: bool | None = None,
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
        use_cache: bool | None = None,
        token_budget: int | None = None,
    ) -> tuple[list[Any], LLMResponse]:
        """Do as `generate_structured_batch`, as a coroutine; cancelling it cancels every call."""
        _check(prompts)
        started = perf_counter()
        answers = await _gather(
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
                    use_cache,
                    token_budget,
                )
                for prompt in prompts
            ]
        )
        responses = [response for _, response in answers]
        return [value for value, _ in answers], _aggregate(responses, (perf_counter() - started) * 1000.0)


def _check(prompts: object) -> None:
    """Raise TypeError unless `prompts` is a list of strings, ValueError for a blank one or one that is too long."""
    if not isinstance(prompts, list):
        message = f"prompts must be a list of strings, not {type(prompts).__name__}"
        raise TypeError(message)
    for index, prompt in enumerate(prompts):
        if not isinstance(prompt, str):
            message = f"prompts[{index}] must be a string, not {type(prompt).__name__}"
            raise TypeError(message)
        if not prompt.strip():
            message = f"prompts[{index}] must not be blank"
            raise ValueError(message)
        if len(prompt) > MAX_PROMPT_CHARS:
            message = f"prompts[{index}] has {len(prompt)} characters; the limit is {MAX_PROMPT_CHARS}"
            raise ValueError(message)


async def _gather(makers: Sequence[Callable[[], Coroutine[Any, Any, _T]]]) -> list[_T]:
    """Run the coroutines, some at once; on the first error cancel the others, wait for them and raise it."""
    import asyncio

    places = asyncio.Semaphore(BATCH_CONCURRENCY)

    async def one(make: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        async with places:
            return await make()

    tasks = [asyncio.ensure_future(one(make)) for make in makers]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _aggregate(responses: Sequence[LLMResponse], latency_ms: float) -> LLMResponse:
    """One response with the sums of `responses`."""
    costs = [response.cost for response in responses]
    return LLMResponse(
        text=f"[{','.join(response.text for response in responses)}]",
        provider=",".join(dict.fromkeys(response.provider for response in responses)),
        model=",".join(dict.fromkeys(response.model for response in responses)),
        tokens_used=sum(response.tokens_used for response in responses),
        latency_ms=latency_ms,
        cost=None if None in costs else sum(cost for cost in costs if cost is not None),
        cached=all(response.cached for response in responses),
        attempts=tuple(attempt for response in responses for attempt in response.attempts),
    )
