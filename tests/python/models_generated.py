"""Random models from a fixed seed, with every feature inside every other, each with valid JSON values."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, RootModel, create_model

from models_handwritten import Colour, Level, Mixed, Step

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 145
SEED = 47


PARTS = 12
"""The number of models that may be parts of later ones."""


def of(generic: Any, *arguments: Any) -> Any:
    """Return `generic[arguments]`, for types that are only known at run time."""
    return generic[arguments]


@dataclass(frozen=True)
class Kind:
    """A type, and a generator of JSON values for it."""

    annotation: Any
    value: Callable[[], Any]


class Generator(random.Random):
    """Generates types and models that contain one another."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.made: list[Kind] = [Kind(Step, lambda: {"name": self.word(), "hours": self.real()})]

    def word(self) -> str:
        return self.choice(["roof", "Moss", "ü", "two words", '"quoted"', "x" * 30])

    def real(self) -> float:
        return self.choice([0.5, 2.25, -1.5, 1e10])

    def some(self, value: Callable[[], Any], least: int = 0) -> list[Any]:
        return [value() for _ in range(self.randint(least, least + 2))]

    def scalar(self) -> Kind:
        """Return a type without parts."""
        return self.choice(
            [
                Kind(str, self.word),
                Kind(int, lambda: self.randint(-9, 99)),
                Kind(float, self.real),
                Kind(bool, lambda: self.choice([True, False])),
                Kind(Decimal, lambda: self.choice(["1.10", "0", "-3.5"])),
                Kind(datetime, lambda: self.choice(["2024-02-29T10:00:00", "2020-01-01T00:00:00Z"])),
                Kind(date, lambda: "2024-02-29"),
                Kind(time, lambda: "23:59:00"),
                Kind(UUID, lambda: "12345678-1234-5678-1234-567812345678"),
                Kind(Literal["a", "b c", ""], lambda: self.choice(["a", "b c", ""])),
                Kind(Literal[1, 5, 25], lambda: self.choice([1, 5, 25])),
                Kind(Colour, lambda: self.choice(["red", "sea green"])),
                Kind(Level, lambda: self.choice([1, 2])),
                Kind(Mixed, lambda: self.choice(["name", 7, True])),
                Kind(Annotated[int, Field(ge=1, le=10)], lambda: self.randint(1, 10)),
                Kind(Annotated[float, Field(gt=0, lt=1)], lambda: self.choice([0.1, 0.5])),
                Kind(Annotated[int, Field(multiple_of=3)], lambda: 3 * self.randint(-3, 3)),
                Kind(Annotated[str, Field(min_length=2, max_length=4)], lambda: self.choice(["ab", "üüüü"])),
                Kind(Annotated[str, Field(pattern="^[a-z]{2,3}$")], lambda: self.choice(["ab", "abc"])),
            ]
        )

    def kind(self, depth: int = 2) -> Kind:
        """Return a scalar type or one with parts."""
        if not depth or self.random() < 0.35:
            return self.scalar()
        inner = self.kind(depth - 1)
        other = self.scalar()
        known = self.choice(self.made)
        return self.choice(
            [
                known,
                known,
                Kind(of(list, inner.annotation), lambda: self.some(inner.value)),
                Kind(of(list, known.annotation), lambda: self.some(known.value)),
                Kind(
                    of(Annotated, of(list, inner.annotation), Field(min_length=1, max_length=5)),
                    lambda: self.some(inner.value, 1),
                ),
                Kind(of(dict, str, inner.annotation), lambda: {self.word(): inner.value() for _ in range(2)}),
                Kind(of(tuple, inner.annotation, other.annotation), lambda: [inner.value(), other.value()]),
                Kind(of(tuple, inner.annotation, ...), lambda: self.some(inner.value)),
                Kind(inner.annotation | None, lambda: self.choice([None, inner.value()])),
                Kind(inner.annotation | other.annotation | known.annotation, known.value),
                Kind(of(set, other.annotation), lambda: [other.value()]),
            ]
        )

    def fields(self, recursive: str | None) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
        """Return the fields of a model, some of them optional, and a generator of their values."""
        kinds = {f"{self.choice('abc')}_{number}": self.kind() for number in range(self.randint(1, 6))}
        optional = {name for name in kinds if self.random() < 0.35}
        fields: dict[str, Any] = {}
        for name, kind in kinds.items():
            described = Field(None if name in optional else ..., description=self.choice([None, f"What {name} is."]))
            annotation = kind.annotation | None if name in optional else kind.annotation
            fields[name] = (annotation, described)
        if recursive:
            fields["more"] = (of(list, recursive), Field(default_factory=list))

        def value() -> dict[str, Any]:
            kept = [name for name in kinds if name not in optional or self.random() < 0.5]
            return {name: kinds[name].value() for name in kept}

        return fields, value

    def model(self, number: int) -> Kind:
        """Return a model, a recursive model, or a root model."""
        name = f"Made{number}"
        form = self.choice(["plain", "plain", "plain", "recursive", "root", "closed"])
        if form == "root":
            kind = self.kind()
            root: Any = of(RootModel, kind.annotation)
            return Kind(create_model(name, __base__=root), kind.value)
        fields, value = self.fields(name if form == "recursive" else None)
        options: dict[str, Any] = {"__config__": {"extra": "forbid"}} if form == "closed" else {}
        model = create_model(name, **options, **fields)
        if form == "recursive":
            return Kind(model, lambda: {**value(), "more": [value(), {**value(), "more": [value()]}]})
        return Kind(model, value)


def generated() -> list[tuple[type[BaseModel], list[Any]]]:
    """Return all generated models, the same in each run."""
    maker = Generator(SEED)
    cases: list[tuple[type[BaseModel], list[Any]]] = []
    for number in range(COUNT):
        kind = maker.model(number)
        if len(maker.made) < PARTS:
            maker.made.append(kind)
        cases.append((kind.annotation, [kind.value() for _ in range(3)]))
    return cases
