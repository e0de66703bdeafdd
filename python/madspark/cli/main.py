"""The entry point of the command: handles standard streams, Ctrl-C and closed pipes.

Slow imports are inside `main`, so that Ctrl-C prints one line, however early it is pressed.
"""

from __future__ import annotations

import sys

from madspark.cli.outcome import CANCELLED, FAILED, print_error, report

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return the exit code. `arguments` default to those of the process."""
    try:
        _open_streams()
        from madspark.cli.run import run

        return run(arguments)
    except KeyboardInterrupt:
        _ignore_ctrl_c()
        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            print_error({"code": "cancelled", "message": "cancelled"})
        report("cancelled")
        return CANCELLED
    except BrokenPipeError:
        # The reader of stdout closed the pipe, as `head` does.
        _drop_stdout()
        return FAILED
    except OSError as error:
        # Failures of the run are reported there, so this one concerns stdout: a full disk.
        _drop_stdout()
        report(f"cannot write the output: {error.strerror or error}")
        return FAILED


def _open_streams() -> None:
    """Open the null device for each stream that the shell closed (`2>&-`): Python has `None` there."""
    from os import devnull

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115  # until the process ends


def _ignore_ctrl_c() -> None:
    """Ignore a second Ctrl-C, which would interrupt the end of the process and print a traceback."""
    import signal
    import threading

    # Python allows this on the main thread only, which is also the only one that is interrupted.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _drop_stdout() -> None:
    """Discard what is left in the buffer, because Python would report an error when it flushes it at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
