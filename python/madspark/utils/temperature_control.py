"""The sampling temperature of each stage.

Ideas need variety and scores need consistency. A `TemperatureManager` holds one temperature per stage: from a preset,
derived from one base temperature, or set individually.
"""

from __future__ import annotations

from madspark.llm.exceptions import InvalidRequestError

__all__ = ["PRESETS", "TemperatureConfig", "TemperatureManager"]

MAX_TEMPERATURE = 2.0

# Base, ideas, evaluation, advocacy, skepticism.
PRESETS = {
    "conservative": (0.3, 0.5, 0.2, 0.3, 0.3),
    "balanced": (0.7, 0.8, 0.3, 0.5, 0.5),
    "creative": (0.9, 1.0, 0.4, 0.7, 0.7),
    "wild": (1.0, 2.0, 0.5, 0.9, 0.9),
}

# Ratings of the same idea should not vary; inferences need some variety.
FIXED = {"multi_dimensional": 0.0, "logical_inference": 0.7}


class TemperatureConfig:
    """One temperature per stage, each 0.0 to 2.0, or None to send none.

    Raises:
        ValueError: If a temperature is out of bounds.
    """

    __slots__ = ("advocacy", "base_temperature", "evaluation", "idea_generation", "skepticism")

    def __init__(
        self,
        base_temperature: float | None = 0.7,
        idea_generation: float | None = 0.9,
        evaluation: float | None = 0.3,
        advocacy: float | None = 0.5,
        skepticism: float | None = 0.5,
    ) -> None:
        self.base_temperature = _checked("base_temperature", base_temperature)
        self.idea_generation = _checked("idea_generation", idea_generation)
        self.evaluation = _checked("evaluation", evaluation)
        self.advocacy = _checked("advocacy", advocacy)
        self.skepticism = _checked("skepticism", skepticism)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, TemperatureConfig) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its fields are mutable

    def __repr__(self) -> str:
        fields = ", ".join(f"{stage}={value}" for stage, value in self.to_dict().items())
        return f"TemperatureConfig({fields})"

    def to_dict(self) -> dict[str, float | None]:
        """Return the temperatures by name."""
        return {
            "base_temperature": self.base_temperature,
            "idea_generation": self.idea_generation,
            "evaluation": self.evaluation,
            "advocacy": self.advocacy,
            "skepticism": self.skepticism,
        }


class TemperatureManager:
    """The temperatures of one run. `config` defaults to `TemperatureConfig()`."""

    __slots__ = ("config",)

    def __init__(self, config: TemperatureConfig | None = None) -> None:
        self.config = TemperatureConfig() if config is None else config

    @classmethod
    def from_preset(cls, name: str) -> TemperatureManager:
        """Return the temperatures of a preset: conservative, balanced, creative or wild.

        Raises:
            ValueError: If the preset is unknown.
        """
        try:
            preset = PRESETS[name]
        except KeyError:
            raise InvalidRequestError(f"unknown temperature preset {name!r}: use one of {', '.join(PRESETS)}") from None
        return cls(TemperatureConfig(*preset))

    @classmethod
    def from_base_temperature(cls, base_temperature: float | None) -> TemperatureManager:
        """Derive all temperatures from one: higher for ideas, much lower for evaluations. None sends none in any stage.

        Raises:
            ValueError: If `base_temperature` is not between 0.0 and 2.0.
        """
        base = _checked("base_temperature", base_temperature)
        if base is None:
            return cls(TemperatureConfig(None, None, None, None, None))
        return cls(
            TemperatureConfig(
                base_temperature=base,
                idea_generation=min(MAX_TEMPERATURE, 1.3 * base),
                evaluation=max(0.1, 0.4 * base),
                advocacy=base,
                skepticism=base,
            )
        )

    @property
    def base_temperature(self) -> float | None:
        """The temperature from which the others are derived; no stage uses it."""
        return self.config.base_temperature

    @property
    def idea_generation(self) -> float | None:
        """The temperature of the idea generation and the improvement."""
        return self.config.idea_generation

    @property
    def evaluation(self) -> float | None:
        """The temperature of the evaluation and the re-evaluation."""
        return self.config.evaluation

    @property
    def advocacy(self) -> float | None:
        """The temperature of the advocacy."""
        return self.config.advocacy

    @property
    def skepticism(self) -> float | None:
        """The temperature of the skepticism."""
        return self.config.skepticism

    def get_temperature_for_stage(self, stage: str) -> float | None:
        """Return the temperature of `stage`; None sends none.

        The stages are idea_generation, evaluation, advocacy, skepticism, improvement (the same as idea_generation),
        re_evaluation (the same as evaluation), and multi_dimensional and logical_inference, whose temperatures are
        fixed unless the base temperature is None.

        Raises:
            ValueError: If the workflow has no such stage.
        """
        if stage in FIXED:
            return None if self.base_temperature is None else FIXED[stage]
        field = _FIELD_OF_STAGE.get(stage)
        if field is None:
            raise InvalidRequestError(f"unknown stage {stage!r}: use one of {', '.join([*_FIELD_OF_STAGE, *FIXED])}")
        return self.config.to_dict()[field]

    def __repr__(self) -> str:
        return f"TemperatureManager({self.config!r})"


_FIELD_OF_STAGE = {
    "idea_generation": "idea_generation",
    "evaluation": "evaluation",
    "advocacy": "advocacy",
    "skepticism": "skepticism",
    "improvement": "idea_generation",
    "re_evaluation": "evaluation",
}


def _checked(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    # The negated form also rejects NaN.
    if not 0.0 <= value <= MAX_TEMPERATURE:
        raise InvalidRequestError(f"{name} must be between 0.0 and 2.0, not {value}")
    return float(value)
