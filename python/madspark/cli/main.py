"""The process around a run: its streams, Ctrl-C, and readers that leave.

Whatever takes time to load is imported inside of `main`, so that Ctrl-C is one line however early it comes.
"""

from __future__ import annotations

import sys

from madspark.cli.outcome import CANCELLED, FAILED, tell

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; ``arguments`` default to the process's own. Returns the exit code."""
    try:
        _open_streams()
        from madspark.cli.run import run

        return run(arguments)
    except KeyboardInterrupt:
        _ignore_ctrl_c()
        tell("cancelled")
        return CANCELLED
    except BrokenPipeError:
        # The reader of stdout left, as `head` does.
        _drop_stdout()
        return FAILED
    except OSError as error:
        # A run tells its own failures, so this one is of stdout: a full disk.
        _drop_stdout()
        tell(f"cannot write the output: {error.strerror or error}")
        return FAILED


def _open_streams() -> None:
    """Python has no stream where the shell closed one (`2>&-`); what is written to it then goes nowhere."""
    from os import devnull

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115  # until the process ends


def _ignore_ctrl_c() -> None:
    """A second Ctrl-C must not interrupt the end of the process, which would print a traceback."""
    import signal
    import threading

    # Python lets only the main thread do this, and only the main thread is interrupted.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _drop_stdout() -> None:
    """What is left in the buffer has nowhere to go; Python would complain when it flushes at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
