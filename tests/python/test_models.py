"""Two hundred models, through every protocol: a valid instance comes back as an equal one.

What is sent of them in each form keeps its provider's rules: `tests/core/schema_lowering.rs` reads the fixture.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

import models

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

# It has no types.
jsonschema: Any = importlib.import_module("jsonschema")

PROVIDERS = ["ollama", "gemini", "openai", "anthropic"]
MODELS = models.models()
AT_ONCE = 64


def as_held(judge: Any, schema: dict[str, Any], value: Any) -> Any:
    """Write `value` as a model that is held to `schema` does: what must be there and is not, is null.

    `judge` validates by the whole document.
    """
    if "$ref" in schema:
        return as_held(judge, judge.schema["$defs"][schema["$ref"].removeprefix("#/$defs/")], value)
    for branch in schema.get("anyOf", []):
        written = as_held(judge, branch, value)
        if judge.evolve(schema=branch).is_valid(written):
            return written
    if isinstance(value, dict):
        held = {**value, **{name: None for name in schema.get("required", []) if name not in value}}
        parts = schema.get("properties", {})
        return {name: as_held(judge, parts[name], held[name]) if name in parts else held[name] for name in held}
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [as_held(judge, schema["items"], item) for item in value]
    return value


def test_there_are_two_hundred_and_the_core_checks_the_same() -> None:
    assert len({model.__name__ for model, _ in MODELS}) == len(MODELS) >= 200
    head, *recorded = models.FIXTURE.read_text(encoding="utf-8").splitlines()
    _, *made = models.lines()
    if json.loads(head)["pydantic"] == pydantic.VERSION:
        assert recorded == made, "run tests/python/models.py"
    for old, new in zip(map(json.loads, recorded), map(json.loads, made), strict=True):
        assert (old["name"], old["valid"]) == (new["name"], new["valid"]), "run tests/python/models.py"


async def schemas_sent(router: LLMRouter, simulator: Simulator) -> list[Any]:
    """The schema on the wire of each model."""
    simulator.on(status=400)
    asks = [router.agenerate_structured(f"Model {number}.", model) for number, (model, _) in enumerate(MODELS)]
    await asyncio.gather(*asks, return_exceptions=True)
    sent = {request.prompt: request.schema for request in simulator.requests}
    return [sent[f"Model {number}."] for number in range(len(MODELS))]


async def replied(router: LLMRouter, simulator: Simulator, replies: list[tuple[type[Any], str]]) -> list[Any]:
    """What comes back for each model with its reply; a few at a time, which is far faster than one by one."""
    answers: list[Any] = []
    for start in range(0, len(replies), AT_ONCE):
        some = replies[start : start + AT_ONCE]
        simulator.clear_rules()
        for number, (_, text) in enumerate(some):
            simulator.on(contains=f"Reply {number}.", text=text)
        asks = [router.agenerate_structured(f"Reply {number}.", model) for number, (model, _) in enumerate(some)]
        answers += await asyncio.gather(*asks)
    return answers


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_instance_comes_back_equal(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False, max_attempts=1)
    documents = await schemas_sent(router, madspark_simulator)
    replies: list[tuple[type[Any], str]] = []
    instances = []
    wrapped = set()
    for (model, values), document in zip(MODELS, documents, strict=True):
        judge = jsonschema.Draft202012Validator(document)
        for value in values:
            held = as_held(judge, document, value)
            if not judge.is_valid(held):
                wrapped.add(model)
                held = as_held(judge, document, {"value": value})
                assert judge.is_valid(held), (model, value, held)
            instances.append(model.model_validate(value))
            replies.append((model, json.dumps(held)))
    answers = await replied(router, madspark_simulator, replies)
    for (model, reply), instance, (answer, response) in zip(replies, instances, answers, strict=True):
        assert (answer, len(response.attempts)) == (instance, 1), (model, reply)
        assert not response.attempts[0].changes, (model, reply)
    # Two of the providers want an object at the root.
    assert bool(wrapped) == (provider in {"openai", "anthropic"})
    assert all(issubclass(model, pydantic.RootModel) for model in wrapped)
