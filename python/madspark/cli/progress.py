"""The progress of a run, on stderr."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from madspark.cli.wrap import shorten

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["Progress"]

_CLEAR = "\r\x1b[2K"


class Progress:
    """Prints progress: one line that is updated if `rewrites`, otherwise one line per event; nothing if `quiet`."""

    def __init__(self, stream: TextIO, *, rewrites: bool, quiet: bool) -> None:
        self._stream = stream
        self._quiet = quiet
        self._rewrites = rewrites
        self._open = False

    def show(self, message: str, fraction: float) -> None:
        """Print one event."""
        if self._quiet:
            return
        share = f"[{fraction:4.0%}] "
        if self._rewrites:
            columns = shutil.get_terminal_size().columns
            self._stream.write(_CLEAR + share + shorten(message, columns - len(share) - 1))
            self._open = True
        else:
            self._stream.write(share + shorten(message, 200) + "\n")
        self._stream.flush()

    def clear(self) -> None:
        """Remove the line, so that the next output starts at the left edge."""
        if self._open:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._open = False
