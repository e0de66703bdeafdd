# ruff: noqa: RUF001  (full-width Chinese punctuation)
"""The novelty filter removes near-duplicates in every script before the evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from doubles import labels, script
from madspark import AsyncCoordinator, LLMRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

# Language: topic, then (title, description) of an idea, of its near-duplicate, and of two others.
IDEAS = {
    "English": (
        "Less food waste in our town",
        ("Shared fridges", "Fridges on every street in which neighbours leave what they do not need."),
        ("Shared Fridges", "Fridges on every street, in which neighbours leave what they do not need!"),
        ("Repair café", "A workshop at the market where volunteers mend what is broken."),
        ("Rain gardens", "Hollows beside the road that soak up storms and keep cellars dry."),
    ),
    "Chinese": (
        "减少城市食物浪费的方法，让社区参与进来",
        ("社区共享冰箱", "居民把多余的食物放进每条街道的冰箱，任何人都可以取用。"),
        ("社区共享冰箱", "居民把多余食物放进每条街道的冰箱，任何人都可取用"),
        ("屋顶菜园", "在学校屋顶种植蔬菜，让学生参与收获和烹饪。"),
        ("修理咖啡馆", "志愿者每周在市场帮助人们修好坏掉的家电和自行车。"),
    ),
    "Japanese": (
        "食品ロスを減らす方法を地域で考える",
        ("地域の冷蔵庫", "余った食材を町内の冷蔵庫で分け合い、だれでも受け取れる仕組みを作る。"),
        ("地域の冷蔵庫", "余った食材を町内の冷蔵庫で分け合い、誰でも受け取れる仕組みをつくる"),
        ("屋上菜園", "学校の屋上で野菜を育て、給食に使って子どもたちに伝える。"),
        ("修理カフェ", "ボランティアが毎週集まり、壊れた家電や自転車を直す。"),
    ),
    "Arabic": (
        "كيف يمكننا تقليل هدر الطعام في مدينتنا",
        ("ثلاجات مشتركة", "ثلاجات في كل حي من أحياء المدينة يترك فيها الجيران ما لا يحتاجون إليه."),
        ("ثلّاجات مشتركة", "ثلّاجات في كلّ حيّ من أحياء المدينة يترك فيها الجيران ما لا يحتاجون إليه"),
        ("مقهى الإصلاح", "ورشة في السوق يصلح فيها المتطوعون الدراجات والأجهزة المكسورة."),
        ("حدائق المطر", "منخفضات بجانب الطريق تمتص مياه العواصف وتحمي البيوت."),
    ),
}


async def kept(make: Make, simulator: Simulator, topic: str, ideas: list[tuple[str, str]], **options: Any) -> list[int]:
    """Return the indices of the evaluated ideas."""
    reply = [
        {"idea_number": at + 1, "title": title, "description": description}
        for at, (title, description) in enumerate(ideas)
    ]
    script(simulator, "idea_generation", reply)
    await AsyncCoordinator(router=make(primary_provider="ollama")).run_workflow(topic, **options)
    prompt = simulator.requests[1].prompt
    found = [
        at for at, (title, description) in enumerate(ideas) if f"<idea>\n{title}: {description}\n</idea>" in prompt
    ]
    # In an order of their own.
    assert sorted(labels(prompt)) == list(range(len(found)))
    return found


@pytest.mark.parametrize("language", IDEAS)
async def test_the_later_duplicate_is_dropped(
    language: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    topic, *ideas = IDEAS[language]
    assert await kept(madspark_router, madspark_simulator, topic, ideas) == [0, 2, 3]


@pytest.mark.parametrize("language", IDEAS)
async def test_without_the_filter_every_idea_is_kept(
    language: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    topic, *ideas = IDEAS[language]
    assert await kept(madspark_router, madspark_simulator, topic, ideas, enable_novelty_filter=False) == [0, 1, 2, 3]


@pytest.mark.parametrize(("threshold", "expected"), [(0.0, [0]), (0.8, [0, 2, 3]), (1.0, [0, 1, 2, 3])])
async def test_the_threshold_is_applied(
    threshold: float, expected: list[int], madspark_router: Make, madspark_simulator: Simulator
) -> None:
    topic, *ideas = IDEAS["Chinese"]
    assert await kept(madspark_router, madspark_simulator, topic, ideas, novelty_threshold=threshold) == expected


async def test_the_same_text_is_a_duplicate_at_any_threshold(
    madspark_router: Make, madspark_simulator: Simulator
) -> None:
    topic, first, _, other, _ = IDEAS["Japanese"]
    ideas = [first, other, first, other]
    reply = [{"idea_number": 1, "title": title, "description": text} for title, text in ideas]
    script(madspark_simulator, "idea_generation", reply)
    router = madspark_router(primary_provider="ollama")
    await AsyncCoordinator(router=router).run_workflow(topic, novelty_threshold=1.0)
    assert sorted(labels(madspark_simulator.requests[1].prompt)) == [0, 1]
