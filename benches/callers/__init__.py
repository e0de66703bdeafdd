"""The ways of making a call. Each is measured in a process of its own, which imports nothing of the others."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from benches.callers.base import Library

NAMES: Final = {
    "floor": "benches.callers.floor",
    "madspark": "benches.callers.ours",
    "openai": "benches.callers.openai_sdk",
    "litellm": "benches.callers.litellm_router",
    "tensorzero": "benches.callers.tensorzero_gateway",
}
"""The module of each, in the order of the tables."""

PEERS: Final = ("openai", "litellm", "tensorzero")
"""Those that are installed for the benchmarks alone."""


def load(name: str) -> Library:
    """Import a way of making a call."""
    return cast("Library", import_module(NAMES[name]).LIBRARY)
