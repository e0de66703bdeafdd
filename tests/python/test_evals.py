"""The evaluation runs and computes its figures from the answers. The simulated texts have no meaning."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark import LLMRouter
    from madspark.testing import Simulator

    Make = Callable[..., LLMRouter]

ROOT = Path(__file__).parents[2]
METHOD_NAMES = ["single-shot", "best-of-N", "self-refine"]


@pytest.fixture(autouse=True)
def _import_evals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-m", "evals", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )


def test_the_report_of_a_smoke_test_is_labelled(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    done = run("--simulator", "--tasks", "3", "--resamples", "200", "--json", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("SMOKE TEST: the simulator wrote and judged everything.")
    assert re.findall(r"(?m)^\| (\S+) \| \d", done.stdout) == METHOD_NAMES
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["smoke_test"] is True
    assert [row["against"] for row in result["rows"]] == METHOD_NAMES
    for outcome in result["outcomes"]:
        budget = outcome["answers"]["workflow"]["tokens"]
        assert all(0 < outcome["answers"][method]["tokens"] <= budget for method in METHOD_NAMES)
        assert all(outcome["answers"][method]["text"].strip() for method in ["workflow", *METHOD_NAMES])
    for row in result["rows"]:
        assert row["win_share"] == pytest.approx(
            sum(outcome["judgements"][row["against"]]["points"] for outcome in result["outcomes"]) / 3
        )


def test_a_missing_model_is_an_error_that_names_the_option() -> None:
    done = run("--provider", "gemini", "--model", "any")
    assert done.returncode == 2
    assert "--judge-model" in done.stderr


def test_the_tasks_are_complete_and_unique() -> None:
    from evals.methods import tasks

    found = tasks()
    assert 10 <= len(found) == len({task.id for task in found}) <= 20
    assert all(task.topic.strip() and task.context.strip() for task in found)


@pytest.mark.parametrize("method", METHOD_NAMES)
async def test_a_method_spends_its_budget_and_does_not_exceed_it(
    method: str, madspark_router: Make, madspark_simulator: Simulator
) -> None:
    from evals.methods import METHODS, tasks

    task = tasks()[0]
    madspark_simulator.on(contains="Choose the best", json={"reason": "It is.", "best": 0})
    # About the length of a proposal by a model.
    madspark_simulator.on(text="A roof of reeds: it grows, it shades, it takes little. " * 40)
    for budget in (1_000, 6_000, 12_000):
        router = madspark_router(primary_provider="ollama")
        answer = await METHODS[method](router, task, budget)
        assert answer.tokens == router.get_metrics()["total_tokens"]
        assert answer.text.startswith("A roof of reeds")
        if method == "single-shot":
            assert answer.calls == 1
        else:
            assert answer.tokens <= budget
            # The remaining tokens are not enough for another step.
            assert budget == 1_000 or answer.tokens > budget / 2


async def test_best_of_n_returns_the_chosen_proposal(madspark_router: Make, madspark_simulator: Simulator) -> None:
    from evals.methods import best_of_n, tasks

    for name in ("Amber", "Bramble"):
        madspark_simulator.on(contains="Propose the best", text=f"{name} shelter", times=1)
    madspark_simulator.on(contains="Choose the best", json={"reason": "It is.", "best": 1})
    answer = await best_of_n(madspark_router(primary_provider="ollama"), tasks()[0], 2_000)
    assert answer.text == "Bramble shelter"
    [choice] = [request for request in model_requests(madspark_simulator) if "Choose the best" in request.prompt]
    assert "number: 0\nAmber shelter" in choice.prompt


VERDICTS = {
    # The judge's answers in both orders: points of the first text, share of the first place.
    ("first", "second"): (1.0, 0.5),
    ("second", "first"): (0.0, 0.5),
    ("first", "first"): (0.5, 1.0),
    ("second", "second"): (0.5, 0.0),
    ("tie", "first"): (0.25, 0.75),
    ("tie", "tie"): (0.5, 0.5),
}


@pytest.mark.parametrize("verdicts", VERDICTS)
async def test_the_judge_compares_blindly_and_in_both_orders(
    verdicts: tuple[str, str], madspark_router: Make, madspark_simulator: Simulator
) -> None:
    from evals.judge import compare
    from evals.methods import tasks

    for better in verdicts:
        madspark_simulator.on(json={"reason": "So it is.", "better": better}, times=1)
    judgement = await compare(
        madspark_router(primary_provider="ollama"), tasks()[0], "Amber shelter", "Bramble shelter"
    )
    assert (judgement.points, judgement.first_places) == VERDICTS[verdicts]
    sent = model_requests(madspark_simulator)
    assert [re.findall("Amber|Bramble", request.prompt) for request in sent] == [
        ["Amber", "Bramble"],
        ["Bramble", "Amber"],
    ]
    for request in sent:
        assert not re.search("workflow|single|refine|best-of", request.body.decode(), re.IGNORECASE)


def test_the_interval_matches_the_normal_approximation() -> None:
    from evals.bootstrap import interval

    assert interval([1.0] * 5, 500, 1) == (1.0, 1.0, 1.0)
    few: Any = interval([0.0, 1.0] * 5, 2_000, 1)
    many: Any = interval([0.0, 1.0] * 500, 2_000, 1)
    assert few[0] == many[0] == 0.5
    # The normal approximation: 0.5 within 1.96 * 0.5 / sqrt(n).
    assert few[1:] == pytest.approx((0.19, 0.81), abs=0.1)
    assert many[1:] == pytest.approx((0.469, 0.531), abs=0.01)
    assert interval([0.0, 1.0] * 5, 2_000, 1) == few
    with pytest.raises(ValueError, match="no task"):
        interval([], 10, 1)


async def test_a_failed_task_is_listed_and_excluded(madspark_simulator: Simulator) -> None:
    from evals.__main__ import Model, evaluate_all
    from evals.methods import tasks

    from madspark import LLMConfig

    chosen = tasks()[:2]
    madspark_simulator.on(contains=chosen[0].topic, status=400)
    model = Model("ollama", "any", LLMConfig(ollama_host=madspark_simulator.ollama_url))
    outcomes, failed = await evaluate_all(chosen, model, model, 2)
    assert [outcome.task.id for outcome in outcomes] == [chosen[1].id]
    assert list(failed) == [chosen[0].id]
    assert {request.model for request in model_requests(madspark_simulator)} == {"any"}
