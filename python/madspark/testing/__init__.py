"""Tools for the test suites of callers: a simulator of every provider, on a loopback port.

The simulator is a real HTTP server, so a test uses the same sockets, parsers and timeouts as a call to a provider. With
pytest, the fixtures of `madspark.testing.plugin` are available as soon as madspark is installed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from madspark._core import RecordedRequest
    from madspark.testing.simulator import Simulator

__all__ = ["RecordedRequest", "Simulator"]


def __getattr__(name: str) -> object:
    # pytest imports this package in every suite of the environment. Only suites that use the simulator load it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from madspark.testing import simulator

    return getattr(simulator, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
