"""For the test suites of callers: every provider, simulated on a loopback port.

The simulator is a real HTTP server, so a test goes through the same sockets, parsers and time limits as a run against
the real provider. With pytest, the fixtures of :mod:`madspark.testing.plugin` are there as soon as madspark is
installed.
"""

from madspark._core import RecordedRequest, Simulator

__all__ = ["RecordedRequest", "Simulator"]
