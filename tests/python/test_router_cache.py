"""The response cache of a router: hits, misses, and concurrent identical calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, Field, field_validator

from madspark import AllProvidersFailedError, DeadlineExceededError, LLMConfig, LLMRouter
from wire import called_providers, model_requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from madspark import ProviderName
    from madspark.testing import Simulator

pytestmark = pytest.mark.cache


class Idea(BaseModel):
    """The requested output."""

    title: str
    score: float = Field(ge=0, le=10)


@pytest.fixture
def router(madspark_simulator: Simulator, tmp_path: Path) -> Callable[..., LLMRouter]:
    """Makes routers that share the cache of the test, at temperature 0 by default."""

    def make(
        provider: ProviderName = "ollama", fallback: bool = False, cache: bool | None = None, **fields: Any
    ) -> LLMRouter:
        options = {name: fields.pop(name) for name in ("deadline", "hedge_after", "budget") if name in fields}
        settings: dict[str, Any] = {
            "ollama_host": madspark_simulator.ollama_url,
            "gemini_base_url": madspark_simulator.gemini_url,
            "gemini_api_key": "key-of-the-test-0123456789",
            "openai_base_url": madspark_simulator.openai_url,
            "openai_model": "the-model",
            "anthropic_base_url": madspark_simulator.anthropic_url,
            "anthropic_model": "the-model",
            "anthropic_api_key": "key-of-the-test-0123456789",
            "cache_dir": tmp_path / "answers",
            "default_temperature": 0.0,
        }
        return LLMRouter(provider, fallback, cache, config=LLMConfig(**settings | fields), **options)

    return make


async def until(is_reached: Callable[[], bool]) -> None:
    """Let other tasks run until a condition is reached."""
    async with asyncio.timeout(30):
        while not is_reached():  # noqa: ASYNC110  (counters have no event)
            await asyncio.sleep(0)


@pytest.mark.parametrize("provider", ["ollama", "gemini", "openai", "anthropic"])
async def test_the_second_call_sends_no_request(
    provider: str, router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    text, first = await router(provider).agenerate("hello")
    idea, _ = await router(provider).agenerate_structured("an idea", Idea)
    again = router(provider)
    same, second = await again.agenerate("hello")
    assert (same, second.text, second.provider, second.model) == (text, text, first.provider, first.model)
    assert (first.cached, second.cached, second.tokens_used, second.cost, second.attempts) == (False, True, 0, 0.0, ())
    assert (await again.agenerate_structured("an idea", Idea))[0] == idea
    assert again.generate("hello")[0] == text
    assert called_providers(madspark_simulator) == [provider, provider]
    metrics = again.get_metrics()
    assert (metrics["total_requests"], metrics["cache_hits"], metrics["cache_hit_rate"]) == (3, 3, 1.0)
    assert (metrics["total_tokens"], metrics["total_cost"], metrics["avg_latency_ms"]) == (0, 0.0, 0.0)
    assert "had answered this before" in second.explain()


def test_another_process_finds_the_answer_on_disk(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator, tmp_path: Path, scripts: Any
) -> None:
    text, _ = router().generate("hello")
    source = (
        f"config = LLMConfig(ollama_host=sys.argv[1], cache_dir={str(tmp_path / 'answers')!r})\n"
        "text, response = LLMRouter('ollama', False, True, config).generate('hello', temperature=0.0)\n"
        "print(response.cached, text)"
    )
    assert scripts.run(source, madspark_simulator) == (0, f"True {text}\n", "")
    assert len(model_requests(madspark_simulator)) == 1


DIFFERENT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("prompt", {"prompt": "hello!"}, {}),
    ("system", {"system_instruction": "Be brief."}, {}),
    ("temperature", {"temperature": 0.1}, {}),
    ("max_tokens", {"max_tokens": 77}, {}),
    ("model", {}, {"gemini_model": "gemini-2.5-flash"}),
    ("key", {}, {"gemini_api_key": "another-key-0123456789"}),
    ("thinking", {}, {"gemini_thinking_budget": 100}),
    ("provider", {"force_provider": "ollama"}, {}),
]


@pytest.mark.parametrize(("call", "config"), [row[1:] for row in DIFFERENT], ids=[row[0] for row in DIFFERENT])
async def test_a_different_request_is_sent(
    call: dict[str, Any], config: dict[str, Any], router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    await router("gemini").agenerate("hello", use_cache=True)
    arguments: dict[str, Any] = {"prompt": "hello", "use_cache": True} | call
    _, response = await router("gemini", **config).agenerate(**arguments)
    assert not response.cached
    assert len(model_requests(madspark_simulator)) == 2


async def test_folders_do_not_share_answers(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator, tmp_path: Path
) -> None:
    await router().agenerate("hello")
    _, response = await router(cache_dir=tmp_path / "others").agenerate("hello")
    assert not response.cached
    assert len(model_requests(madspark_simulator)) == 2


@pytest.mark.parametrize("off", ["call", "router", "config"])
async def test_a_disabled_cache_is_neither_read_nor_written(
    off: str, router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    without = router(cache=False if off == "router" else None, cache_enabled=off != "config")
    choice = False if off == "call" else None
    for _ in range(2):
        await without.agenerate("hello", use_cache=choice)
        await without.agenerate_structured("an idea", Idea, use_cache=choice)
    assert len(model_requests(madspark_simulator)) == 4
    # A call can enable the cache that its router disables.
    _, response = await without.agenerate("hello", use_cache=True)
    assert not response.cached
    _, response = await without.agenerate("hello", use_cache=True)
    assert response.cached
    assert len(model_requests(madspark_simulator)) == 5


async def test_an_expired_answer_is_requested_again(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    await router().agenerate("hello")
    _, response = await router(cache_ttl_seconds=1e-6).agenerate("hello")
    assert not response.cached
    assert len(model_requests(madspark_simulator)) == 2


async def test_a_cached_answer_that_is_rejected_is_requested_again(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    is_strict = False

    class Picky(BaseModel):
        title: str

        @field_validator("title")
        @classmethod
        def check(cls, title: str) -> str:
            if is_strict and title != "new":
                raise ValueError("must be new")
            return title

    madspark_simulator.on("ollama", text='{"title": "old"}')
    await router().agenerate_structured("an idea", Picky)
    is_strict = True
    madspark_simulator.clear_rules()
    madspark_simulator.on("ollama", text='{"title": "new"}')
    idea, response = await router().agenerate_structured("an idea", Picky)
    assert (idea.title, response.cached, len(response.attempts)) == ("new", False, 1)
    # The request is the original one, not a repair of the cached answer.
    first, second = model_requests(madspark_simulator)
    assert first.body == second.body
    idea, response = await router().agenerate_structured("an idea", Picky)
    assert (idea.title, response.cached) == ("new", True)


async def test_repaired_answers_are_cached_in_their_accepted_form(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", text='```json\n{"title": "a", "score": 5,}\n```', times=1)
    await router().agenerate_structured("one", Idea)
    madspark_simulator.on("ollama", text='{"title": "b", "score": 50}', times=1)
    madspark_simulator.on("ollama", text='{"title": "b", "score": 5}', times=1)
    await router().agenerate_structured("two", Idea)
    assert len(model_requests(madspark_simulator)) == 3
    for prompt, title in [("one", "a"), ("two", "b")]:
        idea, response = await router().agenerate_structured(prompt, Idea)
        assert (idea, response.cached) == (Idea(title=title, score=5), True)
    assert len(model_requests(madspark_simulator)) == 3


async def test_a_failure_is_not_cached(router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", status=400)
    for _ in range(2):
        with pytest.raises(AllProvidersFailedError):
            await router().agenerate("hello")
    madspark_simulator.clear_rules()
    _, response = await router().agenerate("hello")
    assert not response.cached


async def test_answers_of_an_unreachable_target_are_found(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    text, _ = await router().agenerate("hello")
    madspark_simulator.on("ollama", status=503)
    for number in range(8):
        with pytest.raises(AllProvidersFailedError):
            await router(deadline=0.2).agenerate(f"other {number}")
    count = len(model_requests(madspark_simulator))
    same, response = await router(fallback=True).agenerate("hello")
    assert (same, response.cached, response.provider) == (text, True, "ollama")
    assert len(model_requests(madspark_simulator)) == count


async def test_the_answer_of_a_fallback_belongs_to_the_fallback(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=400)
    _, first = await router(fallback=True).agenerate("hello")
    _, second = await router(fallback=True).agenerate("hello")
    assert (first.provider, second.provider, second.cached) == ("gemini", "gemini", True)
    # The first target has no cached answer, so it gets another request.
    assert called_providers(madspark_simulator) == ["ollama", "gemini", "ollama"]
    assert [one.error for one in second.attempts] == [first.attempts[0].error]
    # The answer of Gemini is not used for Ollama.
    madspark_simulator.clear_rules()
    _, third = await router(fallback=True).agenerate("hello")
    assert (third.provider, third.cached) == ("ollama", False)


async def test_mock_and_streams_do_not_use_the_cache(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    for _ in range(2):
        assert not (await router("mock").agenerate("hello"))[1].cached
        async for _ in router().astream("hello"):
            pass
    assert len(model_requests(madspark_simulator)) == 2
    assert not (await router().agenerate("hello"))[1].cached


async def test_a_thousand_identical_calls_send_one_request(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    routers = [router() for _ in range(1000)]
    answers = await asyncio.gather(*(one.agenerate_structured("an idea", Idea) for one in routers))
    assert len(model_requests(madspark_simulator)) == 1
    assert len({idea.model_dump_json() for idea, _ in answers}) == 1
    responses = [response for _, response in answers]
    assert sum(response.cached for response in responses) == 999
    # Only one call has a cost.
    assert sum(response.tokens_used > 0 for response in responses) == 1
    metrics = [one.get_metrics() for one in routers]
    assert sum(one["ollama_calls"] for one in metrics) == 1
    assert sum(one["cache_hits"] for one in metrics) == 999
    assert sum(one["total_tokens"] for one in metrics) == max(response.tokens_used for response in responses)


@pytest.mark.parametrize("survivor", [0, 500, 999])
async def test_the_last_of_a_thousand_calls_is_answered(
    survivor: int, router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", latency=3.0)
    routers = [router() for _ in range(1000)]
    tasks = [asyncio.ensure_future(one.agenerate("hello")) for one in routers]
    await until(lambda: sum(one.get_metrics()["total_requests"] for one in routers) == len(routers))
    for number, task in enumerate(tasks):
        if number != survivor:
            task.cancel()
    text, response = await tasks[survivor]
    assert text == response.text
    assert sum(task.cancelled() for task in tasks) == 999
    (request,) = model_requests(madspark_simulator)
    assert not request.hung_up
    # The metrics of a cancelled call are updated shortly after its task has ended.
    await until(lambda: sum(one.get_metrics()["cancelled_requests"] for one in routers) == 999)
    metrics = [one.get_metrics() for one in routers]
    assert sum(one["ollama_calls"] for one in metrics) == 1
    # The answer is cached although the call that sent the request was cancelled.
    assert (await router().agenerate("hello"))[1].cached


async def test_cancelling_the_last_call_closes_the_connection(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", fault="stall")
    tasks = [asyncio.ensure_future(router().agenerate("hello")) for _ in range(10)]
    await madspark_simulator.await_requests(1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await madspark_simulator.await_hang_ups(1)
    assert len(model_requests(madspark_simulator)) == 1


async def test_each_call_keeps_its_own_deadline(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", latency=3.0)
    short, long = router(deadline=1.0), router()
    first = asyncio.ensure_future(short.agenerate("hello"))
    await madspark_simulator.await_requests(1)
    second = asyncio.ensure_future(long.agenerate("hello"))
    with pytest.raises(DeadlineExceededError) as caught:
        await first
    assert [attempt.error for attempt in caught.value.attempts] == ["deadline_reached"]
    _, response = await second
    assert response.cached
    assert len(model_requests(madspark_simulator)) == 1
    # The request is accounted to the call that sent it, although it was answered after that call had ended.
    await until(lambda: short.get_metrics()["ollama_calls"] == 1)
    assert short.get_metrics()["total_tokens"] > 0


async def test_a_shared_failure_is_reported_to_every_call_and_each_falls_back(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=400, latency=0.1)
    # Long enough for all calls to join.
    madspark_simulator.on("gemini", latency=0.1)
    routers = [router(fallback=True) for _ in range(20)]
    answers = await asyncio.gather(*(one.agenerate("hello") for one in routers))
    assert called_providers(madspark_simulator) == ["ollama", "gemini"]
    assert {response.provider for _, response in answers} == {"gemini"}
    for _, response in answers:
        assert [attempt.ok for attempt in response.attempts] == [False, True]
    assert sum(one.get_metrics()["total_tokens"] > 0 for one in routers) == 1


async def test_each_call_validates_a_shared_answer(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    """Two validators with one schema: each call rejects or accepts the answer for itself."""

    def model(wanted: str) -> type[BaseModel]:
        class Validated(BaseModel):
            title: str

            @field_validator("title")
            @classmethod
            def check(cls, title: str) -> str:
                if title != wanted:
                    raise ValueError(f"must be {wanted}")
                return title

        return Validated

    madspark_simulator.on("ollama", text='{"title": "a"}', latency=0.2, times=1)
    madspark_simulator.on("ollama", text='{"title": "b"}', times=1)
    first = asyncio.ensure_future(router().agenerate_structured("an idea", model("a")))
    await madspark_simulator.await_requests(1)
    second = asyncio.ensure_future(router().agenerate_structured("an idea", model("b")))
    (one, _), (two, response) = await first, await second
    assert (one.model_dump(), two.model_dump()) == ({"title": "a"}, {"title": "b"})
    assert [(attempt.shared, attempt.error) for attempt in response.attempts] == [
        (True, "invalid_output"),
        (False, None),
    ]
    assert len(model_requests(madspark_simulator)) == 2
    assert "for another call" in response.explain()


async def test_hedged_calls_are_not_shared(router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    madspark_simulator.on("ollama", latency=0.2)
    routers = [router(fallback=True, hedge_after=30.0) for _ in range(3)]
    await asyncio.gather(*(one.agenerate("hello") for one in routers))
    assert called_providers(madspark_simulator) == ["ollama"] * 3
    assert (await routers[0].agenerate("hello"))[1].cached


async def test_files_are_part_of_the_key(
    router: Callable[..., LLMRouter], madspark_simulator: Simulator, tmp_path: Path
) -> None:
    note = tmp_path / "note.txt"
    for text, cached in [("one", False), ("one", True), ("two", False)]:
        note.write_text(text, encoding="utf-8")
        _, response = await router().agenerate_structured("an idea", Idea, files=[note])
        assert response.cached is cached
    assert len(model_requests(madspark_simulator)) == 2
