"""How runs ended, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from madspark import LLMRouter


@dataclass
class Outcomes:
    """The outcomes of repeated runs of one task."""

    runs: int = 0
    first_try: int = 0
    """Complete with one request per call, used as received."""
    corrected: int = 0
    """Complete with one request per call, after a local correction of a reply."""
    repeated: int = 0
    """Complete after more requests than calls."""
    incomplete: int = 0
    """A result without every item that was asked for."""
    failed: int = 0
    tokens: int = 0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    """Why runs and attempts failed."""

    def complete(self) -> int:
        """Return the number of runs with a complete result."""
        return self.first_try + self.corrected + self.repeated

    def add(self, router: LLMRouter, seconds: float, *, complete: bool, corrected: bool = False) -> None:
        """Count a run that returned a result. `router` served only this run."""
        metrics = router.get_metrics()
        attempts = sum(provider["attempts"] for provider in metrics["providers"].values())
        self._add_failed_attempts(router)
        if complete:
            repeated = attempts > metrics["total_requests"]
            self.count(seconds, metrics["total_tokens"], repeated=repeated, corrected=corrected)
        else:
            self.incomplete += 1
            self._account(seconds, metrics["total_tokens"])

    def fail(self, router: LLMRouter, seconds: float, error: Exception) -> None:
        """Count a run that raised `error`. `router` served only this run."""
        self._add_failed_attempts(router)
        self.count_failure(seconds, router.get_metrics()["total_tokens"], error)

    def count(self, seconds: float, tokens: int, *, repeated: bool, corrected: bool = False) -> None:
        """Count a run with a complete result."""
        if repeated:
            self.repeated += 1
        elif corrected:
            self.corrected += 1
        else:
            self.first_try += 1
        self._account(seconds, tokens)

    def count_failure(self, seconds: float, tokens: int, error: Exception) -> None:
        """Count a run that raised `error`."""
        self.failed += 1
        self.reasons[f"{type(error).__name__}: {str(error)[:200]}"] += 1
        self._account(seconds, tokens)

    def row(self) -> list[str]:
        """Return the cells of a table row, in the order of `HEADER`."""
        runs = max(self.runs, 1)
        counts = (self.first_try, self.corrected, self.repeated, self.incomplete, self.failed)
        cells = [f"{self.complete()}/{self.runs}", *map(str, counts)]
        return [*cells, f"{self.tokens / runs:.0f}", f"{self.seconds / runs:.1f}"]

    def _account(self, seconds: float, tokens: int) -> None:
        self.runs += 1
        self.tokens += tokens
        self.seconds += seconds

    def _add_failed_attempts(self, router: LLMRouter) -> None:
        for provider in router.get_metrics()["providers"].values():
            self.reasons.update({f"attempt failed: {kind}": count for kind, count in provider["failures"].items()})


HEADER = ["complete", "first try", "corrected", "asked again", "incomplete", "failed", "tokens", "seconds"]
"""The last two are averages per run."""
