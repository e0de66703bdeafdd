"""Every text of a run is in the language of its topic, and the prompts say so."""
# ruff: noqa: RUF001  (Chinese and Arabic have commas of their own)

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from madspark import AsyncCoordinator, LLMRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

# Language: topic, context, the Unicode names its letters begin with, the advocacy's first heading.
TOPICS = {
    "Japanese": ("食品ロスを減らす方法を地域で考える", "予算は少ない", ("CJK", "HIRAGANA", "KATAKANA"), "強み:"),
    "Chinese": ("减少城市食物浪费的方法，让社区参与进来", "预算很少", ("CJK",), "优势:"),
    "Arabic": ("كيف يمكننا تقليل هدر الطعام في مدينتنا", "الميزانية محدودة", ("ARABIC",), "نقاط القوة:"),
    "German": (
        "Wie können wir Lebensmittelabfälle in unserer Stadt verringern?",
        "Es gibt nur wenig Geld dafür",
        ("LATIN",),
        "STÄRKEN:",
    ),
}
TEXTS = ["idea", "initial_critique", "advocacy", "skepticism", "improved_idea", "improved_critique"]


def letters(text: str) -> list[str]:
    """Of each letter the first word of its Unicode name; headings, which may be English, are left out."""
    lines = [line for line in text.splitlines() if not line.endswith(":")]
    return [unicodedata.name(c).split()[0].split("-")[0] for line in lines for c in line if c.isalpha()]


@pytest.mark.parametrize("language", TOPICS)
async def test_a_run_stays_in_its_language(language: str, madspark_router: Make, madspark_simulator: Simulator) -> None:
    topic, context, scripts, heading = TOPICS[language]
    results: list[dict[str, Any]] = await AsyncCoordinator(
        router=madspark_router(primary_provider="ollama")
    ).run_workflow(topic, context, enhanced_reasoning=True)
    assert len(madspark_simulator.requests) == 6
    for request in madspark_simulator.requests:
        assert f"Write every text in the language of the topic, which is {language}.\n" in request.prompt
        assert f"<topic>\n{topic}\n</topic>" in request.prompt
    for result in results:
        assert result["status"] == "ok"
        assert result["advocacy"].startswith(heading)
        for field in TEXTS:
            found = letters(result[field])
            assert found
            assert set(found) <= set(scripts), (field, result[field])


async def test_a_language_that_cannot_be_told_is_not_guessed(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    await AsyncCoordinator(router=madspark_router(primary_provider="ollama")).run_workflow("Urban farming")
    for request in madspark_simulator.requests:
        assert "Write every text in the language of the topic.\n" in request.prompt
