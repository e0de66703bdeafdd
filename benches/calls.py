"""What one call costs over HTTP on loopback, where nothing fails: beside a client that only posts and parses.

The upstream is a process of its own on a core of its own, and answers in microseconds, so that what is measured is the
client. Everything is measured in short turns, each with all rows, and the best turn of a row counts: what else the
machine does only ever adds time.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import platform
import select
import socket
import subprocess
import sys
from collections import defaultdict
from contextlib import suppress
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, Protocol, Self

from pydantic import BaseModel

from madspark import LLMConfig, LLMRouter, __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IN_FLIGHT = 64
MODEL = "bench"
WORDS = "Name one idea for a greener street, with a title, a score and some reasons. "
PATHS = {"ollama": "/api/chat", "openai": "/v1/chat/completions"}


class Idea(BaseModel):
    """What is asked for."""

    title: str
    score: float
    reasons: list[str]


ANSWER = json.dumps({"title": "Moss walls", "score": 7.5, "reasons": ["They cool the street.", "They need no soil."]})


# The upstream.


def replies() -> dict[bytes, bytes]:
    """What is answered on each path: a whole HTTP response, made beforehand."""
    ollama = {
        "model": MODEL,
        "created_at": "2026-11-24T10:00:00Z",
        "message": {"role": "assistant", "content": ANSWER},
        "done": True,
        "done_reason": "stop",
        "total_duration": 912_000_000,
        "prompt_eval_count": 31,
        "eval_count": 42,
    }
    openai = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_763_909_211,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 31, "completion_tokens": 42, "total_tokens": 73},
    }
    found = zip(PATHS.values(), (ollama, openai), strict=True)
    return {f"POST {path} ".encode(): respond(200, "OK", body) for path, body in found}


def respond(status: int, reason: str, body: object) -> bytes:
    """Return the HTTP response with `body` as JSON."""
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def serve() -> None:
    """Answer every request at once; prints the port, and runs until standard input is closed."""
    known = replies()
    # Whatever else a client may ask about, such as its model's facts.
    unknown = respond(404, "Not Found", {"error": "there is nothing here"})
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    pending: dict[int, bytes] = {}
    print(listener.getsockname()[1], flush=True)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                connection, _ = listener.accept()
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                poll.register(connection.fileno(), select.EPOLLIN)
                continue
            if descriptor == sys.stdin.fileno():
                return
            connection = connections[descriptor]
            data = b""
            with suppress(ConnectionError):
                data = connection.recv(1 << 20)
            if not data:
                poll.unregister(descriptor)
                del connections[descriptor]
                pending.pop(descriptor, None)
                connection.close()
                continue
            data = pending.pop(descriptor, b"") + data
            if not is_whole(data):
                pending[descriptor] = data
                continue
            path = data[: data.index(b" ", data.index(b" ") + 1) + 1]
            connection.send(known.get(path, unknown))


def is_whole(data: bytes) -> bool:
    """Whether `data` is a whole request."""
    head, gap, body = data.partition(b"\r\n\r\n")
    if not gap:
        return False
    at = head.lower().find(b"content-length:")
    if at < 0:
        return True
    return len(body) >= int(head[at + 15 :].split(b"\r\n", 1)[0])


class Upstream:
    """The server, in a process of its own on `core`; stopped at the end of the `with` block."""

    def __init__(self, core: int) -> None:
        self.process = subprocess.Popen(  # noqa: S603  # this very file
            [sys.executable, __file__, "--serve", str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int((self.process.stdout or sys.stdin).readline())

    def used(self) -> float:
        """Return the seconds of processor time it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


# The callers. Each call has another prompt, so that no cache can answer it.


def prompts() -> Iterator[str]:
    """Prompts of one length, each another."""
    return (f"{WORDS}{number:09}" for number in count())


class Caller(Protocol):
    """One way of making a call."""

    async def call(self, prompt: str) -> None:
        """Make one call and check its answer."""


class Ours:
    """Calls through the router."""

    def __init__(self, dialect: str, port: int, structured: bool) -> None:
        config = LLMConfig(
            ollama_host=f"http://127.0.0.1:{port}",
            ollama_model_balanced=MODEL,
            openai_base_url=f"http://127.0.0.1:{port}/v1",
            openai_model=MODEL,
        )
        self.router = LLMRouter(dialect, fallback_enabled=False, config=config)
        self.structured = structured

    async def call(self, prompt: str) -> None:
        """Make one call and check its answer."""
        if self.structured:
            value, _ = await self.router.agenerate_structured(prompt, Idea)
            check(value.title == "Moss walls")
        else:
            text, _ = await self.router.agenerate(prompt)
            check(text == ANSWER)

    def call_now(self, prompt: str) -> None:
        """Make one call, waiting for it."""
        if self.structured:
            value, _ = self.router.generate_structured(prompt, Idea)
            check(value.title == "Moss walls")
        else:
            text, _ = self.router.generate(prompt)
            check(text == ANSWER)


class Floor:
    """Posts a body of the same kind over kept connections and parses what comes back; nothing else."""

    def __init__(self, dialect: str, port: int, structured: bool) -> None:
        self.dialect, self.port, self.structured = dialect, port, structured
        self.schema = Idea.model_json_schema()
        self.idle: list[Connection] = []
        self.blocking = http.client.HTTPConnection("127.0.0.1", port)

    def body(self, prompt: str) -> bytes:
        """Return what the router would send, as nearly as matters."""
        body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": prompt}]}
        if self.dialect == "ollama":
            body |= {"stream": False, "options": {"temperature": 0.7}}
            if self.structured:
                body["format"] = self.schema
        else:
            body["temperature"] = 0.7
            if self.structured:
                schema = {"name": "Idea", "strict": True, "schema": self.schema}
                body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return json.dumps(body).encode()

    def judge(self, content: bytes) -> None:
        """Parse the reply."""
        reply = json.loads(content)
        message = reply["message"] if self.dialect == "ollama" else reply["choices"][0]["message"]
        text: str = message["content"]
        check((Idea.model_validate_json(text).title == "Moss walls") if self.structured else text == ANSWER)

    async def call(self, prompt: str) -> None:
        """Make one call and check its answer."""
        if self.idle:
            connection = self.idle.pop()
        else:
            _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self.port)
        head = f"POST {PATHS[self.dialect]} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        body = self.body(prompt)
        self.judge(await connection.exchange(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body))
        self.idle.append(connection)

    def call_now(self, prompt: str) -> None:
        """Make one call, waiting for it."""
        headers = {"content-type": "application/json"}
        self.blocking.request("POST", PATHS[self.dialect], self.body(prompt), headers)
        self.judge(self.blocking.getresponse().read())

    def close(self) -> None:
        """Close the connections, whose loop ends."""
        for connection in self.idle:
            connection.transport.close()
        self.idle.clear()


class Connection(asyncio.Protocol):
    """One kept connection, for one exchange at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.data = b""
        self.waiting: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def exchange(self, request: bytes) -> asyncio.Future[bytes]:
        """Send `request`; the future is the body of the response."""
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.waiting

    def data_received(self, data: bytes) -> None:
        """Gather the response until it is whole."""
        self.data += data
        if self.waiting is not None and is_whole(self.data):
            self.waiting.set_result(self.data.partition(b"\r\n\r\n")[2])
            self.data = b""


def check(right: bool) -> None:
    """End the benchmark where an answer is wrong: what is fast must be right."""
    if not right:
        raise SystemExit("error: a wrong answer")


# The measurements: each returns the figures of one turn.


async def one_by_one(caller: Caller, seconds: float) -> dict[str, float]:
    """Await each call before the next one."""
    source, times = prompts(), []
    until = perf_counter() + seconds
    while (started := perf_counter()) < until:
        await caller.call(next(source))
        times.append(perf_counter() - started)
    return {"p50_us": median(times) * 1e6}


def blocking(call: Callable[[str], None], seconds: float) -> dict[str, float]:
    """Make each call synchronously."""
    source, times = prompts(), []
    until = perf_counter() + seconds
    while (started := perf_counter()) < until:
        call(next(source))
        times.append(perf_counter() - started)
    return {"sync_p50_us": median(times) * 1e6}


async def in_flight(caller: Caller, upstream: Upstream, seconds: float) -> dict[str, float]:
    """Keep 64 calls under way; `upstream_busy` near 1 would mean that the upstream is what was measured."""
    source, done = prompts(), 0
    started, used, used_above = perf_counter(), process_time(), upstream.used()
    until = started + seconds

    async def keep_calling() -> None:
        nonlocal done
        while perf_counter() < until:
            await caller.call(next(source))
            done += 1

    await asyncio.gather(*(keep_calling() for _ in range(IN_FLIGHT)))
    used, took = process_time() - used, perf_counter() - started
    busy = (upstream.used() - used_above) / took
    return {"cpu_us": used / done * 1e6, "calls_per_s": done / took, "upstream_busy": busy}


def construction(seconds: float) -> float:
    """Return the least microseconds that making a router takes."""
    config, batch, best = LLMConfig(), 1000, float("inf")
    until = perf_counter() + seconds
    while perf_counter() < until:
        started = perf_counter()
        for _ in range(batch):
            LLMRouter("ollama", config=config)
        best = min(best, (perf_counter() - started) / batch * 1e6)
    return best


Figures = dict[str, dict[str, float]]


async def turn(upstream: Upstream, seconds: float) -> Figures:
    """Measure every row once, `seconds` for each of its figures."""
    rows: Figures = defaultdict(dict)
    for dialect in PATHS:
        for structured in (False, True):
            method = "generate_structured" if structured else "generate"
            floor, ours = Floor(dialect, upstream.port, structured), Ours(dialect, upstream.port, structured)
            for who, caller in (("floor", floor), ("madspark", ours)):
                row = rows[f"{dialect} {method} {who}"]
                # Opens as many connections as will be used.
                await asyncio.gather(*(caller.call("warm up") for _ in range(IN_FLIGHT)))
                row |= await one_by_one(caller, seconds)
                row |= await in_flight(caller, upstream, seconds)
                row |= await asyncio.to_thread(blocking, caller.call_now, seconds)
            floor.close()
    return rows


def best(turns: list[Figures]) -> Figures:
    """The best of all turns for each figure: the least time, the most calls, and the busiest upstream."""
    return {
        row: {
            figure: (min if figure.endswith("_us") else max)(turn[row][figure] for turn in turns) for figure in figures
        }
        for row, figures in turns[0].items()
    }


def show(rows: Figures) -> None:
    """Print the figures, and of each row of ours how many times the floor it is."""
    names = {"p50_us": "p50 µs", "sync_p50_us": "sync p50 µs", "cpu_us": "CPU µs at 64", "calls_per_s": "calls/s at 64"}
    print(f"{'':<38}" + "".join(f"{name:>20}" for name in names.values()))
    for row, figures in rows.items():
        below = rows[row.replace("madspark", "floor")]
        cells = []
        for figure in names:
            ratio = f" ({figures[figure] / below[figure]:.2f}x)" if row.endswith("madspark") else ""
            cells.append(f"{figures[figure]:.1f}{ratio}".rjust(20))
        print(f"{row:<38}" + "".join(cells))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure of a turn (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the figures")
    parser.add_argument("--serve", type=int, metavar="CORE", help=argparse.SUPPRESS)
    given = parser.parse_args()

    cores = sorted(os.sched_getaffinity(0))
    if given.serve is not None:
        os.sched_setaffinity(0, {given.serve})
        serve()
        return
    if len(cores) < 2:  # noqa: PLR2004  # one for each side
        raise SystemExit("error: the client and the upstream need a core each")
    os.sched_setaffinity(0, {cores[0]})
    with Upstream(cores[-1]) as upstream:
        made = construction(given.seconds)
        turns = [asyncio.run(turn(upstream, given.seconds)) for _ in range(given.turns)]
    rows = best(turns)
    print(f"madspark {__version__}, Python {platform.python_version()}: the best of {given.turns} turns")
    show(rows)
    busiest = max(figures["upstream_busy"] for figures in rows.values())
    print(f"LLMRouter(): {made:.2f} µs; the upstream was busy {busiest:.0%} of the time at most")
    line = json.dumps({"version": __version__, "router_us": made, "rows": rows})
    print(line)
    if given.json is not None:
        given.json.write_text(line + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
