"""The whole workflow through the command line and over HTTP, against simulated models. Needs no server and no key.

The simulator speaks Ollama's protocol on a loopback port, so everything but the model is real. Its ideas are made up
from the schema: they show the shape of a run, not the quality of one.
"""

from __future__ import annotations

import os
import subprocess
import sys

from madspark.testing import Simulator

COMMAND = [
    "madspark",
    "food from city roofs",
    "small budget, a crew of volunteers",
    "--provider",
    "ollama",
    "--tier",
    "fast",
    "--enhanced",
    # Simulated answers must not enter the cache of real ones.
    "--no-cache",
    "--verbose",
]


def main() -> int:
    """Run the command in its own process and return its exit code."""
    # Settings of the shell for real providers do not apply to the simulation.
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    with Simulator() as simulator:
        arguments = [*COMMAND[1:], "--ollama-host", simulator.ollama_url]
        print("$ " + subprocess.list2cmdline(["madspark", *arguments]), flush=True)
        # `-m madspark` is the command `madspark` of this interpreter.
        done = subprocess.run([sys.executable, "-m", "madspark", *arguments], env=environment, check=False)  # noqa: S603  # our own command
        print(f"\n{len(simulator.requests)} requests went to the simulated Ollama at {simulator.ollama_url}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
