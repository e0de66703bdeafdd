"""The sampling temperature of each stage.

Ideas want variety and scores want constancy, so one number for a whole run is rarely right. A
:class:`TemperatureManager` holds one number per stage, from a preset, from one base number, or given one by one.
"""

from __future__ import annotations

__all__ = ["PRESETS", "TemperatureConfig", "TemperatureManager"]

MAX_TEMPERATURE = 2.0

# Base, ideas, evaluation, advocacy, skepticism.
PRESETS = {
    "conservative": (0.3, 0.5, 0.2, 0.3, 0.3),
    "balanced": (0.7, 0.8, 0.3, 0.5, 0.5),
    "creative": (0.9, 1.0, 0.4, 0.7, 0.7),
    "wild": (1.0, 2.0, 0.5, 0.9, 0.9),
}

# Scores of the same idea are to be the same; reasoning needs some freedom, whatever the ideas had.
FIXED = {"multi_dimensional": 0.0, "logical_inference": 0.7}


class TemperatureConfig:
    """One temperature per stage, each 0.0 to 2.0. ``ValueError`` outside of that. 0.0 is a value like any other."""

    __slots__ = ("advocacy", "base_temperature", "evaluation", "idea_generation", "skepticism")

    def __init__(
        self,
        base_temperature: float = 0.7,
        idea_generation: float = 0.9,
        evaluation: float = 0.3,
        advocacy: float = 0.5,
        skepticism: float = 0.5,
    ) -> None:
        self.base_temperature = _checked("base_temperature", base_temperature)
        self.idea_generation = _checked("idea_generation", idea_generation)
        self.evaluation = _checked("evaluation", evaluation)
        self.advocacy = _checked("advocacy", advocacy)
        self.skepticism = _checked("skepticism", skepticism)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, TemperatureConfig) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its fields can be changed

    def __repr__(self) -> str:
        fields = ", ".join(f"{stage}={value}" for stage, value in self.to_dict().items())
        return f"TemperatureConfig({fields})"

    def to_dict(self) -> dict[str, float]:
        """The temperatures by name."""
        return {
            "base_temperature": self.base_temperature,
            "idea_generation": self.idea_generation,
            "evaluation": self.evaluation,
            "advocacy": self.advocacy,
            "skepticism": self.skepticism,
        }


class TemperatureManager:
    """The temperatures of one run; without a ``config``, the defaults of :class:`TemperatureConfig`."""

    __slots__ = ("config",)

    def __init__(self, config: TemperatureConfig | None = None) -> None:
        self.config = TemperatureConfig() if config is None else config

    @classmethod
    def from_preset(cls, name: str) -> TemperatureManager:
        """Take the temperatures of a preset: conservative, balanced, creative or wild; ``ValueError`` for others."""
        try:
            preset = PRESETS[name]
        except KeyError:
            raise ValueError(f"unknown temperature preset {name!r}: use one of {', '.join(PRESETS)}") from None
        return cls(TemperatureConfig(*preset))

    @classmethod
    def from_base_temperature(cls, base_temperature: float) -> TemperatureManager:
        """Derive every stage from one number: ideas warmer, evaluation much cooler."""
        base = _checked("base_temperature", base_temperature)
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
    def base_temperature(self) -> float:
        """The temperature of whatever has none of its own."""
        return self.config.base_temperature

    @property
    def idea_generation(self) -> float:
        """The temperature of new ideas, and of improved ones."""
        return self.config.idea_generation

    @property
    def evaluation(self) -> float:
        """The temperature of scores."""
        return self.config.evaluation

    @property
    def advocacy(self) -> float:
        """The temperature of the advocate."""
        return self.config.advocacy

    @property
    def skepticism(self) -> float:
        """The temperature of the skeptic."""
        return self.config.skepticism

    def get_temperature_for_stage(self, stage: str) -> float:
        """Tell the temperature of ``stage``; ``ValueError`` for a stage the workflow does not have.

        Stages are idea_generation, evaluation, advocacy, skepticism, improvement (that of idea_generation),
        re_evaluation (that of evaluation), and multi_dimensional and logical_inference, which have one of their own
        whatever the config.
        """
        if stage in FIXED:
            return FIXED[stage]
        field = _FIELD_OF_STAGE.get(stage)
        if field is None:
            raise ValueError(f"unknown stage {stage!r}: use one of {', '.join([*_FIELD_OF_STAGE, *FIXED])}")
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


def _checked(name: str, value: float) -> float:
    # Written so that NaN fails too.
    if not 0.0 <= value <= MAX_TEMPERATURE:
        raise ValueError(f"{name} must be between 0.0 and 2.0, not {value}")
    return float(value)
