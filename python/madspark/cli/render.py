"""The results of a run, as text and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from madspark.cli.wrap import clean, shorten, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["as_json", "as_text", "degraded", "metrics_line"]

_INDENT = "   "


def as_json(results: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any], *, ascii_only: bool) -> str:
    """Return results and metrics as one JSON object. `ascii_only` escapes what the output cannot encode."""
    return json.dumps({"results": list(results), "metrics": metrics}, ensure_ascii=ascii_only, indent=2)


def as_text(results: Sequence[Mapping[str, Any]], columns: int) -> str:
    """Return results as text, in lines of at most `columns` columns."""
    return "\n\n".join("\n".join(_candidate(number, result, columns)) for number, result in enumerate(results, 1))


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
        f"{metrics.get('failed_requests', 0)} failed",
        f"{metrics.get('fallback_triggers', 0)} fallbacks",
        f"{metrics.get('total_tokens', 0)} tokens",
        "cost unknown" if cost is None else f"{cost:.4f} USD",
        f"{metrics.get('avg_latency_ms', 0.0) / 1000:.1f} s a call",
    ]
    return ", ".join(parts)


def _candidate(number: int, result: Mapping[str, Any], columns: int) -> Iterable[str]:
    status = result.get("status", "ok")
    mark = "" if status == "ok" else f"  [{status}]"
    yield f"{number}. {_scores(result)}{mark}"
    sections = (
        (None, result.get("idea")),
        ("Critique", result.get("initial_critique")),
        ("Ratings", _ratings(result.get("multi_dimensional_evaluation"))),
        ("What follows", _inference(result.get("logical_inference"))),
        ("For it", result.get("advocacy")),
        ("Against it", result.get("skepticism")),
        ("Improved", result.get("improved_idea")),
        ("Critique of the improved idea", result.get("improved_critique")),
        ("Ratings of the improved idea", _ratings(result.get("improved_multi_dimensional_evaluation"))),
    )
    for heading, content in sections:
        text = _text(content)
        if not text:
            continue
        if heading:
            yield ""
            yield f"{_INDENT}{heading}"
        yield from wrap(text, columns, _INDENT if heading is None else _INDENT + "  ")


def _scores(result: Mapping[str, Any]) -> str:
    before, after = result.get("initial_score"), result.get("improved_score")
    if before is None:
        return "not scored"
    if after is None:
        return f"score {before:g} of 10"
    return f"score {before:g} of 10, improved {after:g} ({after - before:+.1f})"


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
