"""The five main agents: classes, and the functions of the previous package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from doubles import advocacy, evaluation, idea, improvement, labels, script, skepticism
from madspark import LLMRouter, agents, schemas
from madspark.agents.advocate import advocate_idea, advocate_ideas_batch
from madspark.agents.critic import evaluate_ideas, split_ideas
from madspark.agents.idea_generator import generate_ideas, improve_idea, improve_ideas_batch
from madspark.agents.skeptic import criticize_idea, criticize_ideas_batch
from madspark.agents.structured_idea_generator import improve_idea_structured

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

TOPIC = "Shade for hot bus stops"
ADVOCACY_TEXT = """STRENGTHS:
• Amber: Amber in more words

OPPORTUNITIES:
• Amber: Amber in more words

ADDRESSING CONCERNS:
• Worry over Amber: Calm over Amber"""
SKEPTICISM_TEXT = """CRITICAL FLAWS:
• Amber: Amber in more words

RISKS & CHALLENGES:
• Amber: Amber in more words

QUESTIONABLE ASSUMPTIONS:
• Belief in Amber: Doubt of Amber

MISSING CONSIDERATIONS:
• Gap in Amber: Weight of Amber"""


@pytest.fixture
def router(madspark_router: Callable[..., LLMRouter]) -> LLMRouter:
    return madspark_router(primary_provider="ollama", fallback_enabled=False)


def indexed(*items: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"idea_index": at, **item} for at, item in enumerate(items)]


def test_generate_ideas(router: LLMRouter, madspark_simulator: Simulator) -> None:
    reply = [idea("Amber shelter", 1), {**idea("Copper shelter", 2), "key_features": ["cool"], "category": "roof"}]
    script(madspark_simulator, "idea_generation", reply, reply, reply)
    found = json.loads(generate_ideas(TOPIC, "no budget", num_ideas=2, router=router))
    assert [schemas.IdeaItem.model_validate(item) for item in found] == [
        schemas.IdeaItem.model_validate(item) for item in reply
    ]
    assert generate_ideas(TOPIC, num_ideas=2, use_structured_output=False, router=router) == (
        "1. Amber shelter: The whole of Amber shelter\n2. Copper shelter: The whole of Copper shelter"
    )
    typed = agents.IdeaGenerator(router).generate(TOPIC, count=2)
    assert [(item.idea_number, item.title) for item in typed] == [(1, "Amber shelter"), (2, "Copper shelter")]
    assert "exactly 2 ideas" in madspark_simulator.requests[0].prompt


def test_evaluate_ideas(router: LLMRouter, madspark_simulator: Simulator) -> None:
    reply = indexed(evaluation(7.26, "Amber"), {**evaluation(4, "Copper"), "strengths": ["cool"]})
    script(madspark_simulator, "evaluation", reply, reply, reply)
    text, tokens = evaluate_ideas("Amber\nCopper", TOPIC, router=router)
    assert tokens == router.get_metrics()["total_tokens"] > 0
    found = json.loads(text)
    assert [(item["idea_index"], item["score"], item["comment"][-6:].strip()) for item in found] == [
        (0, 7.3, "Amber"),
        (1, 4.0, "Copper"),
    ]
    text, _ = evaluate_ideas(["Amber", "Copper"], TOPIC, use_structured_output=False, router=router)
    assert text.splitlines() == [
        "1. Score 7.3: What there is to say about Amber",
        "2. Score 4: What there is to say about Copper",
    ]
    typed = agents.Critic(router).evaluate(["Amber", "Copper"], TOPIC)
    assert [item.score for item in typed] == [7.3, 4.0]
    assert typed[1].strengths == ["cool"]


@pytest.mark.parametrize(
    ("text", "ideas"),
    [
        ("one", ["one"]),
        ("one\ntwo\n\n", ["one", "two"]),
        ("one\r\ntwo", ["one", "two"]),
        ("1. one\n2. two\n3. three", ["one", "two", "three"]),
        ("1) one\n   goes on\n2) two\n\n   goes on", ["one\n   goes on", "two\n\n   goes on"]),
        ("Here they are:\n\n1. one\n2. two", ["one", "two"]),
        ("one\ngoes on\n\ntwo\ngoes on", ["one\ngoes on", "two\ngoes on"]),
        ("3.5 metres of shade\n2.5 metres of bench", ["3.5 metres of shade", "2.5 metres of bench"]),
        ('["one\\ntwo", "three"]', ["one\ntwo", "three"]),
        (
            '[{"title": "One", "description": "first"}, {"title": "Two"}, {"name": "三"}]',
            ["One: first", "Two", '{"name": "三"}'],
        ),
        ("[not] JSON\ntwo", ["[not] JSON", "two"]),
        ("  \n ", []),
    ],
)
def test_split_ideas(text: str, ideas: list[str], router: LLMRouter, madspark_simulator: Simulator) -> None:
    assert split_ideas(text) == ideas
    if ideas:
        evaluate_ideas(text, TOPIC, router=router)
        [request] = madspark_simulator.requests
        assert labels(request.prompt) == list(range(len(ideas)))
        assert all(f"<idea>\n{each}\n</idea>" in request.prompt for each in ideas)


def test_advocate(router: LLMRouter, madspark_simulator: Simulator) -> None:
    script(madspark_simulator, "advocacy", *[advocacy("Amber")] * 3)
    found = json.loads(advocate_idea("Amber", "Score 7", TOPIC, router=router))
    assert found == advocacy("Amber")
    assert advocate_idea("Amber", "Score 7", TOPIC, use_structured_output=False, router=router) == ADVOCACY_TEXT
    assert agents.Advocate(router).advocate("Amber", "", TOPIC) == schemas.Advocacy.model_validate(found)
    assert "<evaluation>\nScore 7\n</evaluation>" in madspark_simulator.requests[0].prompt
    assert "<evaluation>" not in madspark_simulator.requests[2].prompt


def test_skeptic(router: LLMRouter, madspark_simulator: Simulator) -> None:
    script(madspark_simulator, "skepticism", *[skepticism("Amber")] * 3)
    found = json.loads(criticize_idea("Amber", "It is cool", TOPIC, router=router))
    assert found == skepticism("Amber")
    assert criticize_idea("Amber", "It is cool", TOPIC, use_structured_output=False, router=router) == SKEPTICISM_TEXT
    assert agents.Skeptic(router).criticize("Amber", "", TOPIC) == schemas.Skepticism.model_validate(found)
    assert "<advocacy>\nIt is cool\n</advocacy>" in madspark_simulator.requests[0].prompt


@pytest.mark.parametrize("improve", [improve_idea, improve_idea_structured])
def test_improve(improve: Callable[..., str], router: LLMRouter, madspark_simulator: Simulator) -> None:
    script(madspark_simulator, "improvement", *[improvement("Amber")] * 3)
    arguments = ("Amber", "Score 7", "It is cool", "It is dear", TOPIC)
    found = schemas.Improvement.model_validate_json(improve(*arguments, router=router))
    assert found == schemas.Improvement.model_validate(improvement("Amber"))
    text = improve(*arguments, use_structured_output=False, router=router)
    assert text == "Better Amber: All that Amber can become"
    assert agents.StructuredIdeaGenerator(router).improve(*arguments) == found
    for tag, text in {"evaluation": "Score 7", "advocacy": "It is cool", "skepticism": "It is dear"}.items():
        assert f"<{tag}>\n{text}\n</{tag}>" in madspark_simulator.requests[0].prompt


BATCHES: list[tuple[Callable[..., Any], str, Callable[[str], dict[str, Any]], str | None]] = [
    (advocate_ideas_batch, "advocacy", advocacy, ADVOCACY_TEXT),
    (criticize_ideas_batch, "skepticism", skepticism, SKEPTICISM_TEXT),
    (improve_ideas_batch, "improvement", improvement, None),
]


@pytest.mark.parametrize(("batch", "stage", "make", "text"), BATCHES)
def test_batches(
    batch: Callable[..., Any],
    stage: str,
    make: Callable[[str], dict[str, Any]],
    text: str | None,
    router: LLMRouter,
    madspark_simulator: Simulator,
) -> None:
    reply = indexed(make("Amber"), make("Copper"))
    script(madspark_simulator, stage, reply[::-1])
    cases = [{"idea": "Amber", "evaluation": "7"}, {"idea": "Copper", "critique": "4", "advocacy": ["cool"]}]
    found, tokens = batch(cases, TOPIC, router=router)
    assert tokens == router.get_metrics()["total_tokens"] > 0
    items = [{key: value for key, value in item.items() if value is not None} for item in found]
    assert [item.get("formatted") for item in items] == [text, text and text.replace("Amber", "Copper")]
    assert [{key: value for key, value in item.items() if key != "formatted"} for item in items] == reply
    assert len(madspark_simulator.requests) == 1


@pytest.mark.parametrize(("batch", "stage", "make", "text"), BATCHES)
def test_a_batch_leaves_out_missing_items(
    batch: Callable[..., Any],
    stage: str,
    make: Callable[[str], dict[str, Any]],
    text: str | None,  # noqa: ARG001  (from the shared table)
    router: LLMRouter,
    madspark_simulator: Simulator,
) -> None:
    single = indexed(make("Amber"))
    script(madspark_simulator, stage, single, single, single)
    found, _ = batch([{"idea": "Amber"}, {"idea": "Copper"}], TOPIC, router=router)
    assert [item["idea_index"] for item in found] == [0]


def test_use_router_false_is_rejected(router: LLMRouter, madspark_simulator: Simulator) -> None:
    for call in (
        lambda: generate_ideas(TOPIC, use_router=False, router=router),
        lambda: evaluate_ideas("one", TOPIC, use_router=False, router=router),
        lambda: advocate_idea("one", "", TOPIC, use_router=False, router=router),
        lambda: criticize_idea("one", "", TOPIC, use_router=False, router=router),
        lambda: improve_idea("one", "", "", "", TOPIC, use_router=False, router=router),
    ):
        with pytest.raises(ValueError, match="use_router=False is not supported"):
            call()
    assert madspark_simulator.requests == []


BLANK: list[Callable[[LLMRouter], object]] = [
    lambda router: generate_ideas(" ", router=router),
    lambda router: agents.IdeaGenerator(router).generate("\n"),
    lambda router: agents.IdeaGenerator(router).generate(TOPIC, count=0),
    lambda router: evaluate_ideas("", TOPIC, router=router),
    lambda router: evaluate_ideas("one", "", router=router),
    lambda router: agents.Critic(router).evaluate([], TOPIC),
    lambda router: agents.Critic(router).evaluate(["one", " \u3000"], TOPIC),
    lambda router: advocate_idea("", "fine", TOPIC, router=router),
    lambda router: advocate_idea("one", "fine", "\t", router=router),
    lambda router: advocate_ideas_batch([], TOPIC, router=router),
    lambda router: advocate_ideas_batch([{"evaluation": "fine"}], TOPIC, router=router),
    lambda router: criticize_idea(" ", "fine", TOPIC, router=router),
    lambda router: criticize_ideas_batch([{"idea": "one"}, {"idea": ""}], TOPIC, router=router),
    lambda router: improve_idea("", "a", "b", "c", TOPIC, router=router),
    lambda router: improve_ideas_batch([{"idea": "one"}], " ", router=router),
    lambda router: evaluate_ideas("one", TOPIC, temperature=2.1, router=router),
    lambda router: evaluate_ideas("one", TOPIC, temperature=float("nan"), router=router),
]


@pytest.mark.parametrize("call", BLANK)
def test_blank_inputs_send_nothing(
    call: Callable[[LLMRouter], object], router: LLMRouter, madspark_simulator: Simulator
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (the messages differ)
        call(router)
    assert madspark_simulator.requests == []
    assert router.get_metrics()["total_requests"] == 0


def test_wrong_types_are_reported(router: LLMRouter) -> None:
    with pytest.raises(TypeError, match="ideas must be a list of texts"):
        agents.Critic(router).evaluate("one", TOPIC)
    with pytest.raises(TypeError, match="idea must be a str, not int"):
        agents.Critic(router).evaluate([3], TOPIC)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="topic must be a str, not NoneType"):
        generate_ideas(None, router=router)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the number of ideas must be an integer"):
        generate_ideas(TOPIC, num_ideas=2.5, router=router)  # type: ignore[arg-type]
    for batch in (advocate_ideas_batch, criticize_ideas_batch, improve_ideas_batch):
        with pytest.raises(TypeError, match="each idea must be a dict"):
            batch(["one"], TOPIC, router=router)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="files must be a list, not str"):
        generate_ideas(TOPIC, multimodal_files="picture.png", router=router)
    with pytest.raises(TypeError, match="urls must be a list, not str"):
        generate_ideas(TOPIC, multimodal_urls="https://example.com", router=router)
