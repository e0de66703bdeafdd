"""The description of the machine, and pinning to its cores."""

from __future__ import annotations

import os
import platform
import resource
from datetime import UTC, datetime
from pathlib import Path

CORES_NEEDED = 2
"""One core for the client and one for the upstream."""


def cores() -> list[int]:
    """Return the cores of this process: the first is for the client, the last for the upstream."""
    found = sorted(os.sched_getaffinity(0))
    if len(found) < CORES_NEEDED:
        raise SystemExit("error: the client and the upstream need a core each")
    return found


def pin(core: int) -> None:
    """Pin this process and its future threads to one core."""
    os.sched_setaffinity(0, {core})


def raise_file_limit() -> None:
    """Raise the limit of open files to its maximum: a thousand calls need a thousand sockets."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def describe() -> dict[str, str]:
    """Name the machine, its system, its Python and the day."""
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores for this process",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "date": datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def busy_seconds() -> float:
    """Return the processor time that all processes have used since the system started."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, soft, steal = map(int, fields[:8])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()
