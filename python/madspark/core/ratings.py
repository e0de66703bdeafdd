"""Ratings and inferences of ideas, as they are in results."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from madspark._described import DescribedModel

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

__all__ = ["Constraint", "Contradiction", "Inference", "Rating"]


class _ReadAsDict(DescribedModel):
    """A model that can also be read like the dict that `model_dump` returns. Its values are plain data then."""

    def __getitem__(self, name: str) -> Any:
        return self.model_dump()[name]

    def __contains__(self, name: object) -> bool:
        return name in self.model_dump()

    def __len__(self) -> int:
        return len(self.model_dump())

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]  # of a dict: its keys, not pairs
        return iter(self.model_dump())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mapping) and not isinstance(other, BaseModel):
            return self.model_dump() == other
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # its fields can be changed

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of `name`, or `default`."""
        return self.model_dump().get(name, default)

    def keys(self) -> KeysView[str]:
        """Return the names, as those of a dict."""
        return self.model_dump().keys()

    def values(self) -> ValuesView[Any]:
        """Return the values, as those of a dict."""
        return self.model_dump().values()

    def items(self) -> ItemsView[str, Any]:
        """Return the pairs of name and value, as those of a dict."""
        return self.model_dump().items()


Mapping.register(_ReadAsDict)


class Rating(_ReadAsDict):
    """The rating of an idea on several dimensions. It can be read like a dict: `rating["summary"]`."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    overall_score: float
    """The mean of the scores, 1.0 to 10.0."""
    weighted_score: float
    """The sum of the scores by their weights, 1.0 to 10.0."""
    confidence_interval: float
    """How close the scores are to each other: 1.0 minus a 25th of their variance, at least 0.0."""
    dimension_scores: dict[str, float]
    """The score of each dimension by its name, 1.0 to 10.0. Of "risk_assessment", a higher score is safer."""
    weak_dimensions: list[str]
    """The dimensions with scores below 6.0, the lowest first, three at most."""
    summary: str
    """The rating in words."""


class Constraint(DescribedModel):
    """A constraint and how well an idea keeps it."""

    constraint: str
    """The constraint."""
    satisfaction: float
    """How well it is kept, from 0.0 (broken) to 1.0 (kept)."""
    explanation: str | None = None
    """Why."""


class Contradiction(DescribedModel):
    """Two things that cannot both be."""

    conflict: str
    """What stands against what."""
    severity: Literal["low", "medium", "high"]
    """How bad it is."""


class Inference(_ReadAsDict):
    """The conclusions from an idea. It can be read like a dict: `inference["conclusion"]`.

    The fields after `improvements` belong to one type of inference each. Those of the other types are None here and
    absent in dumps.
    """

    inference_chain: list[str]
    """The steps of the reasoning, in order."""
    conclusion: str
    """What follows."""
    confidence: float
    """How certain that is, 0.0 to 1.0."""
    improvements: str | None = None
    """What the idea should change because of it."""
    causal_chain: list[str] | None = None
    """Of "causal": each cause with its effect, in order."""
    feedback_loops: list[str] | None = None
    """Of "causal": effects that come back to their cause."""
    root_cause: str | None = None
    """Of "causal": the first cause of the problem."""
    constraints: list[Constraint] | None = None
    """Of "constraints": each constraint and how well it is kept."""
    trade_offs: list[str] | None = None
    """Of "constraints": what is given up for what."""
    contradictions: list[Contradiction] | None = None
    """Of "contradiction": each contradiction; empty if there are none."""
    resolution: str | None = None
    """Of "contradiction": how they can be resolved."""
    implications: list[str] | None = None
    """Of "implications": what follows directly."""
    second_order_effects: list[str] | None = None
    """Of "implications": what follows from that."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        # Without the serializer, whose type hides the fields.
        fields = cast("CoreSchema", {name: value for name, value in schema.items() if name != "serialization"})
        return super().__get_pydantic_json_schema__(fields, handler)

    @model_serializer(mode="wrap")
    def _without_fields_of_other_types(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = dump(self)
        return {name: value for name, value in fields.items() if name in self.model_fields_set}
