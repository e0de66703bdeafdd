"""Two hundred models, through every protocol: a valid reply becomes an equal instance.

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


def constrained(validator: Any, schema: dict[str, Any], value: Any) -> Any:
    """Return what a model constrained by `schema` writes for `value`: missing required properties are null.

    `validator` is that of the whole document.
    """
    if "$ref" in schema:
        return constrained(validator, validator.schema["$defs"][schema["$ref"].removeprefix("#/$defs/")], value)
    for branch in schema.get("anyOf", []):
        branch_value = constrained(validator, branch, value)
        if validator.evolve(schema=branch).is_valid(branch_value):
            return branch_value
    if isinstance(value, dict):
        text = {**value, **{name: None for name in schema.get("required", []) if name not in value}}
        parts = schema.get("properties", {})
        return {name: constrained(validator, parts[name], text[name]) if name in parts else text[name] for name in text}
    if isinstance(value, list) and "prefixItems" in schema:
        return [constrained(validator, part, item) for part, item in zip(schema["prefixItems"], value, strict=False)]
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [constrained(validator, schema["items"], item) for item in value]
    return value


def test_the_fixture_of_the_core_has_the_same_two_hundred_models() -> None:
    assert len({model.__name__ for model, _ in MODELS}) == len(MODELS) >= 200
    head, *recorded = models.FIXTURE.read_text(encoding="utf-8").splitlines()
    _, *made = models.lines()
    if json.loads(head)["pydantic"] == pydantic.VERSION:
        assert recorded == made, "run tests/python/models.py"
    for old, new in zip(map(json.loads, recorded), map(json.loads, made), strict=True):
        assert (old["name"], old["valid"]) == (new["name"], new["valid"]), "run tests/python/models.py"


async def schemas_sent(router: LLMRouter, simulator: Simulator) -> list[Any]:
    """Return the schema that was sent for each model."""
    simulator.on(status=400)
    calls = [router.agenerate_structured(f"Model {number}.", model) for number, (model, _) in enumerate(MODELS)]
    await asyncio.gather(*calls, return_exceptions=True)
    sent = {request.prompt: request.schema for request in simulator.requests}
    return [sent[f"Model {number}."] for number in range(len(MODELS))]


async def results_of(router: LLMRouter, simulator: Simulator, replies: list[tuple[type[Any], str]]) -> list[Any]:
    """Return the result for each model and reply, in batches of concurrent calls."""
    answers: list[Any] = []
    for start in range(0, len(replies), AT_ONCE):
        some = replies[start : start + AT_ONCE]
        simulator.clear_rules()
        for number, (_, text) in enumerate(some):
            simulator.on(contains=f"Reply {number}.", text=text)
        calls = [router.agenerate_structured(f"Reply {number}.", model) for number, (model, _) in enumerate(some)]
        answers += await asyncio.gather(*calls)
    return answers


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_valid_reply_becomes_an_equal_instance(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False, max_attempts=1)
    documents = await schemas_sent(router, madspark_simulator)
    replies: list[tuple[type[Any], str]] = []
    instances = []
    wrapped = set()
    for (model, values), document in zip(MODELS, documents, strict=True):
        validator = jsonschema.Draft202012Validator(document)
        for value in values:
            text = constrained(validator, document, value)
            if not validator.is_valid(text):
                wrapped.add(model)
                text = constrained(validator, document, {"value": value})
                assert validator.is_valid(text), (model, value, text)
            instances.append(model.model_validate(value))
            replies.append((model, json.dumps(text)))
    answers = await results_of(router, madspark_simulator, replies)
    for (model, reply), instance, (answer, response) in zip(replies, instances, answers, strict=True):
        assert (answer, len(response.attempts)) == (instance, 1), (model, reply)
        assert not response.attempts[0].changes, (model, reply)
    # Two of the providers require an object at the root.
    assert bool(wrapped) == (provider in {"openai", "anthropic"})
    assert all(issubclass(model, pydantic.RootModel) for model in wrapped)
