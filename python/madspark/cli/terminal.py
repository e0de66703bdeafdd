"""What the terminal can do. The variables that say so belong to the terminal; settings are read by `LLMConfig` only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

__all__ = ["takes_control_sequences"]


def takes_control_sequences(stream: TextIO, variables: Mapping[str, str] = os.environ) -> bool:
    """Return whether `stream` is a terminal that shows control sequences: not with `TERM=dumb`, nor with `NO_COLOR`."""
    is_dumb = variables.get("TERM", "dumb" if os.name == "posix" else "") == "dumb"
    return stream.isatty() and not is_dumb and not variables.get("NO_COLOR")
