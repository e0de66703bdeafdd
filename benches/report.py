"""The results in Markdown: for a terminal and for `results.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches import workload
from benches.table import NOTHING, number, table, times
from benches.targets import OURS, TARGETS
from benches.task import IN_FLIGHT, LEVELS, STREAMS, Kind, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benches.run import Results

_FLOOR = "floor"
_SPELLED = {"openai": "OpenAI", "ollama": "Ollama"}

_LIMITS = """\
Every call is whole: arguments to JSON, HTTP over a kept connection on loopback, the reply parsed, for a structured call
the answer validated by pydantic against the same schema, and the result handed to a coroutine on asyncio's own event
loop. `floor` does that and nothing else; it has no retries, no fallback, no metrics, no time limits.

- The upstream answers at once, from bytes made beforehand. A model takes seconds; what is measured is what is added.
- No TLS, no proxy, no real network, and nothing fails: no retry, no repair, no fallback is in any figure.
- One answer of some 120 bytes and one schema of three fields. Longer texts cost more, in every row.
- Processor time is that of the client's process, with all its threads; what the kernel does for it is in it.
- Each library has its defaults, and the cheapest of its own ways where there are several: schemas are made once, and
  the gateway of tensorzero runs without a database. Ours has its cache off, but where a table says otherwise.
- The best of many turns is not what a loaded machine gives. It is what can be repeated."""

_CHUNKS = f"""\
In a burst the upstream writes as many chunks at a time as the socket takes, to one stream. One by one, it writes each
by itself, to {STREAMS} streams in turn; then it is the upstream that sets the pace, and the processor time is what
counts. `pieces` is how many strings came out for each chunk that went in: where it is less than one, chunks that had
arrived together were handed over together."""


def report(results: Results, machine: Mapping[str, str]) -> str:
    """Return the whole report."""
    sections = [
        "# Results\n\nMade by `make bench`. How it is measured, and how to read it, is in [README.md](README.md).",
        f"## Machine\n\n{_machine(results, machine)}",
        f"## Targets\n\n{_targets(results)}",
        *(_calls(results, dialect) for dialect in workload.DIALECTS),
        _in_flight(results),
        f"## Streams\n\n{_CHUNKS}\n\n{_streams(results)}",
        _cache(results),
        _construction(results),
        _blocking(results),
        f"## What is measured, and what is not\n\n{_LIMITS}",
    ]
    if results.missing:
        lines = "\n".join(f"- {what}: {why}" for what, why in results.missing.items())
        sections.insert(3, f"## Not measured\n\n{lines}")
    return "\n\n".join(section for section in sections if section) + "\n"


def _machine(results: Results, machine: Mapping[str, str]) -> str:
    lines = [f"- {name}: {value}" for name, value in machine.items()]
    versions = {
        f"{package} {version}" for packages in results.versions.values() for package, version in packages.items()
    }
    lines += [
        f"- versions: {', '.join(sorted(versions))}",
        f"- {_counted(results.turns)} in {results.seconds:.0f} s, of which the best counts",
        f"- in the middle turn a time was {results.noise():.2f} times its best",
        f"- meanwhile other processes kept {results.others:.2f} cores busy",
        f"- the upstream was busy {results.busiest():.0%} of the time at most",
    ]
    return "\n".join(lines)


def _counted(turns: int) -> str:
    return "1 turn" if turns == 1 else f"{turns} turns"


def _targets(results: Results) -> str:
    judged = [target.judge(results) for target in TARGETS]
    shapes = "OpenAI plain, OpenAI structured, Ollama plain, Ollama structured"
    return (
        table(("target", "figure", ""), judged)
        + f"\n\nThe worst figure counts; those of calls, at {IN_FLIGHT} in flight, are in the order of {shapes}."
    )


def _calls(results: Results, dialect: str) -> str:
    """Tell what a call costs, beside the floor and the peers."""
    parts = [f"## Calls, in {_SPELLED[dialect]}'s protocol"]
    head = ("", "p50 µs", "of floor", "CPU µs at 64", "of floor", "calls/s at 64", "of floor", f"{OURS} is")
    for shape in ("plain", "structured"):
        alone = results.best(Task("one_by_one", dialect, shape))
        many = results.best(Task("in_flight", dialect, shape, in_flight=IN_FLIGHT))
        rows = []
        for name in alone | many:
            cells = [name]
            for best, figure in ((alone, "p50_us"), (many, "cpu_us"), (many, "calls_per_s")):
                value = best.get(name, {}).get(figure)
                cells += [number(value), times(value, best.get(_FLOOR, {}).get(figure))]
            faster = times(many.get(OURS, {}).get("calls_per_s"), many.get(name, {}).get("calls_per_s"))
            rows.append((*cells, NOTHING if name == OURS else faster))
        parts.append(f"### {shape.capitalize()}\n\n{table(head, rows)}" if rows else "")
    return "\n\n".join(part for part in parts if part) if any(parts[1:]) else ""


def _in_flight(results: Results) -> str:
    """Tell how the figures change with the calls under way."""
    best = {level: results.best(Task("in_flight", in_flight=level, rare=level != IN_FLIGHT)) for level in LEVELS}
    names = list(best[IN_FLIGHT])
    parts = ["## From 1 to 1000 calls in flight\n\nPlain, in OpenAI's protocol."]
    for title, figure in (("calls/s", "calls_per_s"), ("CPU µs", "cpu_us"), ("p99 µs", "p99_us")):
        rows = [(name, *(number(best[level].get(name, {}).get(figure)) for level in LEVELS)) for name in names]
        parts.append(table((title, *map(str, LEVELS)), rows))
    return "\n\n".join(parts)


def _streams(results: Results) -> str:
    head = ("", "burst µs", "CPU µs", "of floor", "pieces", "one by one µs", "CPU µs", "of floor", "pieces")
    parts = []
    for dialect in workload.DIALECTS:
        burst = results.best(Task("streams", dialect, in_flight=1, model=workload.BURST_MODEL))
        single = results.best(Task("streams", dialect, in_flight=STREAMS, model=workload.SINGLE_MODEL, rare=True))
        rows = []
        for name in burst:
            cells = [name]
            for best in (burst, single):
                row, floor = best.get(name, {}), best.get(_FLOOR, {})
                cells += [number(row.get("chunk_us")), number(row.get("cpu_us"))]
                cells += [times(row.get("cpu_us"), floor.get("cpu_us")), number(row.get("pieces"))]
            rows.append(cells)
        parts.append(table((f"{_SPELLED[dialect]}, per chunk", *head[1:]), rows))
    return "\n\n".join(parts)


def _cache(results: Results) -> str:
    kinds: tuple[tuple[str, Kind, bool], ...] = (("memory", "memory_hit", False), ("disk", "disk_hit", True))
    rows = []
    for where, kind, rare in kinds:
        for shape in ("plain", "structured"):
            for name, row in results.best(Task(kind, shape=shape, rare=rare)).items():
                rows.append((f"{name}, {where}, {shape}", number(row["p50_us"]), number(row["cpu_us"])))
    if not rows:
        return "## Cache hits\n\nNot measured: no row has a cache."
    said = "Awaited one after the other; none reaches the upstream. On disk, the answers are those of another process."
    return f"## Cache hits\n\n{said}\n\n{table(('', 'p50 µs', 'CPU µs'), rows)}"


def _construction(results: Results) -> str:
    best = results.best(Task("construct"))
    ours = best.get(OURS, {}).get("p50_us")
    rows = [(name, number(row["p50_us"]), times(row["p50_us"], ours)) for name, row in best.items()]
    said = "A client with a configuration of its own, as a server makes one for each request that brings its own key."
    return f"## Construction\n\n{said}\n\n{table(('', 'µs', f'of {OURS}'), rows)}"


def _blocking(results: Results) -> str:
    head = ("", "plain µs", "of floor", "structured µs", "of floor")
    parts = []
    for dialect in workload.DIALECTS:
        plain = results.best(Task("blocking", dialect))
        structured = results.best(Task("blocking", dialect, "structured"))
        rows = []
        for name in plain:
            cells = [name]
            for best in (plain, structured):
                value = best.get(name, {}).get("p50_us")
                cells += [number(value), times(value, best.get(_FLOOR, {}).get("p50_us"))]
            rows.append(cells)
        parts.append(table((f"{_SPELLED[dialect]}, p50", *head[1:]), rows))
    said = "Synchronous calls; the floor is `http.client`."
    return f"## Without an event loop\n\n{said}\n\n" + "\n\n".join(parts)
