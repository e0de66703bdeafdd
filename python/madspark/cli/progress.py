"""The progress of a run, on stderr."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from madspark.cli.wrap import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

__all__ = ["Progress"]

_CLEAR = "\r\x1b[2K"


class Progress:
    """Prints progress: one line that is updated on a terminal, one line per event elsewhere, nothing if `quiet`.

    A terminal without control sequences (`TERM=dumb`, or none at all) or with `NO_COLOR` set gets lines, too.
    """

    def __init__(self, stream: TextIO, environment: Mapping[str, str], *, quiet: bool) -> None:
        self._stream = stream
        self._quiet = quiet
        is_dumb = environment.get("TERM", "dumb" if os.name == "posix" else "") == "dumb"
        self._rewrites = stream.isatty() and not is_dumb and not environment.get("NO_COLOR")
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
