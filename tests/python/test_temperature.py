"""The temperatures of the stages match the contract."""

from __future__ import annotations

import math

import pytest

from madspark.utils.temperature_control import TemperatureConfig, TemperatureManager

STAGES = ("idea_generation", "evaluation", "advocacy", "skepticism", "improvement")


def by_stage(manager: TemperatureManager) -> tuple[float | None, ...]:
    return (manager.base_temperature, *(manager.get_temperature_for_stage(stage) for stage in STAGES))


def test_defaults() -> None:
    assert by_stage(TemperatureManager()) == (0.7, 0.9, 0.3, 0.5, 0.5, 0.9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conservative", (0.3, 0.5, 0.2, 0.3, 0.3, 0.5)),
        ("balanced", (0.7, 0.8, 0.3, 0.5, 0.5, 0.8)),
        ("creative", (0.9, 1.0, 0.4, 0.7, 0.7, 1.0)),
        ("wild", (1.0, 2.0, 0.5, 0.9, 0.9, 2.0)),
    ],
)
def test_presets(name: str, expected: tuple[float, ...]) -> None:
    assert by_stage(TemperatureManager.from_preset(name)) == expected


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (0.0, (0.0, 0.0, 0.1, 0.0, 0.0, 0.0)),
        (0.5, (0.5, 0.65, 0.2, 0.5, 0.5, 0.65)),
        (1.0, (1.0, 1.3, 0.4, 1.0, 1.0, 1.3)),
        (2.0, (2.0, 2.0, 0.8, 2.0, 2.0, 2.0)),
    ],
)
def test_a_base_temperature_is_higher_for_ideas_and_lower_for_scores(base: float, expected: tuple[float, ...]) -> None:
    assert by_stage(TemperatureManager.from_base_temperature(base)) == pytest.approx(expected)


@pytest.mark.parametrize("value", [-0.1, 2.1, math.nan, math.inf])
def test_values_out_of_range_are_rejected(value: float) -> None:
    with pytest.raises(ValueError, match=r"base_temperature must be between 0\.0 and 2\.0"):
        TemperatureManager.from_base_temperature(value)
    for field in ("base_temperature", "idea_generation", "evaluation", "advocacy", "skepticism"):
        with pytest.raises(ValueError, match=field):
            TemperatureConfig(**{field: value})


def test_none_sends_no_temperature_in_any_stage() -> None:
    manager = TemperatureManager.from_base_temperature(None)
    assert by_stage(manager) == (None,) * 6
    fixed = ("multi_dimensional", "logical_inference")
    assert [manager.get_temperature_for_stage(stage) for stage in fixed] == [None, None]
    assert TemperatureManager(TemperatureConfig(evaluation=None)).get_temperature_for_stage("re_evaluation") is None


def test_zero_is_a_value() -> None:
    config = TemperatureConfig(0.0, 0.0, 0.0, 0.0, 0.0)
    assert by_stage(TemperatureManager(config)) == (0.0,) * 6


@pytest.mark.parametrize("manager", [TemperatureManager(), TemperatureManager.from_preset("wild")])
def test_repeated_and_optional_stages_have_temperatures(manager: TemperatureManager) -> None:
    assert manager.get_temperature_for_stage("re_evaluation") == manager.evaluation
    assert manager.get_temperature_for_stage("multi_dimensional") == 0.0
    assert manager.get_temperature_for_stage("logical_inference") == 0.7


def test_the_error_for_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="conservative, balanced, creative, wild"):
        TemperatureManager.from_preset("hot")
    with pytest.raises(ValueError, match="idea_generation"):
        TemperatureManager().get_temperature_for_stage("cooking")


def test_presets_are_copied() -> None:
    TemperatureManager.from_preset("wild").config.evaluation = 1.9
    assert TemperatureManager.from_preset("wild").evaluation == 0.5
    TemperatureManager().config.evaluation = 1.9
    assert TemperatureManager().evaluation == 0.3
