"""A router for each request, of which clients choose only what the server lists."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, Literal, TypeAlias, TypedDict, TypeVar, Unpack

from fastapi import Body, Query, Request

from madspark.integrations._lifespan import read_settings
from madspark.llm.budget import Budget
from madspark.llm.config import LLMConfig
from madspark.llm.exceptions import InvalidRequestError
from madspark.llm.options import ProviderChoice, TierName
from madspark.llm.router import LLMRouter

__all__ = ["Choice", "RouterArguments", "RouterDependency", "router_dependency"]

Choice: TypeAlias = Literal["provider", "tier", "fallback", "cache"]
"""A setting that clients may choose."""

RouterDependency: TypeAlias = Callable[..., Coroutine[Any, Any, LLMRouter]]

_ARGUMENTS: dict[Choice, str] = {
    "provider": "primary_provider",
    "tier": "model_tier",
    "fallback": "fallback_enabled",
    "cache": "cache_enabled",
}
"""The arguments of `LLMRouter` that the choices set."""

_DESCRIPTIONS: dict[Choice, str] = {
    "provider": "The provider that is tried first.",
    "tier": "How capable the model is.",
    "fallback": "Whether another provider may answer if the first one fails.",
    "cache": "Whether answers may come from the response cache.",
}

_Name = TypeVar("_Name", bound=str)

_PROVIDERS: tuple[ProviderChoice, ...] = ("auto", "ollama", "gemini", "openai", "anthropic")
_TIERS: tuple[TierName, ...] = ("fast", "balanced", "quality")


class RouterArguments(TypedDict, total=False):
    """The arguments of `LLMRouter` that are the same for every request, unless a client may choose them."""

    primary_provider: ProviderChoice | None
    fallback_enabled: bool | None
    cache_enabled: bool | None
    model_tier: TierName | None
    deadline: float | None
    max_attempts: int
    budget: Budget | None
    on_refusal: Literal["stop", "next"]
    hedge_after: float | Literal["p95"] | None


def router_dependency(
    settings: LLMConfig | None = None,
    *,
    choose: Sequence[Choice] = (),
    providers: Sequence[ProviderChoice] = _PROVIDERS,
    tiers: Sequence[TierName] = _TIERS,
    location: Literal["query", "body"] = "query",
    **arguments: Unpack[RouterArguments],
) -> RouterDependency:
    """Return a dependency that builds a router for each request.

    >>> from typing import Annotated
    >>> from fastapi import Depends
    >>> Router = Annotated[LLMRouter, Depends(router_dependency(choose=["provider", "tier"], deadline=60.0))]

    Clients choose nothing but the values of `choose`. They never choose hosts, keys or limits.

    Args:
        settings: The configuration of the server. None means that of `lifespan`.
        choose: What clients may choose, as optional parameters of these names: "provider", "tier", "fallback", "cache".
        providers: The providers they may choose from. By default every one except the mock.
        tiers: The tiers they may choose from.
        location: "query" for query parameters, "body" for members of the body.
        arguments: Arguments of each `LLMRouter`. A client's choice overrides them.

    Raises:
        ValueError: If an argument is invalid. It is raised here, not for each request.
    """
    allowed: dict[str, Any] = {
        "provider": Literal[tuple(_known("provider", providers, (*_PROVIDERS, "mock")))],
        "tier": Literal[tuple(_known("tier", tiers, _TIERS))],
        "fallback": bool,
        "cache": bool,
    }
    chosen = {name: allowed[name] for name in _known("choice", choose, (*_ARGUMENTS,))}
    # Raises for arguments that no request could use.
    LLMRouter(config=LLMConfig() if settings is None else settings, **arguments)

    async def build(request: Request, **choices: Any) -> LLMRouter:
        config = read_settings(request) if settings is None else settings
        own = {_ARGUMENTS[name]: value for name, value in choices.items() if value is not None}  # type: ignore[index]
        return LLMRouter(config=config, **{**arguments, **own})

    # FastAPI reads the parameters of a dependency from its signature.
    build.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request),
            *(_parameter(name, kind, location) for name, kind in chosen.items()),
        ]
    )
    return build


def _parameter(name: Choice, kind: Any, location: Literal["query", "body"]) -> inspect.Parameter:
    description = _DESCRIPTIONS[name]
    source = Query(description=description) if location == "query" else Body(embed=True, description=description)
    # None is not one of the values: it means that the client chose nothing.
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, source])


def _known(what: str, names: Sequence[_Name], known: Sequence[str]) -> list[_Name]:
    """Return `names` without repetitions, if all of them are `known`."""
    for name in names:
        if name not in known:
            raise InvalidRequestError(f"unknown {what} {name!r}: use one of {', '.join(known)}")
    return list(dict.fromkeys(names))
