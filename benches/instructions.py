"""Counts the instructions of a call with callgrind: repeatable on a busy machine, unlike microseconds.

A child process makes calls to Ollama's protocol over loopback, 64 in flight, cache off, once with few calls and once
with many; the difference, divided by the number of extra calls, is the cost of one call in instructions of all threads
of the process. Needs valgrind and an installed release build:

    .venv-bench/bin/python -m benches.instructions
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benches import measure, workload
from benches.callers.ours import Ours
from benches.machine import pin
from benches.upstream import Upstream

SHAPES = ("plain", "structured")
IN_FLIGHT = 64
FEW, MANY = 300, 1300
_TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


async def _make_calls(port: int, shape: str, count: int) -> None:
    call = measure.call_of(Ours("ollama", port), shape)
    prompts = itertools.islice(workload.prompts(), count)

    async def caller() -> None:
        for prompt in prompts:
            await call(prompt)

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))


def count_instructions(port: int, shape: str, count: int) -> int:
    """Return the instructions of a process that makes `count` calls."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "callgrind.out"
        child = [sys.executable, "-m", "benches.instructions", "--child", str(port), shape, str(count)]
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", *child]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # a fixed command line
        total = _TOTAL.search(output.read_text(encoding="utf-8", errors="replace"))
    if total is None:
        raise RuntimeError("callgrind wrote no total")
    return int(total[1])


def main() -> None:
    """Print thousands of instructions a call for each shape."""
    parser = argparse.ArgumentParser(description="Count the instructions of a call with callgrind.")
    parser.add_argument("--child", nargs=3, metavar=("PORT", "SHAPE", "COUNT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        pin(0)
        port, shape, count = arguments.child
        asyncio.run(_make_calls(int(port), shape, int(count)))
        return
    if shutil.which("valgrind") is None:
        sys.exit("error: valgrind is missing (Debian: apt-get install valgrind)")
    with Upstream((os.cpu_count() or 1) - 1) as upstream:
        for shape in SHAPES:
            few, many = (count_instructions(upstream.port, shape, count) for count in (FEW, MANY))
            print(f"{shape:<12} {(many - few) / (MANY - FEW) / 1000:.1f} thousand instructions a call")


if __name__ == "__main__":
    main()
