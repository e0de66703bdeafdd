"""Two hundred models, through every protocol: a valid instance comes back as an equal one.

What is sent of them in each form keeps its provider's rules: `tests/core/schema_lowering.rs` reads the fixture.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

import models
from madspark import AllProvidersFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

# It has no types.
jsonschema: Any = importlib.import_module("jsonschema")

PROVIDERS = ["ollama", "gemini", "openai", "anthropic"]
MODELS = models.models()


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


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_instance_comes_back_equal(
    provider: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    wrapped = set()
    for model, values in MODELS:
        madspark_simulator.clear_rules()
        madspark_simulator.clear()
        with contextlib.suppress(AllProvidersFailedError):
            router.generate_structured("What is sent?", model)
        document = madspark_simulator.requests[0].schema
        judge = jsonschema.Draft202012Validator(document)
        for value in values:
            held = as_held(judge, document, value)
            if not judge.is_valid(held):
                wrapped.add(model)
                held = as_held(judge, document, {"value": value})
            assert judge.is_valid(held), (model, value, held)
            instance = model.model_validate(value)
            madspark_simulator.clear_rules()
            madspark_simulator.on(text=json.dumps(held))
            answer, response = router.generate_structured("one", model)
            assert (answer, len(response.attempts)) == (instance, 1), (model, value, held)
            assert not response.attempts[0].changes, (model, value, held)
    # Two of the providers want an object at the root.
    assert bool(wrapped) == (provider in {"openai", "anthropic"})
    assert all(issubclass(model, pydantic.RootModel) for model in wrapped)
