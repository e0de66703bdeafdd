"""The router, its configuration, its responses and its errors. Names are loaded at first use."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from madspark.llm.config import LLMConfig
    from madspark.llm.exceptions import (
        AllProvidersFailedError,
        AuthorizationError,
        LLMProviderError,
        ProviderUnavailableError,
        RateLimitError,
        SchemaValidationError,
    )
    from madspark.llm.response import Attempt, LLMResponse
    from madspark.llm.router import LLMRouter, get_router, reset_router
    from madspark.llm.tiers import ModelTier

__all__ = [
    "AllProvidersFailedError",
    "Attempt",
    "AuthorizationError",
    "LLMConfig",
    "LLMProviderError",
    "LLMResponse",
    "LLMRouter",
    "ModelTier",
    "ProviderUnavailableError",
    "RateLimitError",
    "SchemaValidationError",
    "get_router",
    "reset_router",
]

_MODULES = {
    "Attempt": "response",
    "LLMConfig": "config",
    "LLMResponse": "response",
    "LLMRouter": "router",
    "ModelTier": "tiers",
    "get_router": "router",
    "reset_router": "router",
}
"""The module of each public name. Names that are missing here are exceptions."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'exceptions')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
