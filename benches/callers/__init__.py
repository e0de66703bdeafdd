"""The measured clients. Each runs in its own process, which imports none of the others."""

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
"""The module of each client, in the order of the tables."""

PEERS: Final = ("openai", "litellm", "tensorzero")
"""Clients that are installed for the benchmarks only."""


def load(name: str) -> Library:
    """Import a client."""
    return cast("Library", import_module(NAMES[name]).LIBRARY)
