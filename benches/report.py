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
    from benches.task import Figures

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

_HITS = "Awaited one after the other; none reaches the upstream. On disk, the answers are those of another process."
_CLIENTS = "A client with a configuration of its own, as a server makes one for each request that brings its own key."


def report(results: Results, machine: Mapping[str, str]) -> str:
    """Return the whole report."""
    sections = [
        "# Results\n\nMade by `make bench`. How it is measured, and how to read it, is in [README.md](README.md).",
        _section("Machine", _machine(results, machine)),
        _section("Targets", _targets(results)),
        _section("Not measured", "\n".join(f"- {what}: {why}" for what, why in results.missing.items())),
        *(_calls(results, dialect) for dialect in workload.DIALECTS),
        _section("From 1 to 1000 calls in flight", *_in_flight(results), said="Plain, in OpenAI's protocol."),
        _section("Streams", *_streams(results), said=_CHUNKS),
        _section("Cache hits", _cache(results), said=_HITS),
        _section("Construction", _construction(results), said=_CLIENTS),
        _section("Without an event loop", *_blocking(results), said="Synchronous calls; the floor is `http.client`."),
        _section("What is measured, and what is not", _LIMITS),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _section(title: str, *parts: str, said: str = "") -> str:
    """Put a section together; nothing where it has no parts."""
    there = [part for part in parts if part]
    return "\n\n".join([f"## {title}", *([said] if said else []), *there]) if there else ""


def _machine(results: Results, machine: Mapping[str, str]) -> str:
    lines = [f"- {name}: {value}" for name, value in machine.items()]
    versions = {
        f"{package} {version}" for packages in results.versions.values() for package, version in packages.items()
    }
    turns = "1 turn" if results.turns == 1 else f"{results.turns} turns"
    lines += [
        f"- versions: {', '.join(sorted(versions))}",
        f"- {turns} in {results.seconds:.0f} s, of which the best counts",
        f"- in the middle turn a time was {results.noise():.2f} times its best",
        f"- meanwhile other processes kept {results.others:.2f} cores busy",
        f"- the upstream was busy {results.busiest():.0%} of the time at most",
    ]
    return "\n".join(lines)


def _targets(results: Results) -> str:
    judged = [target.judge(results) for target in TARGETS]
    shapes = "OpenAI plain, OpenAI structured, Ollama plain, Ollama structured"
    said = f"The worst figure counts; those of calls, at {IN_FLIGHT} in flight, are in the order of {shapes}."
    return f"{table(('target', 'figure', ''), judged)}\n\n{said}"


def _calls(results: Results, dialect: str) -> str:
    """Tell what a call costs, beside the floor and the peers."""
    head = ("", "p50 µs", "of floor", "CPU µs at 64", "of floor", "calls/s at 64", "of floor", f"{OURS} is")
    parts = []
    for shape in ("plain", "structured"):
        alone = results.best(Task("one_by_one", dialect, shape))
        many = results.best(Task("in_flight", dialect, shape, in_flight=IN_FLIGHT))
        rows = []
        for name in alone | many:
            cells = [name]
            for best, figure in ((alone, "p50_us"), (many, "cpu_us"), (many, "calls_per_s")):
                cells += _beside_floor(best, name, figure)
            faster = times(many.get(OURS, {}).get("calls_per_s"), many.get(name, {}).get("calls_per_s"))
            rows.append((*cells, NOTHING if name == OURS else faster))
        parts.append(f"### {shape.capitalize()}\n\n{table(head, rows)}" if rows else "")
    return _section(f"Calls, in {_SPELLED[dialect]}'s protocol", *parts)


def _in_flight(results: Results) -> list[str]:
    """Tell how the figures change with the calls under way."""
    best = {level: results.best(Task("in_flight", in_flight=level, rare=level != IN_FLIGHT)) for level in LEVELS}
    tables = []
    for title, figure in (("calls/s", "calls_per_s"), ("CPU µs", "cpu_us"), ("p99 µs", "p99_us")):
        rows = [
            (name, *(number(best[level].get(name, {}).get(figure)) for level in LEVELS)) for name in best[IN_FLIGHT]
        ]
        tables.append(table((title, *map(str, LEVELS)), rows))
    return tables


def _streams(results: Results) -> list[str]:
    head = ("burst µs", "CPU µs", "of floor", "pieces", "one by one µs", "CPU µs", "of floor", "pieces")
    tables = []
    for dialect in workload.DIALECTS:
        burst = results.best(Task("streams", dialect, in_flight=1, model=workload.BURST_MODEL))
        single = results.best(Task("streams", dialect, in_flight=STREAMS, model=workload.SINGLE_MODEL, rare=True))
        rows = []
        for name in burst | single:
            cells = [name]
            for best in (burst, single):
                row = best.get(name, {})
                cells += [number(row.get("chunk_us")), *_beside_floor(best, name, "cpu_us"), number(row.get("pieces"))]
            rows.append(cells)
        tables.append(table((f"{_SPELLED[dialect]}, per chunk", *head), rows))
    return tables


def _cache(results: Results) -> str:
    kinds: tuple[tuple[str, Kind, bool], ...] = (("memory", "memory_hit", False), ("disk", "disk_hit", True))
    rows = [
        (f"{name}, {where}, {shape}", number(row["p50_us"]), number(row["cpu_us"]))
        for where, kind, rare in kinds
        for shape in ("plain", "structured")
        for name, row in results.best(Task(kind, shape=shape, rare=rare)).items()
    ]
    return table(("", "p50 µs", "CPU µs"), rows) or "Not measured: no row has a cache."


def _construction(results: Results) -> str:
    best = results.best(Task("construct"))
    ours = best.get(OURS, {}).get("p50_us")
    rows = [(name, number(row["p50_us"]), times(row["p50_us"], ours)) for name, row in best.items()]
    return table(("", "µs", f"of {OURS}"), rows)


def _blocking(results: Results) -> list[str]:
    tables = []
    for dialect in workload.DIALECTS:
        plain = results.best(Task("blocking", dialect))
        structured = results.best(Task("blocking", dialect, "structured"))
        rows = [
            (name, *(cell for best in (plain, structured) for cell in _beside_floor(best, name, "p50_us")))
            for name in plain | structured
        ]
        tables.append(table((f"{_SPELLED[dialect]}, p50", "plain µs", "of floor", "structured µs", "of floor"), rows))
    return tables


def _beside_floor(best: Mapping[str, Figures], name: str, figure: str) -> tuple[str, str]:
    """Write a figure of a row, and how many times the floor's it is."""
    value = best.get(name, {}).get(figure)
    return number(value), times(value, best.get(_FLOOR, {}).get(figure))
