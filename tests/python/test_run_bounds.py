"""What every stage of a run asks for is bounded, and is no more than its target takes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from madspark import AsyncCoordinator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from madspark import LLMRouter, WorkflowResult
    from madspark.testing import RecordedRequest, Simulator

IDEAS = 5
# A script without spaces takes the most tokens; too few words tell no language.
TOPICS = {
    "english": "food from the roofs of the city",
    "short": "roofs",
    "japanese": "都市の屋上で育てる食べ物のアイデア",
}
PROTOCOLS: dict[str, dict[str, Any]] = {
    "ollama": {},
    "openai": {},
    "openai-responses": {"openai_api": "responses"},
    "gemini": {},
    "anthropic": {},
}
# The largest window that is asked for, by topic, and the most rules of a grammar that llama.cpp makes of one document.
WINDOWS = {"english": 32_768, "short": 32_768, "japanese": 65_536}
SUM_OF_BOUNDS = 50_000
# OpenAI's limits of a strict schema.
PROPERTIES = 5000
LEVELS = 10


async def run(router: LLMRouter, topic: str) -> WorkflowResult:
    return await AsyncCoordinator(router=router).run(
        topic,
        "cheap",
        num_top_candidates=IDEAS,
        enhanced_reasoning=True,
        logical_inference=True,
        multi_dimensional_eval=True,
    )


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_no_stage_asks_for_more_than_its_target_takes(
    protocol: str, topic: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=protocol.partition("-")[0], **PROTOCOLS[protocol])
    result = await run(router, TOPICS[topic])
    assert result.status == "ok"
    assert len(result.candidates) == IDEAS
    for candidate in result.candidates:
        assert candidate.advocacy
        assert candidate.skepticism
        assert candidate.improved_idea
        assert candidate.multi_dimensional_evaluation
    requests = [request for request in madspark_simulator.requests if request.schema is not None]
    assert len(requests) >= 7
    for request in requests:
        check(request, WINDOWS[topic])


def check(request: RecordedRequest, window: int) -> None:
    schema, body = request.schema, request.json
    assert sum(bounds(schema)) <= SUM_OF_BOUNDS
    assert sum("properties" in node for node in nodes(schema)) <= PROPERTIES
    assert depth(schema) <= LEVELS * 2
    if request.provider == "ollama":
        options = body["options"]
        # The default window is enough for short replies.
        assert options["num_predict"] < options.get("num_ctx", 4096) <= window
        # The grammar ends every text and list.
        for node in nodes(schema):
            if node.get("type") == "string" and "enum" not in node:
                assert "maxLength" in node
            if node.get("type") == "array":
                assert "maxItems" in node
    if request.provider == "openai":
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or body.get("max_output_tokens")
        assert limit is None or limit < window
        form = body["text"]["format"] if "text" in body else body["response_format"]["json_schema"]
        assert form["strict"] is True
    if request.provider == "anthropic":
        assert body["output_config"]["format"]["type"] == "json_schema"


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from nodes(value)


def bounds(schema: Any) -> Iterator[int]:
    for node in nodes(schema):
        yield from (node[name] for name in ("maxLength", "maxItems") if isinstance(node.get(name), int))


def depth(schema: Any) -> int:
    if isinstance(schema, dict):
        own = "properties" in schema
        return own + max((depth(value) for value in schema.values()), default=0)
    return max((depth(value) for value in schema), default=0) if isinstance(schema, list) else 0


@pytest.mark.parametrize(("topic", "sizes"), [("english", [5]), ("short", [5]), ("japanese", [2, 3])])
async def test_a_batch_for_a_local_model_is_divided_if_its_items_take_too_many_tokens(
    topic: str, sizes: list[int], madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    result = await run(madspark_router(primary_provider="ollama"), TOPICS[topic])
    assert result.status == "ok"
    asked = [request.schema["properties"] for request in madspark_simulator.requests if is_skeptic(request)]
    # A schema about one idea has no key for it.
    assert sorted(len(keys) if "idea" in next(iter(keys)) else 1 for keys in asked) == sizes


def is_skeptic(request: RecordedRequest) -> bool:
    return request.schema is not None and "critical_flaws" in str(request.schema)
