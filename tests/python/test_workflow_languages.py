"""The texts and prompts of a run use the language of its topic."""
# ruff: noqa: RUF001  (Chinese and Arabic have commas of their own)

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from doubles import ALL_STAGES, labels, script, stages
from madspark import AsyncCoordinator, LLMRouter
from madspark.core.enhanced_reasoning import ReasoningEngine
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

# Language: topic, context, first words of the Unicode names of its letters, first heading of the advocacy.
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
    """Return the first word of each letter's Unicode name, without headings, which may be English."""
    lines = [line for line in text.splitlines() if not line.endswith(":")]
    return [unicodedata.name(c).split()[0].split("-")[0] for line in lines for c in line if c.isalpha()]


@pytest.mark.parametrize("language", TOPICS)
async def test_a_run_uses_the_language_of_its_topic(
    language: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
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


async def test_an_uncertain_language_is_not_guessed(madspark_router: Make, madspark_simulator: Simulator) -> None:
    await AsyncCoordinator(router=madspark_router(primary_provider="ollama")).run_workflow("Urban farming")
    for request in madspark_simulator.requests:
        assert "Write every text in the language of the topic.\n" in request.prompt


# Five ideas, the third a duplicate of the first; a sentence; the first heading of the skepticism.
WRITTEN: dict[str, tuple[list[tuple[str, str]], str, str]] = {
    "Japanese": (
        [
            ("地域の冷蔵庫", "余った食べ物を近所の人と分け合う共同の冷蔵庫を駅前に置く"),
            ("料理教室", "残り物で作る献立を学ぶ教室を公民館で毎月ひらく"),
            ("地域の冷蔵庫", "余った食べ物を近所の人と分け合う共同冷蔵庫を駅前に置く"),
            ("値引きの知らせ", "閉店前の割引を携帯電話に届ける仕組みを商店街が作る"),
            ("堆肥の広場", "生ごみを土に変えて花壇で使う場所を公園に設ける"),
        ],
        "この案は費用が少なく、住民の協力があれば続けられる",
        "重大な欠陥:",
    ),
    "Chinese": (
        [
            ("社区冰箱", "在地铁站旁边放一台共享冰箱，让邻居们交换多余的食物"),
            ("剩菜课堂", "每个月在文化馆教大家用剩下的材料做新的菜"),
            ("社区冰箱", "在地铁站旁放一台共享冰箱，让邻居们交换多余的食物"),
            ("打折提醒", "商店关门之前把便宜的面包消息发到手机上"),
            ("堆肥花园", "把厨房垃圾变成肥料，用来种公园里的花"),
        ],
        "这个办法花钱不多，只要居民愿意合作就能继续下去",
        "关键缺陷:",
    ),
    "Arabic": (
        [
            ("ثلاجة الحي", "نضع ثلاجة مشتركة قرب المحطة يتبادل فيها الجيران الطعام الزائد"),
            ("دروس الطبخ", "نعلم الناس كل شهر كيف يصنعون وجبات جديدة من البقايا"),
            ("ثلاجة الحي", "نضع ثلاجة مشتركة قرب المحطة يتبادل فيها الجيران الطعام الزائد عندهم"),
            ("تنبيه الخصم", "ترسل المتاجر رسالة إلى الهاتف قبل الإغلاق عن الخبز الرخيص"),
            ("حديقة السماد", "نحول نفايات المطبخ إلى سماد لأزهار المتنزه"),
        ],
        "هذه الفكرة قليلة التكلفة ويمكن أن تستمر إذا تعاون السكان",
        "عيوب جوهرية:",
    ),
    "German": (
        [
            ("Kühlschrank im Viertel", "Am Bahnhof steht ein Schrank, in dem Nachbarn übriges Essen tauschen"),
            ("Kochkurs mit Resten", "Jeden Monat lernen Familien im Rathaus neue Gerichte aus alten Zutaten"),
            ("Kühlschrank im Viertel", "Am Bahnhof steht ein Schrank, in dem die Nachbarn übriges Essen tauschen"),
            ("Nachricht vor Ladenschluss", "Bäcker melden abends billiges Brot auf das Telefon der Kunden"),
            ("Kompost für den Park", "Aus Küchenabfällen wird Erde für die Blumen der Stadt"),
        ],
        "Der Vorschlag kostet wenig und kann bestehen, wenn alle mithelfen",
        "ENTSCHEIDENDE SCHWÄCHEN:",
    ),
}


@pytest.mark.parametrize("language", TOPICS)
async def test_defect_19_a_whole_run_in_its_language(
    language: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    topic, context, _, heading = TOPICS[language]
    ideas, sentence, doubt = WRITTEN[language]
    generated = [{"idea_number": at + 1, "title": title, "description": text} for at, (title, text) in enumerate(ideas)]
    script(madspark_simulator, "idea_generation", generated)
    point = {"title": ideas[0][0], "description": sentence}
    ratings = ["feasibility", "innovation", "impact", "cost_effectiveness", "scalability", "risk_assessment"]

    def about(at: int) -> dict[str, dict[str, Any]]:
        return {
            "multi_dimensional": {**dict.fromkeys(ratings, 5 + at), "timeline": 8, "summary": f"{at} {sentence}"},
            "logical_inference": {"inference_chain": [sentence], "conclusion": f"{at} {sentence}", "confidence": 0.9},
            "advocacy": {"strengths": [point], "opportunities": [point], "addressing_concerns": []},
            "skepticism": {
                "critical_flaws": [point],
                "risks_and_challenges": [point],
                "questionable_assumptions": [],
                "missing_considerations": [],
            },
            "improvement": {
                "improved_title": ideas[0][0],
                "improved_description": f"{at} {sentence}",
                "key_improvements": [sentence],
            },
        }

    # Every reply is in reverse order.
    scores = [{"idea_index": at, "score": 5 + at, "comment": f"{at} {sentence}"} for at in (3, 2, 1, 0)]
    again = [{"idea_index": at, "score": 9 - at, "comment": f"{at} {sentence}"} for at in (2, 0, 1)]
    script(madspark_simulator, "evaluation", scores, again)
    for stage in about(0):
        script(madspark_simulator, stage, [{"idea_index": at, **about(at)[stage]} for at in (2, 0, 1)])
    script(
        madspark_simulator,
        "multi_dimensional",
        [{"idea_index": at, **about(at)["multi_dimensional"]} for at in (1, 2, 0)],
    )
    results = await AsyncCoordinator(router=madspark_router(primary_provider="ollama")).run_workflow(
        topic,
        context,
        3,
        enhanced_reasoning=True,
        multi_dimensional_eval=True,
        logical_inference=True,
        reasoning_engine=ReasoningEngine(confidence_threshold=0.9),
    )
    wire = model_requests(madspark_simulator)
    assert stages(wire) == ALL_STAGES
    for request in wire:
        assert f"Write every text in the language of the topic, which is {language}.\n" in request.prompt
    # The third is a duplicate; the best of the other four come first.
    assert sorted(labels(wire[1].prompt)) == [0, 1, 2, 3]
    texts = [f"{title}: {text}" for title, text in ideas]
    assert [result["idea"] for result in results] == [texts[4], texts[3], texts[1]]
    for at, result in enumerate(results):
        expected = f"{at} {sentence}"
        assert (result["status"], result["initial_critique"]) == ("ok", f"{3 - at} {sentence}")
        assert result["advocacy"].startswith(heading)
        assert result["skepticism"].startswith(doubt)
        assert not any("LATIN" in letters(line) for line in result["advocacy"].splitlines() if language != "German")
        assert result["multi_dimensional_evaluation"]["summary"] == expected
        assert result["improved_multi_dimensional_evaluation"]["dimension_scores"]["impact"] == 5 + at
        assert result["logical_inference"]["conclusion"] == expected
        assert result["improved_idea"] == f"{ideas[0][0]}: {expected}"
        assert (result["improved_critique"], result["improved_score"]) == (expected, 9 - at)
