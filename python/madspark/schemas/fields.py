"""Fields and base classes that several outputs share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Generic, SupportsIndex, TypeVar, overload

from pydantic import AfterValidator, BaseModel, Field, RootModel

if TYPE_CHECKING:
    from collections.abc import Iterator

Item = TypeVar("Item", bound=BaseModel)

IdeaIndex = Annotated[int, Field(ge=0, description="Which idea this is about: its position in the list, from 0.")]
"""Items are matched to ideas by this number, never by their order."""

Score = Annotated[
    float,
    Field(ge=0, le=10, allow_inf_nan=False, description="0 (worst) to 10 (best), one decimal."),
    AfterValidator(lambda score: round(score, 1)),
]
"""A score, rounded to one decimal."""


class TitledPoint(BaseModel):
    """A point with a headline."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(min_length=1, max_length=2000)]


class Batch(RootModel[list[Item]], Generic[Item]):
    """A JSON array of one kind of answer, which can be iterated, indexed and measured like the list it holds."""

    def __iter__(self) -> Iterator[Item]:  # type: ignore[override]  # a root model's fields are its items
        return iter(self.root)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Item | list[Item]:
        return self.root[index]

    def __len__(self) -> int:
        return len(self.root)
