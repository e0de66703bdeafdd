"""The benchmarks run. Their figures are not checked, because they need an idle machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs Linux and two cores, one for the client and one for the upstream",
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own scripts
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )


def test_every_task_returns_figures_and_the_report_lists_missing_rows(tmp_path: Path) -> None:
    report, figures = tmp_path / "results.md", tmp_path / "figures.json"
    # An interpreter without packages, as if a library could not be installed.
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n', encoding="utf-8")
    bare.chmod(0o700)

    done = run(
        *("benches", "--minutes", "0", "--seconds", "0.001", "--tasks", "openai", "--only", "floor", "madspark"),
        *("--compare", f"elsewhere={bare}", "--write", str(report), "--json", str(figures)),
    )

    assert "not measured: elsewhere" in done.stderr
    assert done.returncode == 1
    text = report.read_text(encoding="utf-8")
    assert text == done.stdout
    assert "elsewhere: the process has ended" in text
    # Cells are padded to the width of their column.
    cells = [line.rsplit("|", 2)[1].strip() for line in text.splitlines() if line.endswith("|")]
    assert sum(cell in {"met", "**not met**", "not measured"} for cell in cells) == 7
    measured = json.loads(figures.read_text(encoding="utf-8"))
    assert measured["missing"].keys() == {"elsewhere"}
    for task, rows in measured["figures"].items():
        expected = {"madspark"} if "_hit" in task else {"floor", "madspark"}
        assert rows.keys() == expected, task
        for turns in rows.values():
            assert len(turns) == 1
            assert all(value >= 0 for value in turns[0].values())
    assert {task.split()[0] for task in measured["figures"]} >= {"construct", "one_by_one", "in_flight", "streams"}


def test_the_soak_test_makes_calls_of_every_kind() -> None:
    done = run("benches.soak", "--calls", "60", "--samples", "3")

    # The exit code is 1 if memory has grown, which is normal for so few calls: all of them are warm-up.
    assert done.returncode in {0, 1}, done.stderr
    assert not done.stderr
    assert "KB per 1000 calls" in done.stdout


def test_targets_compare_the_worst_of_the_best_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from benches.run import Results
    from benches.targets import TARGETS
    from benches.task import IN_FLIGHT, Task

    plain, structured = (Task("in_flight", "openai", shape, IN_FLIGHT) for shape in ("plain", "structured"))
    quick, slow = {"cpu_us": 90.0, "calls_per_s": 9000.0}, {"cpu_us": 130.0, "calls_per_s": 7000.0}
    peer = {"cpu_us": 1000.0, "calls_per_s": 1000.0}

    def results(figures: dict[Task, dict[str, list[dict[str, float]]]]) -> list[str]:
        return [target.check(Results(figures))[2] for target in TARGETS[:4]]

    assert results({plain: {"madspark": [slow, quick], "litellm": [peer]}}) == [
        *("met", "met", "not measured", "**not met**"),
    ]
    assert results({plain: {"madspark": [quick]}, structured: {"madspark": [slow], "tensorzero": [peer]}}) == [
        *("**not met**", "**not met**", "met", "not measured"),
    ]


def test_the_slope_is_the_least_squares_slope_of_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from benches.soak import slope

    steep, error = slope([(calls, 500 + 0.002 * calls) for calls in range(0, 10_000, 1000)])
    assert steep == pytest.approx(2)
    assert error == pytest.approx(0, abs=1e-9)
    level, _ = slope([(calls, 500) for calls in range(0, 10_000, 1000)])
    assert level == 0
