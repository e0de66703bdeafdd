"""Many prompts of one call: checked together, run together, told together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from madspark.llm.response import LLMResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

_T = TypeVar("_T")


def check(prompts: object, limit: int) -> None:
    """Raise TypeError unless `prompts` is a list of strings, ValueError for a blank one or one past `limit`."""
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
        if len(prompt) > limit:
            message = f"prompts[{index}] has {len(prompt)} characters; the limit is {limit}"
            raise ValueError(message)


async def gather(makers: Sequence[Callable[[], Coroutine[Any, Any, _T]]], limit: int) -> list[_T]:
    """Run the coroutines, `limit` at once; on the first error cancel the others, wait for them and raise it."""
    places = asyncio.Semaphore(limit)

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


def aggregate(responses: Sequence[LLMResponse], latency_ms: float) -> LLMResponse:
    """One response with the sums of `responses`."""
    costs = [response.cost for response in responses]
    return LLMResponse(
        text=f"[{','.join(response.text for response in responses)}]",
        provider=",".join(dict.fromkeys(response.provider for response in responses)),
        model=",".join(dict.fromkeys(response.model for response in responses)),
        tokens_used=sum(response.tokens_used for response in responses),
        latency_ms=latency_ms,
        cost=None if None in costs else sum(cost for cost in costs if cost is not None),
        attempts=tuple(attempt for response in responses for attempt in response.attempts),
    )
