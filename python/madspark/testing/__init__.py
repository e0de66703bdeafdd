"""For the test suites of callers: every provider, simulated on a loopback port.

The simulator is a real HTTP server, so a test goes through the same sockets, parsers and time limits as a run against
the real provider. With pytest, the fixtures of :mod:`madspark.testing.plugin` are there as soon as madspark is
installed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from madspark._core import RecordedRequest
    from madspark.testing.simulator import Simulator

__all__ = ["RecordedRequest", "Simulator"]


def __getattr__(name: str) -> object:
    # pytest imports this package in every suite of the environment; only those that simulate load the extension.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "Simulator":
        from madspark.testing.simulator import Simulator

        return Simulator
    from madspark._core import RecordedRequest

    return RecordedRequest
