"""madspark in a web backend with FastAPI. Needs the extra: `pip install madspark[fastapi]`.

* `router_dependency` builds a router for each request, of which clients choose only what the server lists.
* `add_exception_handlers` answers errors with problem details (RFC 9457); `problem_responses` documents them.
* `RunEventResponse` sends the events of a run; `cancel_on_disconnect` ends the work for a client that has left.
* `lifespan` reads the settings once and ends what runs at shutdown.
"""

from __future__ import annotations

try:
    import fastapi as _fastapi  # noqa: F401  (the modules below need it)
except ImportError as error:
    raise ImportError("madspark.integrations.fastapi needs FastAPI: pip install 'madspark[fastapi]'") from error

from madspark.integrations._disconnect import cancel_on_disconnect
from madspark.integrations._lifespan import hold_run, lifespan, read_settings
from madspark.integrations._problems import (
    ProblemAttempt,
    ProblemDetails,
    add_exception_handlers,
    problem_response,
    problem_responses,
)
from madspark.integrations._router_dependency import Choice, RouterArguments, RouterDependency, router_dependency
from madspark.integrations._run_events import LastEventId, RunEventResponse

__all__ = [
    "Choice",
    "LastEventId",
    "ProblemAttempt",
    "ProblemDetails",
    "RouterArguments",
    "RouterDependency",
    "RunEventResponse",
    "add_exception_handlers",
    "cancel_on_disconnect",
    "hold_run",
    "lifespan",
    "problem_response",
    "problem_responses",
    "read_settings",
    "router_dependency",
]
