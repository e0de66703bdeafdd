"""Keeps web frameworks from filling the arguments of a constructor from a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Never

__all__ = ["keep_from_requests"]


class NotFromRequests:
    """In `Annotated[..., NotFromRequests()]`: refuses to become a parameter of a request, when a route is defined."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> Never:
        raise TypeError(
            "clients must not choose every argument of this class, so it is no dependency of FastAPI: use "
            "Depends(router_dependency(settings, choose=[...])) from madspark.integrations.fastapi, or build it in the "
            "handler"
        )

    def __repr__(self) -> str:
        return "NotFromRequests()"


def keep_from_requests(constructor: Callable[..., None], parameter: str, annotation: Any) -> None:
    """Make `Depends(...)` of a class fail when a route is defined, through one parameter of its constructor.

    FastAPI makes the parameters of a dependency parameters of the request: clients would choose the provider, the mock
    included. It builds a validator for each annotation, but does not resolve those of every class that are text, as
    postponed annotations are. So the annotation is replaced by its value.
    """
    constructor.__annotations__[parameter] = Annotated[annotation, NotFromRequests()]
