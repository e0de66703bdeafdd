"""Structured output: pydantic models that stress one property of a schema each, by madspark and by pydantic-ai."""

from __future__ import annotations

import time
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from benches.real.outcome import Outcomes
from madspark import LLMProviderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benches.real.server import Server

TIMEOUT = 300
"""Seconds for one answer, all requests included, for either library."""
MAX_TOKENS = 400
"""Output tokens of one request, for either library: small models may not end by themselves."""


class Review(BaseModel):
    """A review with bounds on every field."""

    score: int = Field(ge=0, le=10)
    comment: str = Field(min_length=5, max_length=120)


class Product(BaseModel):
    """A product code that follows a pattern."""

    code: str = Field(pattern=r"^[A-Z]{3}-[0-9]{2}$")
    name: str = Field(max_length=40)


class Tags(BaseModel):
    """A list of a fixed length."""

    tags: list[Annotated[str, Field(max_length=30)]] = Field(min_length=3, max_length=3)


class Priority(Enum):
    """Three values."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Task(BaseModel):
    """An enumeration, a date and an optional field."""

    title: str = Field(max_length=80)
    priority: Priority
    due: date
    assignee: str | None = Field(default=None, max_length=30)


class Address(BaseModel):
    """A part of `Person`."""

    street: str = Field(max_length=60)
    city: str = Field(max_length=40)


class Person(BaseModel):
    """Nested models in a list."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=40)
    age: int = Field(ge=0, le=120)
    addresses: list[Address] = Field(min_length=1, max_length=2)


class Circle(BaseModel):
    """A member of the union in `Drawing`."""

    kind: Literal["circle"]
    radius: float = Field(gt=0)


class Square(BaseModel):
    """The other member."""

    kind: Literal["square"]
    side: float = Field(gt=0)


class Drawing(BaseModel):
    """A union with a discriminator."""

    shapes: list[Annotated[Circle | Square, Field(discriminator="kind")]] = Field(min_length=2, max_length=2)


class Point(BaseModel):
    """A tuple of a fixed length with two types."""

    at: tuple[int, int]
    label: Annotated[str, Field(max_length=20)]


class Node(BaseModel):
    """A recursive model."""

    name: str = Field(max_length=20)
    children: list[Node] = Field(default_factory=list, max_length=2)


CASES: dict[str, tuple[type[BaseModel], str]] = {
    "bounds": (Review, "Review this sentence in a few words: The canteen weighs its leftovers every week."),
    "pattern": (Product, "Invent a product: a name and a code of three capital letters, a hyphen and two digits."),
    "fixed list": (Tags, "Give exactly three tags for an article about bicycles."),
    "enum, date": (Task, "Turn into a task: Ana must send the report by 2026-05-04, it is urgent."),
    "nested": (Person, "Extract: Jo Park, 41, lives at 5 Hill Road in York."),
    "union": (Drawing, "Draw one circle with radius 2 and one square with side 3."),
    "tuple": (Point, "The point at x = 3 and y = 4 is called start."),
    "recursive": (Node, "A tree: root has the children left and right, which have no children."),
}
"""The schema and the prompt of each case."""


def measure(server: Server, repeats: int, report: Callable[[str, str, Outcomes], None]) -> None:
    """Ask for every case `repeats` times, by one library directly after the other."""
    peers = _peers(server)
    for name, (schema, prompt) in CASES.items():
        ours = Outcomes()
        theirs = {peer: Outcomes() for peer in peers}
        for _ in range(repeats):
            _ask(server, schema, prompt, ours)
            for peer, ask in peers.items():
                ask(schema, prompt, theirs[peer])
        report(name, "madspark", ours)
        for peer, outcomes in theirs.items():
            report(name, peer, outcomes)


def _ask(server: Server, schema: type[BaseModel], prompt: str, outcomes: Outcomes) -> None:
    router, began = server.router(deadline=TIMEOUT), time.perf_counter()
    try:
        _, response = router.generate_structured(prompt, schema, max_tokens=MAX_TOKENS)
    except LLMProviderError as error:
        outcomes.fail(router, time.perf_counter() - began, error)
    else:
        corrected = any(attempt.changes for attempt in response.attempts)
        outcomes.add(router, time.perf_counter() - began, complete=True, corrected=corrected)


def _peers(server: Server) -> dict[str, Callable[[type[BaseModel], str, Outcomes], None]]:
    """Return how pydantic-ai is asked in each of its output modes; nothing if it is not installed."""
    try:
        from pydantic_ai import Agent, NativeOutput, ToolOutput
        from pydantic_ai.exceptions import AgentRunError
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider
    except ImportError:
        return {}
    model = OpenAIChatModel(server.model, provider=OpenAIProvider(base_url=server.openai_url(), api_key="local"))

    def peer(mode: Callable[[type[BaseModel]], object]) -> Callable[[type[BaseModel], str, Outcomes], None]:
        def ask(schema: type[BaseModel], prompt: str, outcomes: Outcomes) -> None:
            # As many requests as madspark makes for an answer that does not fit.
            agent = Agent(
                model,
                output_type=mode(schema),
                retries=1,
                model_settings={"timeout": TIMEOUT, "max_tokens": MAX_TOKENS},
            )
            began = time.perf_counter()
            try:
                result = agent.run_sync(prompt)
            except AgentRunError as error:
                outcomes.count_failure(time.perf_counter() - began, 0, error)
            else:
                usage = result.usage
                outcomes.count(time.perf_counter() - began, usage.total_tokens, repeated=usage.requests > 1)

        return ask

    return {"pydantic-ai, native": peer(NativeOutput), "pydantic-ai, tool": peer(ToolOutput)}
