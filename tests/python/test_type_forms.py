"""The types that mypy and pyright infer for the value of a structured call. Both check the assertions of this file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NewType, Optional, Union, assert_type

from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypedDict

from madspark import LLMRouter


class Idea(BaseModel):
    """A schema that is a pydantic model."""

    title: str


@dataclass
class Place:
    """A schema that is a dataclass."""

    name: str


class Note(TypedDict):
    """A schema that is a typed dictionary."""

    text: str


Score = NewType("Score", int)
Level = Literal["low", "high"]


def test_type_checkers_infer_the_type_of_the_value(madspark_router: Callable[..., LLMRouter]) -> None:
    router = madspark_router(primary_provider="mock")
    assert_type(router.generate_structured("one", Idea)[0], Idea)
    assert_type(router.generate_structured("one", list[Idea])[0], list[Idea])
    assert_type(router.generate_structured("one", Place)[0], Place)
    assert_type(router.generate_structured("one", Note)[0], Note)
    assert_type(router.generate_structured("one", Score)[0], Score)
    assert_type(router.generate_structured("one", TypeAdapter(dict[str, int]))[0], dict[str, int])
    assert_type(router.generate_structured("one", {"type": "object"})[0], Any)
    assert_type(router.generate_structured_batch(["one"], Idea)[0], list[Idea])


def test_type_checkers_accept_special_forms(madspark_router: Callable[..., LLMRouter]) -> None:
    """Type forms of PEP 747: not classes, but valid annotations."""
    router = madspark_router(primary_provider="mock")
    assert_type(router.generate_structured("one", Optional[Idea])[0], Idea | None)  # noqa: UP045  (the older form)
    assert_type(router.generate_structured("one", Union[Idea, Place])[0], Idea | Place)  # noqa: UP007  (the same)
    assert_type(router.generate_structured("one", Idea | Place)[0], Idea | Place)
    assert_type(router.generate_structured("one", Level)[0], Level)
    assert_type(router.generate_structured("one", Annotated[int, Field(ge=1)])[0], int)
    assert_type(router.generate_structured_batch(["one"], Optional[int])[0], list[int | None])  # noqa: UP045


def test_type_checkers_reject_other_values(madspark_router: Callable[..., LLMRouter]) -> None:
    router = madspark_router(primary_provider="mock")
    try:
        router.generate_structured("one", 5)  # type: ignore[call-overload]
    except (TypeError, ValueError) as error:
        assert "5" in str(error) or "int" in str(error)  # noqa: PT017  (both checkers must see a call)
    else:
        raise AssertionError("a number is no schema")
