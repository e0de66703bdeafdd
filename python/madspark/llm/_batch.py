"""A batch of structured calls: checks all prompts first, runs the calls concurrently, and sums up their responses."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from madspark.llm.exceptions import InvalidArgumentError, InvalidRequestError, PromptTooLongError
from madspark.llm.response import LLMResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

_T = TypeVar("_T")

MAX_PROMPT_CHARS = 100_000
"""The default upper bound of one prompt, in characters."""

BATCH_CONCURRENCY = 10
"""The number of calls of one batch that are in flight at the same time."""


async def run_batch(
    prompts: list[str],
    call: Callable[[str], Coroutine[Any, Any, tuple[_T, LLMResponse]]],
    limit: int | None = MAX_PROMPT_CHARS,
) -> tuple[list[_T], LLMResponse]:
    """Run `call` for each prompt and return the values, in the order of the prompts, with one combined response.

    Raises:
        TypeError: If `prompts` is not a list of strings.
        ValueError: If a prompt is blank or too long. Nothing is sent.
    """
    _check(prompts, limit)
    started = perf_counter()
    answers = await _gather(prompts, call)
    latency_ms = (perf_counter() - started) * 1000.0
    return [value for value, _ in answers], _combined([response for _, response in answers], latency_ms)


def _check(prompts: object, limit: int | None) -> None:
    if not isinstance(prompts, list):
        raise InvalidArgumentError(f"prompts must be a list of strings, not {type(prompts).__name__}")
    for index, prompt in enumerate(prompts):
        if not isinstance(prompt, str):
            raise InvalidArgumentError(f"prompts[{index}] must be a string, not {type(prompt).__name__}")
        if not prompt.strip():
            raise InvalidRequestError(f"prompts[{index}] must not be blank")
        if limit is not None and len(prompt) > limit:
            raise PromptTooLongError(f"prompts[{index}] has {len(prompt)} characters; the limit is {limit}")


async def _gather(prompts: Sequence[str], call: Callable[[str], Coroutine[Any, Any, _T]]) -> list[_T]:
    """Run the calls concurrently. The first error cancels the others, and is raised when they have ended."""
    import asyncio

    permits = asyncio.Semaphore(BATCH_CONCURRENCY)

    async def limited(prompt: str) -> _T:
        async with permits:
            return await call(prompt)

    tasks = [asyncio.ensure_future(limited(prompt)) for prompt in prompts]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _combined(responses: Sequence[LLMResponse], latency_ms: float) -> LLMResponse:
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
        finish_reason=_common([response.finish_reason for response in responses]),
        provider_finish_reason=_common([response.provider_finish_reason for response in responses]),
    )


def _common(reasons: Sequence[str | None]) -> str | None:
    """Return the reason that all responses share; None if they differ."""
    return reasons[0] if len(set(reasons)) == 1 else None
