"""Compares the workflow with single-shot, best-of-N and self-refine at an equal token budget for each task."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from evals.bootstrap import CONFIDENCE, interval
from evals.judge import Judgement, compare
from evals.methods import METHODS, Answer, Task, tasks, workflow
from madspark import LLMConfig, LLMRouter, MadsparkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from madspark import ProviderName

SMOKE = (
    "SMOKE TEST: the simulator wrote and judged everything. The figures only show that the comparison runs.\n"
    "They say nothing about models or methods.\n"
)
MODEL_FIELDS = {
    "ollama": ("ollama_model_fast", "ollama_model_balanced"),
    "gemini": ("gemini_model",),
    "openai": ("openai_model",),
    "anthropic": ("anthropic_model",),
}


@dataclass(frozen=True)
class Model:
    """A provider and its model."""

    provider: ProviderName
    name: str
    config: LLMConfig

    def router(self) -> LLMRouter:
        """Return a new router, so that its metrics cover one answer only."""
        config = self.config.replace(**dict.fromkeys(MODEL_FIELDS[self.provider], self.name))
        return LLMRouter(self.provider, fallback_enabled=False, cache_enabled=False, config=config)


@dataclass(frozen=True)
class Outcome:
    """One task, answered by every method and judged."""

    task: Task
    answers: dict[str, Answer]
    judgements: dict[str, Judgement]


async def evaluate(task: Task, author: Model, judge: Model) -> Outcome:
    """Answer one task with every method and compare the answer of the workflow with each of the others."""
    answers = {"workflow": await workflow(author.router(), task)}
    budget = answers["workflow"].tokens
    for name, method in METHODS.items():
        answers[name] = await method(author.router(), task, budget)
    router = judge.router()
    judgements = {name: await compare(router, task, answers["workflow"].text, answers[name].text) for name in METHODS}
    return Outcome(task, answers, judgements)


async def evaluate_all(
    chosen: Sequence[Task], author: Model, judge: Model, at_once: int
) -> tuple[list[Outcome], dict[str, str]]:
    """Evaluate the tasks concurrently. Failed tasks are returned with the reason and excluded."""
    permits = asyncio.Semaphore(at_once)
    failed: dict[str, str] = {}

    async def one(task: Task) -> Outcome | None:
        async with permits:
            try:
                return await evaluate(task, author, judge)
            except MadsparkError as error:
                failed[task.id] = f"{type(error).__name__}: {error}"
                return None

    outcomes = await asyncio.gather(*map(one, chosen))
    return [outcome for outcome in outcomes if outcome is not None], failed


def table(outcomes: Sequence[Outcome], resamples: int, seed: int) -> list[dict[str, Any]]:
    """Return a row for each method that the workflow was compared with."""
    rows = []
    for name in METHODS:
        judgements = [outcome.judgements[name] for outcome in outcomes]
        share, low, high = interval([one.points for one in judgements], resamples, seed)
        rows.append(
            {
                "against": name,
                "win_share": share,
                "low": low,
                "high": high,
                "tokens": mean(outcome.answers[name].tokens for outcome in outcomes),
                "workflow_tokens": mean(outcome.answers["workflow"].tokens for outcome in outcomes),
                "calls": mean(outcome.answers[name].calls for outcome in outcomes),
                "first_places": mean(one.first_places for one in judgements),
            }
        )
    return rows


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m evals", description=__doc__)
    parser.add_argument(
        "--provider", choices=MODEL_FIELDS, default="gemini", help="the provider that writes (default: %(default)s)"
    )
    parser.add_argument("--model", help="the model that writes, for every method")
    parser.add_argument(
        "--judge-provider", choices=MODEL_FIELDS, help="the provider that judges (default: as --provider)"
    )
    parser.add_argument("--judge-model", help="the model that judges; preferably of another family")
    parser.add_argument("--tasks", type=int, metavar="N", help="use only the first N tasks")
    parser.add_argument("--at-once", type=int, default=4, help="concurrent tasks (default: %(default)s)")
    parser.add_argument("--resamples", type=int, default=10_000, help="bootstrap resamples (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="bootstrap seed (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every answer and judgement")
    parser.add_argument("--simulator", action="store_true", help="run a smoke test without a model")
    options = parser.parse_args()
    if not options.simulator and not (options.model and options.judge_model):
        parser.error("--model and --judge-model are required (or --simulator for a smoke test)")
    if min(options.at_once, options.resamples, 1 if options.tasks is None else options.tasks) < 1:
        parser.error("--tasks, --at-once and --resamples must be at least 1")
    return options


def models(options: argparse.Namespace, stack: ExitStack) -> tuple[Model, Model]:
    """Return the author and the judge."""
    config = LLMConfig.from_env()
    if options.simulator:
        from madspark.testing import Simulator

        simulator = stack.enter_context(Simulator())
        config = LLMConfig(
            ollama_host=simulator.ollama_url,
            gemini_base_url=simulator.gemini_url,
            gemini_api_key="simulator-key-of-no-worth",
            openai_base_url=simulator.openai_url,
            anthropic_base_url=simulator.anthropic_url,
            anthropic_api_key="simulator-key-of-no-worth",
        )
    author = Model(options.provider, options.model or "simulated-author", config)
    return author, Model(options.judge_provider or options.provider, options.judge_model or "simulated-judge", config)


def report(options: argparse.Namespace, author: Model, judge: Model, rows: list[dict[str, Any]], count: int) -> str:
    """Return the result as Markdown."""
    lines = [SMOKE] if options.simulator else []
    lines.append(f"{count} tasks; written by {author.name}, judged by {judge.name}, blindly and in both orders.")
    if (author.provider, author.name) == (judge.provider, judge.name):
        lines.append("The judge is also the author: models prefer their own text.")
    lines += [
        "",
        f"| workflow against | wins | {CONFIDENCE:.0%} interval | tokens | workflow tokens | calls | first place |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['against']} | {row['win_share']:.2f} | {row['low']:.2f} to {row['high']:.2f} | {row['tokens']:.0f} "
        f"| {row['workflow_tokens']:.0f} | {row['calls']:.1f} | {row['first_places']:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the evaluation."""
    options = arguments()
    chosen = tasks()[: options.tasks]
    with ExitStack() as stack:
        author, judge = models(options, stack)
        outcomes, failed = asyncio.run(evaluate_all(chosen, author, judge, options.at_once))
    for task, reason in failed.items():
        print(f"excluded: {task}: {reason}", file=sys.stderr)
    if not outcomes:
        raise SystemExit("error: no task was evaluated")
    rows = table(outcomes, options.resamples, options.seed)
    print(report(options, author, judge, rows, len(outcomes)))
    if options.json is not None:
        record = {
            "smoke_test": options.simulator,
            "author": [author.provider, author.name],
            "judge": [judge.provider, judge.name],
            "rows": rows,
            "failed": failed,
            "outcomes": [asdict(outcome) for outcome in outcomes],
        }
        options.json.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
    if failed:
        raise SystemExit(f"error: {len(failed)} of {len(chosen)} tasks failed and are excluded")


if __name__ == "__main__":
    main()
