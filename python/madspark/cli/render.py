"""The results of a run, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from madspark.cli.names import name_of
from madspark.cli.wrap import clean, shorten, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from madspark.core.result import ServedBy, WorkflowResult

__all__ = ["as_json", "as_text", "degraded", "metrics_line", "spending"]

_INDENT = "   "


def as_json(result: WorkflowResult, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole result with the metrics; `results` are its candidates as `run_workflow` returns them."""
    return {**result.model_dump(mode="json"), "results": result.to_dicts(), "metrics": metrics}


def as_text(results: Sequence[Mapping[str, Any]], columns: int) -> str:
    """Return results as text, in lines of at most `columns` columns."""
    return "\n\n".join("\n".join(_candidate(number, result, columns)) for number, result in enumerate(results, 1))


def spending(result: WorkflowResult) -> str:
    """Return who answered, how many answers came from the cache, and what the run cost."""
    models = "; ".join(_answers(served) for served in result.served_by)
    requests = f"{result.calls} {'request' if result.calls == 1 else 'requests'}"
    cost = "cost unknown: a price is unknown" if result.cost is None else f"{result.cost:.4f} USD"
    line = f"Answered by {models or 'no model'}. {requests}, {result.tokens} tokens, {cost}."
    return " ".join(clean(line).split())


def degraded(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line for each result that did not complete the workflow: which one, and why."""
    lines = []
    for number, result in enumerate(results, 1):
        status = result.get("status", "ok")
        if status == "ok":
            continue
        reasons = "; ".join(f"{problem['stage']}: {problem['reason']}" for problem in result.get("problems") or ())
        title = shorten(str(result["idea"]), 50)
        outcome = "failed" if status == "failed" else f"is {status}"
        line = f"idea {number} ({title}) {outcome}: {reasons or 'no reason given'}"
        lines.append(" ".join(clean(line).split()))
    return lines


def metrics_line(metrics: Mapping[str, Any]) -> str:
    """Return the most important metrics in one line."""
    cost = metrics.get("total_cost")
    parts = [
        f"{metrics.get('total_requests', 0)} calls",
        f"{metrics.get('cache_hits', 0)} from the cache",
        f"{metrics.get('failed_requests', 0)} failed",
        f"{metrics.get('fallback_triggers', 0)} fallbacks",
        f"{metrics.get('total_tokens', 0)} tokens",
        "cost unknown" if cost is None else f"{cost:.4f} USD",
        f"{metrics.get('avg_latency_ms', 0.0) / 1000:.1f} s a call",
    ]
    return ", ".join(parts)


def _answers(served: ServedBy) -> str:
    answers = f"{served.answers} {'answer' if served.answers == 1 else 'answers'}"
    cached = f", {served.cached} from the cache" if served.cached else ""
    return f"{name_of(served.provider)} {served.model} ({answers}{cached})"


def _candidate(number: int, result: Mapping[str, Any], columns: int) -> Iterable[str]:
    status = result.get("status", "ok")
    mark = "" if status == "ok" else f" [{status}]"
    yield from wrap(f"{number}. {_scores(result)}{mark}", columns)
    for heading, content in _sections(result):
        text = _text(content)
        if not text:
            continue
        if heading:
            yield ""
            yield f"{_INDENT}{heading}"
        yield from wrap(text, columns, _INDENT if heading is None else _INDENT + "  ")


def _sections(result: Mapping[str, Any]) -> Iterable[tuple[str | None, object]]:
    """Return the sections of a candidate, the idea that was kept first."""
    first = (result.get("idea"), result.get("initial_critique"), result.get("multi_dimensional_evaluation"))
    improved = (
        result.get("improved_idea"),
        result.get("improved_critique"),
        result.get("improved_multi_dimensional_evaluation"),
    )
    arguments = (
        ("What follows", _inference(result.get("logical_inference"))),
        ("For it", result.get("advocacy")),
        ("Against it", result.get("skepticism")),
    )
    is_improved = _keeps_improvement(result)
    kept, other = (improved, first) if is_improved else (first, improved)
    if is_improved:
        heading = "Improved from"
    else:
        heading = "Improved, but not kept" if result.get("improvement_kept") is False else "Improved, not scored"
    yield from ((None, kept[0]), ("Critique", kept[1]), ("Ratings", _ratings(kept[2])))
    if not is_improved:
        yield from arguments
    yield from ((heading, other[0]), ("Critique of that", other[1]), ("Ratings of that", _ratings(other[2])))
    if is_improved:
        yield from arguments


def _keeps_improvement(result: Mapping[str, Any]) -> bool:
    kept, improved = result.get("improvement_kept"), result.get("improved_idea")
    # Without a score to compare with, a scored improvement is the final idea.
    return kept is True or (kept is None and improved is not None and result.get("final_idea") == improved)


def _scores(result: Mapping[str, Any]) -> str:
    before, after = result.get("initial_score"), result.get("improved_score")
    if before is None and after is None:
        return "not scored"
    if after is None:
        return f"score {before:g} of 10"
    if before is None:
        return f"score {after:g} of 10"
    if not _keeps_improvement(result):
        return f"score {before:g} of 10; the improved version scored {after:g} and was not kept"
    return f"score {after:g} of 10, improved from {before:g} ({after - before:+.1f})"


def _ratings(rating: Mapping[str, Any] | None) -> str:
    if not rating:
        return ""
    scores = (f"{name.replace('_', ' ')} {score:g}" for name, score in rating["dimension_scores"].items())
    return f"{rating['overall_score']:.1f} of 10: {', '.join(scores)}\n{rating['summary']}"


def _inference(inference: Mapping[str, Any] | None) -> str:
    if not inference:
        return ""
    steps = [f"• {step}" for step in inference["inference_chain"]]
    return "\n".join([*steps, f"→ {inference['conclusion']} ({inference['confidence']:.0%} sure)"])


def _text(content: object) -> str:
    """Return the text of a section: agents return text, or an object with the text as `formatted`."""
    if isinstance(content, dict):
        content = content.get("formatted")
    return content.strip() if isinstance(content, str) else ""
