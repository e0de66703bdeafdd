"""Thinking markup in the text of a reply, and replies that hold nothing but thoughts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from raw_server import whole
from wire_bytes import (
    CUT,
    DONE,
    DRAFT,
    EVENTS,
    EXPECTED,
    PROTOCOLS,
    TEXT_WAYS,
    VALUE,
    VALUE_WAYS,
    WAYS,
    Name,
    Way,
    ask,
    data,
    gemini,
    is_streamed,
    ollama,
    openai,
    openai_chunk,
    says,
    streamed,
)

if TYPE_CHECKING:
    from raw_server import Reply

HARMONY = "<|channel|>analysis<|message|>{0}<|end|><|start|>assistant<|channel|>final<|message|>{1}"

# {0} is the thought, {1} the answer.
MARKUP = {
    "think": "<think>{0}</think>{1}",
    "think-lines": "<think>\n{0}\n</think>\n\n{1}",
    "thinking": "<thinking>A draft: {0}.</thinking>\n{1}",
    "thought": "<thought>{0}</thought>{1}",
    "reasoning": "<reasoning>{0}</reasoning>\n{1}",
    "namespace": "<mm:think>{0}</mm:think>{1}",
    "other-namespace": "<seed:think>{0}</seed:think>{1}",
    "upper": "<THINK>{0}</THINK>{1}",
    "mixed": "<Thinking>{0}</tHINKING>{1}",
    "brackets": "[THINK]Draft: {0}.[/THINK]{1}",
    "brackets-lower": "[think]{0}[/think]\n{1}",
    "triangles": "◁think▷{0}◁/think▷{1}",
    "gemma": "<|channel>thought\n{0}<channel|>{1}",
    "harmony": HARMONY + "<|return|>",
    "harmony-start": "<|start|>assistant" + HARMONY,
    "harmony-json": HARMONY.replace("final<", "final <|constrain|>json<"),
    "harmony-stripped": "analysis{0}assistantfinal{1}",
    "harmony-stripped-lines": "analysis\n{0}\nassistantfinal\n{1}",
    "harmony-stripped-lower": "analysisthe user writes. {0}assistantfinal{1}",
    "harmony-stripped-start": "assistantanalysis{0}assistantfinal{1}",
    "harmony-stripped-quoted": "analysisI end it with `assistantfinal`. {0}assistantfinal{1}",
    "harmony-stripped-commentary": "commentaryFirst. {0}assistantfinal{1}",
    "harmony-two": "<|channel|>analysis<|message|>First.<|end|><|start|>assistant" + HARMONY,
    "closing-only": "{0}\n</think>\n\n{1}",
    "nested": "<think>one <think>{0}</think> two</think>{1}",
    "two-blocks": "<think>First.</think><think>{0}</think>{1}",
    "after-space": "\n  <think>{0}</think>{1}",
    "attribute": '<think effort="high">{0}</think>{1}',
}


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("markup", MARKUP)
def test_a_draft_in_thoughts_is_not_the_answer(name: Name, markup: str) -> None:
    text = MARKUP[markup].format(DRAFT, VALUE)
    for way in VALUE_WAYS:
        outcome = ask(name, way, says(name, way, text))
        assert outcome.value == EXPECTED, way
        assert len(outcome.requests) == 1
        assert "much longer" in (outcome.result.reasoning or "")
        # No partial value is that of the draft.
        assert all(piece.get("score", 7) == 7 for piece in outcome.pieces[:-1])


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("markup", MARKUP)
def test_thoughts_are_not_part_of_a_text(name: Name, markup: str) -> None:
    text = MARKUP[markup].format("The user greets me.", "Hello there!")
    # A stream has shown the thoughts by the time that a closing tag without an opening one arrives.
    for way in TEXT_WAYS[: 1 if markup == "closing-only" else 2]:
        outcome = ask(name, way, says(name, way, text))
        assert outcome.value.strip() == "Hello there!", way
        assert len(outcome.requests) == 1
        assert "The user greets me." in (outcome.result.reasoning or "")
        assert outcome.result.text.strip() == "Hello there!"


@pytest.mark.parametrize("markup", sorted(MARKUP.keys() - {"closing-only"}))
@pytest.mark.parametrize("size", [1, 3, 50])
def test_any_split_of_a_stream_with_thoughts_is_read_alike(markup: str, size: int) -> None:
    text = MARKUP[markup].format("The user greets me.", "Hello there!")
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    outcome = ask("openai", "stream", says("openai", "stream", text, pieces=pieces, size=size))
    assert outcome.value.strip() == "Hello there!"
    assert "The user greets me." in (outcome.result.reasoning or "")


UNHARMED = [
    "Wrap it in `<think>` and `</think>`, as the template does.",
    "The tag <think> marks where the thoughts of a model begin.",
    "```html\n<think>a sample</think>\n```\nThis is the markup.",
    "a < b, b > c, and [x] is a list: [THIN",
    "An analysis of the assistant follows.",
    "I think, therefore <b>I am</b>.",
    "analysis of the market: it grows",
    "analysis: the market grows",
    "analysis\n\nThe market grows.",
    "analysisparalysis is no word",
    "analysis and assistantfinal are what remains of the format",
    "assistantfinal is what remains of it",
    "commentary on the final",
    "a",
    "2 < 3",
    "<thin",
]


@pytest.mark.parametrize("text", UNHARMED)
@pytest.mark.parametrize("way", TEXT_WAYS)
@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_text_that_mentions_markup_stays_whole(name: Name, way: Way, text: str) -> None:
    outcome = ask(name, way, says(name, way, text))
    assert outcome.value == text
    assert not outcome.result.reasoning


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize("comment", ["<think>not a thought</think>", "[THINK] x [/THINK]", "</think>", "a <think> b"])
def test_markup_in_a_string_of_the_answer_stays(way: Way, comment: str) -> None:
    outcome = ask("openai", way, says("openai", way, json.dumps({"score": 7, "comment": comment})))
    assert (outcome.value.comment, len(outcome.requests)) == (comment, 1)


@pytest.mark.parametrize(("name", "way"), [(name, way) for name in PROTOCOLS for way in VALUE_WAYS])
@pytest.mark.parametrize(
    "text",
    [
        f"First try {DRAFT} Final answer {VALUE}",
        f"{VALUE}\n{DRAFT}",
        f"```json\n{DRAFT}\n```\nor rather\n```json\n{VALUE}\n```",
        f"Final answer {VALUE}, not {DRAFT}",
    ],
)
def test_two_values_that_fit_are_ambiguous(name: Name, way: Way, text: str) -> None:
    outcome = ask(name, way, says(name, way, text), says(name, way, VALUE))
    if way == "structured_stream" and outcome.value is None:
        # The stream had shown the first value: there is no second request after that.
        assert outcome.pieces
        assert outcome.errors == ["invalid_output"]
    else:
        assert outcome.value == EXPECTED
        assert outcome.errors == ["invalid_output", None]
        assert len(outcome.requests) == 2


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize(
    "text",
    [
        f"{VALUE}\n\nAgain: {VALUE}",
        f'An example of the form is {{"score": "1 to 9"}}. {VALUE}',
        f"The rules {{a, b}} apply: {VALUE}",
        f"```json\n{VALUE}\n```",
    ],
)
def test_one_value_that_fits_is_the_answer(way: Way, text: str) -> None:
    outcome = ask("openai", way, says("openai", way, text))
    assert (outcome.value, len(outcome.requests)) == (EXPECTED, 1)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "text", ["<think>\nThe user greets me, so I", "[THINK]Well", "<|channel|>analysis<|message|>The", "◁think▷Hm"]
)
def test_thoughts_cut_by_the_limit_are_no_answer(name: Name, way: Way, text: str) -> None:
    outcome = ask(name, way, says(name, way, text, CUT[name]), max_attempts=1)
    assert outcome.error is not None
    assert outcome.errors == ["thinking_truncated"]
    assert not outcome.pieces


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", ["<think>\nThe user greets me.\n</think>\n\n", "<think>The user greets"])
def test_thoughts_alone_are_asked_again(name: Name, way: Way, text: str) -> None:
    answer = VALUE if way in VALUE_WAYS else "Hello"
    outcome = ask(name, way, says(name, way, text), says(name, way, answer))
    assert outcome.value == (EXPECTED if way in VALUE_WAYS else "Hello")
    assert len(outcome.requests) == 2
    assert outcome.errors[0] not in {None, "malformed_reply"}


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("way", VALUE_WAYS)
def test_json_among_the_providers_thoughts_is_the_answer(name: Name, way: Way) -> None:
    outcome = ask(name, way, says(name, way, "", thinking=VALUE))
    assert outcome.value == EXPECTED
    assert len(outcome.requests) == 1
    assert outcome.result.attempts[0].changes


EMPTY: list[Any] = ["", None, "\n\n", "   "]


@pytest.mark.parametrize("content", EMPTY)
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("way", VALUE_WAYS)
def test_json_in_any_field_of_thoughts_is_the_answer(way: Way, field: str, content: Any) -> None:
    thought = f"The user wants a score.\n{VALUE}"
    reply = whole(openai(content, **{field: thought}))
    if is_streamed(way):
        chunks = [{"role": "assistant", "content": content}, *({field: piece} for piece in thought)]
        reply = streamed(
            "openai", [*(data(openai_chunk(chunk)) for chunk in chunks), data(openai_chunk({}, "stop")), DONE]
        )
    outcome = ask("openai", way, reply)
    assert (outcome.value, len(outcome.requests)) == (EXPECTED, 1)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("way", WAYS)
def test_a_reply_that_only_thought_is_asked_with_less_thinking(name: Name, way: Way) -> None:
    answer = VALUE if way in VALUE_WAYS else "Hello"
    only_thought = says(name, way, "", thinking="I should describe a person from Rome.")
    outcome = ask(name, way, only_thought, says(name, way, answer))
    assert outcome.value == (EXPECTED if way in VALUE_WAYS else "Hello")
    first, second = (request.json for request in outcome.requests)
    assert first != second
    if name == "ollama":
        assert "think" not in first
        assert second["think"] is False
    again = ask(name, way, only_thought)
    assert again.error is not None
    assert len(again.requests) <= 3
    assert "think" in again.words or "reasoning" in again.words
    assert not again.pieces


def test_the_message_names_the_field_that_holds_the_thoughts() -> None:
    for name, word, reply in [
        ("openai", "reasoning_content", whole(openai("", reasoning_content="Hm."))),
        ("ollama", "thinking", whole(ollama("", thinking="Hm."))),
        ("gemini", "thought", whole(gemini("", thinking="Hm."))),
    ]:
        assert word in ask(name, "structured", reply, max_attempts=1).words, name  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "way"), [(name, way) for name in PROTOCOLS for way in TEXT_WAYS])
def test_the_providers_thoughts_are_reported_apart(name: Name, way: Way) -> None:
    outcome = ask(name, way, says(name, way, "Hello", thinking="A greeting."))
    assert (outcome.value, outcome.result.reasoning) == ("Hello", "A greeting.")
    assert len(outcome.requests) == 1


def test_a_reply_without_thoughts_has_none() -> None:
    for name in PROTOCOLS:
        assert ask(name, "whole", says(name, "whole", "Hello")).result.reasoning is None


WRAPPED = {
    "output": f'{{"output": {VALUE}}}',
    "class": f'{{"Score": {VALUE}}}',
    "result": f'{{"result": {VALUE}}}',
    "tool-call": f'<tool_call>\n{{"name": "Score", "arguments": {VALUE}}}\n</tool_call>',
    "function": json.dumps({"name": "answer", "parameters": json.loads(VALUE)}),
    "arguments-text": json.dumps({"name": "Score", "arguments": VALUE}),
    "properties": f'{{"type": "object", "properties": {VALUE}}}',
    "echo": f'{{"title": "Score", "type": "object", "properties": {VALUE}, "required": ["score", "comment"]}}',
    "schema-then-value": '```json\n{"type": "object", "properties": {"score": {"type": "integer"}, "comment": '
    f'{{"type": "string"}}}}}}\n```\n```json\n{VALUE}\n```',
    "unclosed-think": f"<think>A score of seven, I guess.\n{VALUE}",
}


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize("shape", WRAPPED)
def test_a_wrapped_value_needs_no_second_request(way: Way, shape: str) -> None:
    outcome = ask("openai", way, says("openai", way, WRAPPED[shape]), says("openai", way, DRAFT))
    assert (outcome.value, len(outcome.requests)) == (EXPECTED, 1)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize(
    ("written", "comment"),
    [
        (r"snake\_case", "snake_case"),
        (r"\*\*bold\*\* \[1\] \# \- \> \! 2\. \`x\` \(y\)", "**bold** [1] # - > ! 2. `x` (y)"),
        (r"5 \* 3,\na \u0026 b, \"c\" \\ d \/", '5 * 3,\na & b, "c" \\ d /'),
    ],
)
def test_escapes_of_markdown_in_json_are_read(name: Name, way: Way, written: str, comment: str) -> None:
    text = f'{{"score": 7, "comment": "{written}"}}'
    outcome = ask(name, way, says(name, way, text))
    assert (outcome.value.comment, len(outcome.requests)) == (comment, 1)
    assert "escape" in outcome.result.attempts[-1].changes


@pytest.mark.parametrize("written", [r"C:\Dir\_x", r"\d+\.\d"])
def test_a_backslash_with_two_readings_is_asked_about(written: str) -> None:
    text = f'{{"score": 7, "comment": "{written}"}}'
    way: Way = "structured"
    outcome = ask("openai", way, says("openai", way, text), says("openai", way, VALUE))
    assert (outcome.value, len(outcome.requests)) == (EXPECTED, 2)


@pytest.mark.parametrize("way", VALUE_WAYS)
@pytest.mark.parametrize(
    "text",
    [
        f'{{"output": {VALUE}, "other": {DRAFT}}}',
        '{"properties": {"score": {"type": "integer"}, "comment": {"type": "string"}}}',
        '{"output": {"score": "high"}}',
        f"[{VALUE}, {DRAFT}]",
    ],
)
def test_a_wrapper_without_one_fitting_value_is_refused(way: Way, text: str) -> None:
    outcome = ask("openai", way, says("openai", way, text), says("openai", way, VALUE))
    assert outcome.errors[0] == "invalid_output"
    assert outcome.value == EXPECTED or (outcome.pieces and outcome.value is None)


def only_events(name: Name, thoughts: list[str]) -> Reply:
    return streamed(name, EVENTS[name]([], None, thoughts))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_stream_cut_while_it_thought_is_disconnected(name: Name) -> None:
    events = EVENTS[name](["Hello"], thinking=["Let me ", "see"])
    until = next(at for at, event in enumerate(events) if b"Hello" in event)
    outcome = ask(name, "stream", streamed(name, events[:until]), says(name, "stream", "Hello"))
    assert (outcome.value, outcome.errors[-1]) == ("Hello", None)
    assert outcome.errors[0] in {"disconnected", "empty_reply"}
