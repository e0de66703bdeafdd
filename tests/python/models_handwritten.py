"""Models with features that schemas often get wrong, each with valid JSON values."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta  # pydantic reads the annotations
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, RootModel

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    SEA_GREEN = "sea green"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(Enum):
    NAME = "name"
    NUMBER = 7
    FLAG = True


class Blank(Enum):
    NOTHING = ""
    SOMETHING = "something"


class Lone(Enum):
    ONLY = "only"


class Step(BaseModel):
    """A part of others."""

    name: str
    hours: float = 1.0


# Recursion.


class Tree(BaseModel):
    name: str
    children: list[Tree] = Field(default_factory=list)


class RequiredTree(BaseModel):
    name: str
    children: list[RequiredTree]


class Linked(BaseModel):
    value: int
    next: Linked | None = None


class RequiredLinked(BaseModel):
    value: int
    next: RequiredLinked | None


class Ping(BaseModel):
    pong: Pong | None = None


class Pong(BaseModel):
    pings: list[Ping]


class Described(BaseModel):
    """A node.

    With two paragraphs."""

    left: Described | None = Field(None, description="The left one.")
    right: Described | None = Field(None, description="The right one.")


class ByName(BaseModel):
    parts: dict[str, ByName] = {}


class Sum(BaseModel):
    kind: Literal["sum"]
    terms: list[Annotated[Sum | Number, Field(discriminator="kind")]]


class Number(BaseModel):
    kind: Literal["number"]
    value: float


class Nested(RootModel[list["Nested"]]):
    pass


class TreeOrLeaf(RootModel["int | list[TreeOrLeaf]"]):
    pass


class Three(BaseModel):
    a: Three | None = None
    b: list[Three] | None = None
    c: dict[str, Three] | None = None


# Unions.


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float = Field(gt=0)


class Square(BaseModel):
    kind: Literal["square"]
    side: float = Field(gt=0)
    label: str | None = None


class Drawing(BaseModel):
    shape: Annotated[Circle | Square, Field(discriminator="kind", description="What is drawn.")]


class Drawings(RootModel[list[Annotated[Circle | Square, Field(discriminator="kind")]]]):
    pass


class AnyShape(RootModel[Circle | Square]):
    pass


class Overlapping(BaseModel):
    value: int | float | str | bool | None


class ListOrOne(BaseModel):
    value: Step | list[Step] | str


class Optionals(BaseModel):
    a: int | None
    b: int | None = None
    c: str = "text"
    d: Step | None = None
    e: list[int | None] | None = None
    f: Colour | None = None


class ManyOptionals(BaseModel):
    a1: int = 0
    a2: int = 0
    a3: int = 0
    a4: int = 0
    a5: int = 0
    a6: int = 0
    a7: int = 0
    a8: int = 0
    a9: int = 0
    b1: str = ""
    b2: str = ""
    b3: str = ""
    b4: str = ""
    b5: str = ""
    b6: str = ""
    b7: str = ""
    b8: str = ""
    b9: str = ""
    c1: bool = False
    c2: bool = False
    c3: bool = False
    c4: bool = False
    c5: bool = False
    c6: bool = False
    c7: bool = False


class OnlyNull(BaseModel):
    nothing: None
    either: Literal["x"] | None = None


# Literals and enumerations.


class Literals(BaseModel):
    text: Literal["a", "b"]
    number: Literal[1, 2, 3]
    mixed: Literal["a", 1, True, None]  # noqa: PYI061  # null among the values
    one: Literal["only"]
    flag: Literal[True]


class Enums(BaseModel):
    colour: Colour
    level: Level
    mixed: Mixed
    blank: Blank
    lone: Lone
    several: list[Colour]
    by_colour: dict[Colour, Level]


class RootColour(RootModel[Colour]):
    pass


class RootLiteral(RootModel[Literal["yes", "no", "it depends"]]):
    pass


# Numbers and times.


class Amounts(BaseModel):
    price: Decimal
    exact: Annotated[Decimal, Field(max_digits=6, decimal_places=2)]
    least: Annotated[Decimal, Field(ge=0)] = Decimal(1)
    all: list[Decimal]


class Moments(BaseModel):
    at: datetime
    aware: AwareDatetime
    day: date
    hour: time
    span: timedelta
    key: UUID
    all: dict[str, datetime]


class Bounds(BaseModel):
    a: int = Field(ge=1, le=10)
    b: float = Field(gt=0, lt=1)
    c: int = Field(multiple_of=5, gt=0)
    d: str = Field(min_length=2, max_length=5, pattern=r"^[a-z]+$")
    e: list[int] = Field(min_length=1, max_length=3)
    f: set[str] = Field(min_length=1)
    g: dict[str, int] = Field(min_length=1, max_length=2)
    h: Annotated[list[Annotated[str, Field(max_length=3)]], Field(max_length=200)] = []
    i: int = Field(ge=-(2**63), le=2**63 - 1)
    j: float = Field(ge=-1e300, le=1e300)


# Dictionaries, tuples and values of any type.


class Dicts(BaseModel):
    scores: dict[str, int]
    steps: dict[str, Step]
    lists: dict[str, list[float]] = {}
    by_number: dict[int, str] = {}
    nested: dict[str, dict[str, bool]] = {}


class RootDict(RootModel[dict[str, Step]]):
    pass


class RootDictOfValues(RootModel[dict[str, dict[str, int]]]):
    pass


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Tuples(BaseModel):
    pair: tuple[str, int]
    any_length: tuple[float, ...]
    mixed: tuple[Step, str | None, Literal["z"]]
    point: Point
    empty: tuple[()]


class Sets(BaseModel):
    names: set[str]
    fixed: frozenset[int]
    colours: set[Colour]


class Free(BaseModel):
    anything: Any
    json_value: JsonValue
    one_object: dict[str, Any]
    one_list: list[Any]
    bare: list = []  # type: ignore[type-arg]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    title: str


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    steps: list[Step] = []


class Empty(BaseModel):
    pass


class Unfilled(BaseModel):
    nothing: Empty
    several: list[Empty] = []


# Root models.


class Steps(RootModel[list[Step]]):
    pass


class Matrix(RootModel[list[list[float]]]):
    pass


class Scalar(RootModel[int]):
    pass


class Text(RootModel[Annotated[str, Field(min_length=1)]]):
    pass


class OptionalRoot(RootModel[Step | None]):
    pass


class Inner(RootModel[list[int]]):
    pass


class Middle(RootModel[dict[str, Inner]]):
    pass


class Outer(RootModel[list[Middle]]):
    pass


class Holder(BaseModel):
    """Root models as members."""

    outer: Outer
    scalar: Scalar
    maybe: Inner | None = None


class RootOfRoot(RootModel[Steps]):
    pass


# Names.


class Keywords(BaseModel):
    type: str
    properties: dict[str, str]
    required: bool = True
    items: list[str]
    enum: int
    description: str = Field(description="Called as a keyword is.")
    ref: str = Field(alias="$ref")
    value: str


class Value(BaseModel):
    value: list[int]


class RootValue(RootModel[dict[str, list[int]]]):
    pass


class Odd(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    from_: str = Field(alias="from")
    camel_case: int = Field(alias="camelCase")
    slash: str = Field(alias="a/b~c")
    spaced: str = Field(alias="two words")
    großer_titel: str  # noqa: PLC2401
    title: str = Field(title="A title", description='With "quotes" and ünïcode.\nTwo lines.', examples=["x"])


class Generic1(BaseModel, Generic[T]):
    item: T
    items: list[T]


class OfInt(Generic1[int]):
    pass


class OfStep(Generic1[Step]):
    pass


class Base(BaseModel):
    id: int


class Heir(Base):
    name: str
    base: Base


class Deep(BaseModel):
    class One(BaseModel):
        class Two(BaseModel):
            class Three(BaseModel):
                leaf: int

            three: Three

        two: Two
        twos: list[Two]

    one: One


class Reused(BaseModel):
    first: Step = Field(description="The first.")
    second: Step = Field(description="The second.")
    third: Annotated[Step, Field(description="The third.")] | None = None


SHAPES = [
    {"kind": "circle", "radius": 0.5},
    {"kind": "square", "side": 2, "label": None},
    {"kind": "square", "side": 1},
]
STEP = {"name": "dig", "hours": 2.5}
LEAF = {"three": {"leaf": 1}}
BOUNDS = {
    "a": 10,
    "b": 0.5,
    "c": 15,
    "d": "abc",
    "e": [1],
    "f": ["x"],
    "g": {"k": 1},
    "h": ["abc", ""],
    "i": 2**63 - 1,
    "j": -1e300,
}
MOMENTS = {
    "at": "2024-02-29T10:00:00",
    "aware": "2024-02-29T10:00:00Z",
    "day": "2024-02-29",
    "hour": "10:00:00",
    "span": "PT1H30M",
    "key": "12345678-1234-5678-1234-567812345678",
    "all": {"x": "2024-02-29T10:00:00"},
}

ANYTHING: list[Any] = [None, 1, "a", [1, [2]], {"a": {"b": []}}]

HANDWRITTEN: list[tuple[type[BaseModel], list[Any]]] = [
    (Tree, [{"name": "a"}, {"name": "a", "children": [{"name": "b", "children": [{"name": "c", "children": []}]}]}]),
    (RequiredTree, [{"name": "a", "children": []}, {"name": "a", "children": [{"name": "b", "children": []}]}]),
    (Linked, [{"value": 1}, {"value": 1, "next": {"value": 2, "next": {"value": 3, "next": None}}}]),
    (RequiredLinked, [{"value": 1, "next": None}, {"value": 1, "next": {"value": 2, "next": None}}]),
    (Ping, [{}, {"pong": None}, {"pong": {"pings": [{}, {"pong": {"pings": []}}]}}]),
    (Pong, [{"pings": []}, {"pings": [{"pong": {"pings": []}}]}]),
    (Described, [{}, {"left": {"right": {}}, "right": None}]),
    (ByName, [{}, {"parts": {"a": {"parts": {"b": {}}}}}]),
    (
        Sum,
        [
            {"kind": "sum", "terms": []},
            {"kind": "sum", "terms": [{"kind": "number", "value": 1}, {"kind": "sum", "terms": []}]},
        ],
    ),
    (Nested, [[], [[], [[]]]]),
    (TreeOrLeaf, [1, [], [1, [2]]]),
    (Three, [{}, {"a": {"b": [{}]}, "c": {"x": {}}}, {"a": None, "b": None, "c": None}]),
    (Drawing, [{"shape": shape} for shape in SHAPES]),
    (Drawings, [[], SHAPES]),
    (AnyShape, SHAPES),
    (Overlapping, [{"value": value} for value in (1, 1.5, "1", True, None)]),
    (ListOrOne, [{"value": STEP}, {"value": [STEP]}, {"value": "dig"}, {"value": []}]),
    (Optionals, [{"a": None}, {"a": 1, "b": 2, "c": "", "d": STEP, "e": [1, None], "f": "red"}, {"a": 1, "e": None}]),
    (ManyOptionals, [{}, {"a1": 1, "b9": "x", "c7": True}]),
    (OnlyNull, [{"nothing": None}, {"nothing": None, "either": "x"}]),
    (
        Literals,
        [{"text": "a", "number": 1, "mixed": mixed, "one": "only", "flag": True} for mixed in ("a", 1, True, None)],
    ),
    (
        Enums,
        [
            {
                "colour": "sea green",
                "level": 2,
                "mixed": mixed,
                "blank": "",
                "lone": "only",
                "several": ["red", "red"],
                "by_colour": {"red": 1},
            }
            for mixed in ("name", 7, True)
        ],
    ),
    (RootColour, ["red", "sea green"]),
    (RootLiteral, ["yes", "it depends"]),
    (
        Amounts,
        [
            {"price": "1.10", "exact": "12.34", "all": ["0", "-1.5"]},
            {"price": 2, "exact": 1.5, "least": "3", "all": []},
        ],
    ),
    (Moments, [MOMENTS, {**MOMENTS, "at": "2024-02-29T10:00:00.123456+02:00", "span": "P3D", "all": {}}]),
    (Bounds, [BOUNDS, {**BOUNDS, "e": [1, 2, 3], "h": [], "i": -(2**63)}]),
    (
        Dicts,
        [
            {"scores": {}, "steps": {}},
            {
                "scores": {"a b": 1, "ü": 2},
                "steps": {"x": STEP},
                "lists": {"l": [1, 2.5]},
                "by_number": {"1": "one"},
                "nested": {"a": {"b": True}},
            },
        ],
    ),
    (RootDict, [{}, {"a": STEP}]),
    (RootDictOfValues, [{}, {"value": {"value": 1}}, {"a": {}, "b": {"c": 2}}]),
    (
        Tuples,
        [
            {"pair": ["a", 1], "any_length": length, "mixed": [STEP, None, "z"], "point": [1, 2], "empty": []}
            for length in ([], [1.5], [1, 2, 3])
        ],
    ),
    (Sets, [{"names": [], "fixed": [1, 2], "colours": ["red"]}, {"names": ["a"], "fixed": [], "colours": []}]),
    (
        Free,
        [
            {"anything": anything, "json_value": anything, "one_object": {"a": 1}, "one_list": [1, "a", None]}
            for anything in ANYTHING
        ],
    ),
    (Open, [{"title": "x"}, {"title": "x", "more": [1]}]),
    (Closed, [{"title": "x"}, {"title": "x", "steps": [STEP]}]),
    (Empty, [{}]),
    (Unfilled, [{"nothing": {}}, {"nothing": {}, "several": [{}, {}]}]),
    (Steps, [[], [STEP, {"name": "x"}]]),
    (Matrix, [[], [[]], [[1, 2.5], [3]]]),
    (Scalar, [0, -5]),
    (Text, ["x", '"quoted" {"value": 1}']),
    (OptionalRoot, [None, STEP]),
    (Inner, [[], [1]]),
    (Middle, [{}, {"a": [1]}]),
    (Outer, [[], [{}, {"a": [1], "b": []}]]),
    (Holder, [{"outer": [{"a": [1]}], "scalar": 3}, {"outer": [], "scalar": 3, "maybe": [1]}]),
    (RootOfRoot, [[], [STEP]]),
    (
        Keywords,
        [
            {
                "type": "object",
                "properties": {"a": "b"},
                "items": ["x"],
                "enum": 1,
                "description": "d",
                "$ref": "#/$defs/x",
                "value": "v",
            }
        ],
    ),
    (Value, [{"value": []}, {"value": [1, 2]}]),
    (RootValue, [{}, {"value": [1]}, {"value": [], "other": []}]),
    (Odd, [{"from": "a", "camelCase": 1, "a/b~c": "x", "two words": "y", "großer_titel": "z", "title": "t"}]),
    (OfInt, [{"item": 1, "items": [2]}]),
    (OfStep, [{"item": STEP, "items": []}]),
    (Heir, [{"id": 1, "name": "x", "base": {"id": 2}}]),
    (Deep, [{"one": {"two": LEAF, "twos": [LEAF, LEAF]}}]),
    (Reused, [{"first": STEP, "second": STEP}, {"first": STEP, "second": {"name": "x"}, "third": STEP}]),
]
