"""The schemas of the agents enforce the bounds of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ValidationError

from madspark import schemas

if TYPE_CHECKING:
    from collections.abc import Callable

IDEA = {"idea_number": 1, "title": "Roof farm", "description": "Beds on flat roofs."}
EVALUATION = {"idea_index": 0, "score": 7.5, "comment": "Sound and cheap."}
POINT = {"title": "Cheap", "description": "Needs soil and wood."}
ADVOCACY: dict[str, Any] = {
    "strengths": [POINT],
    "opportunities": [POINT],
    "addressing_concerns": [{"concern": "Weight", "response": "Light soil."}],
}
SKEPTICISM: dict[str, Any] = {
    "critical_flaws": [POINT],
    "risks_and_challenges": [POINT],
    "questionable_assumptions": [{"assumption": "Roofs are flat", "concern": "Most are not."}],
    "missing_considerations": [{"aspect": "Insurance", "importance": "Owners ask for it."}],
}
IMPROVEMENT: dict[str, Any] = {
    "improved_title": "Roof farm 2",
    "improved_description": "Light beds on flat roofs.",
    "key_improvements": ["lighter"],
}

VALID: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (schemas.IdeaItem, IDEA),
    (schemas.CriticEvaluation, EVALUATION),
    (schemas.TitledPoint, POINT),
    (schemas.Advocacy, ADVOCACY),
    (schemas.AdvocacyForIdea, {**ADVOCACY, "idea_index": 0}),
    (schemas.Skepticism, SKEPTICISM),
    (schemas.SkepticismForIdea, {**SKEPTICISM, "idea_index": 0}),
    (schemas.Improvement, IMPROVEMENT),
    (schemas.ImprovementForIdea, {**IMPROVEMENT, "idea_index": 0}),
]

# Model, a valid value, the field under test, shortest and longest length.
TEXT_BOUNDS: list[tuple[type[BaseModel], dict[str, Any], str, int, int]] = [
    (schemas.IdeaItem, IDEA, "title", 1, 200),
    (schemas.IdeaItem, IDEA, "description", 10, 2000),
    (schemas.IdeaItem, IDEA, "category", 0, 100),
    (schemas.CriticEvaluation, EVALUATION, "comment", 10, 5000),
    (schemas.TitledPoint, POINT, "title", 1, 200),
    (schemas.TitledPoint, POINT, "description", 1, 2000),
    (schemas.AddressedConcern, {"concern": "c", "response": "r"}, "concern", 1, 500),
    (schemas.AddressedConcern, {"concern": "c", "response": "r"}, "response", 1, 1000),
    (schemas.QuestionableAssumption, {"assumption": "a", "concern": "c"}, "assumption", 1, 500),
    (schemas.QuestionableAssumption, {"assumption": "a", "concern": "c"}, "concern", 1, 1000),
    (schemas.MissingConsideration, {"aspect": "a", "importance": "i"}, "aspect", 1, 200),
    (schemas.MissingConsideration, {"aspect": "a", "importance": "i"}, "importance", 1, 1000),
    (schemas.Improvement, IMPROVEMENT, "improved_title", 1, 200),
    (schemas.Improvement, IMPROVEMENT, "improved_description", 10, 5000),
]


@pytest.mark.parametrize(("model", "value"), VALID)
def test_exactly_the_listed_fields_are_required(model: type[BaseModel], value: dict[str, Any]) -> None:
    model.model_validate(value)
    for missing in value:
        with pytest.raises(ValidationError, match=missing):
            model.model_validate({key: kept for key, kept in value.items() if key != missing})


@pytest.mark.parametrize(("model", "value", "field", "shortest", "longest"), TEXT_BOUNDS)
def test_text_bounds(model: type[BaseModel], value: dict[str, Any], field: str, shortest: int, longest: int) -> None:
    # Two-byte characters: the bounds count characters.
    model.model_validate({**value, field: "ü" * shortest})
    model.model_validate({**value, field: "ü" * longest})
    with pytest.raises(ValidationError, match=field):
        model.model_validate({**value, field: "ü" * (longest + 1)})
    if shortest:
        with pytest.raises(ValidationError, match=field):
            model.model_validate({**value, field: "ü" * (shortest - 1)})


@pytest.mark.parametrize(("given", "kept"), [(0, 0.0), (10, 10.0), (7.25, 7.2), (7.26, 7.3), ("8", 8.0)])
def test_scores_are_rounded_to_one_decimal(given: object, kept: float) -> None:
    assert schemas.CriticEvaluation.model_validate({**EVALUATION, "score": given}).score == kept


@pytest.mark.parametrize("score", [-0.01, 10.01, "NaN", "N/A", None, float("nan"), float("inf")])
def test_scores_outside_of_the_range_are_rejected(score: object) -> None:
    with pytest.raises(ValidationError, match="score"):
        schemas.CriticEvaluation.model_validate({**EVALUATION, "score": score})


@pytest.mark.parametrize(
    ("model", "value", "field", "bad"),
    [
        (schemas.IdeaItem, IDEA, "idea_number", 0),
        (schemas.CriticEvaluation, EVALUATION, "idea_index", -1),
        (schemas.AdvocacyForIdea, {**ADVOCACY, "idea_index": 0}, "idea_index", -1),
        (schemas.SkepticismForIdea, {**SKEPTICISM, "idea_index": 0}, "idea_index", -1),
        (schemas.ImprovementForIdea, {**IMPROVEMENT, "idea_index": 0}, "idea_index", -1),
        (schemas.Improvement, IMPROVEMENT, "key_improvements", []),
    ],
)
def test_number_and_count_bounds(model: type[BaseModel], value: dict[str, Any], field: str, bad: object) -> None:
    with pytest.raises(ValidationError, match=field):
        model.model_validate({**value, field: bad})


def test_optional_fields_may_be_null() -> None:
    idea = schemas.IdeaItem.model_validate({**IDEA, "key_features": None, "category": None})
    assert (idea.key_features, idea.category) == (None, None)


@pytest.mark.parametrize(
    ("batch", "item"),
    [
        (schemas.GeneratedIdeas, IDEA),
        (schemas.CriticEvaluations, EVALUATION),
        (schemas.AdvocacyBatch, {**ADVOCACY, "idea_index": 0}),
        (schemas.SkepticismBatch, {**SKEPTICISM, "idea_index": 0}),
        (schemas.ImprovementBatch, {**IMPROVEMENT, "idea_index": 0}),
    ],
)
def test_batches_are_json_arrays_that_act_as_lists(batch: Callable[..., Any], item: dict[str, Any]) -> None:
    many = batch([item, item, item])
    assert len(many) == 3
    assert list(many) == [many[0], many[1], many[-1]]
    assert many[1:] == [many[1], many[2]]
    with pytest.raises(IndexError):
        many[3]
    assert many.model_json_schema()["type"] == "array"
    with pytest.raises(ValidationError, match="1"):
        batch([item, {}])
