"""Near-duplicates among texts in any script; the tests of the core have the tables."""
# ruff: noqa: RUF001  (full-width Chinese punctuation)

from __future__ import annotations

import pytest

from madspark.utils.duplicates import Duplicate, find_duplicates, similarity

TEXTS = [
    "社区共享冰箱：居民把多余的食物放进去，任何人都可以取用。",
    "Solar bus stops",
    "在学校屋顶种植蔬菜",
    "社区共享冰箱，居民把多余食物放进去，任何人都可取用",
    "SOLAR  bus-stops",
]


def test_defect_19_duplicates_name_what_they_repeat() -> None:
    found = find_duplicates(TEXTS)
    assert [(one.position, one.of) for one in found] == [(3, 0), (4, 1)]
    assert found[1] == Duplicate(4, 1, 1.0)
    assert found[0].similarity == pytest.approx(similarity(TEXTS[0], TEXTS[3]))
    assert 0.8 <= found[0].similarity < 1.0
    assert find_duplicates(TEXTS, 1.0) == [Duplicate(4, 1, 1.0)]
    assert find_duplicates([]) == []


def test_similarity_is_between_0_and_1() -> None:
    assert similarity(TEXTS[0], TEXTS[0]) == 1.0
    assert similarity(TEXTS[0], TEXTS[1]) == 0.0
    assert similarity("", "") == 1.0


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_thresholds_out_of_range_are_rejected(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold must be between"):
        find_duplicates(TEXTS, threshold)


def test_a_string_is_not_a_list_of_texts() -> None:
    with pytest.raises(TypeError, match="must be a list"):
        find_duplicates("abc")
    with pytest.raises(TypeError, match="must be a str"):
        find_duplicates([1])  # type: ignore[list-item]
