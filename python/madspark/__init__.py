"""A multi-agent idea workflow over language models, through request-scoped routers.

>>> from madspark import AsyncCoordinator, LLMRouter
>>> router = LLMRouter(primary_provider="ollama", fallback_enabled=False)
>>> results = await AsyncCoordinator(router=router).run_workflow("city farming", "small budget")  # doctest: +SKIP

Names are loaded at first use: importing the package reads no environment, opens no socket and starts no thread.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from madspark.core.async_coordinator import AsyncCoordinator
    from madspark.core.coordinator import Coordinator
    from madspark.llm.budget import Budget
    from madspark.llm.config import LLMConfig
    from madspark.llm.exceptions import (
        AllProvidersContextLengthError,
        AllProvidersFailedError,
        AllProvidersInvalidOutputError,
        AllProvidersRateLimitedError,
        AllProvidersRefusedError,
        AllProvidersTimedOutError,
        AllProvidersUnauthorizedError,
        AllProvidersUnavailableError,
        AuthorizationError,
        BudgetExceededError,
        ContentRefusedError,
        ContextLengthError,
        DeadlineExceededError,
        InternalError,
        LLMProviderError,
        ProviderTimeoutError,
        ProviderUnavailableError,
        RateLimitError,
        SchemaValidationError,
        WorkflowTimeoutError,
    )
    from madspark.llm.limits import Limits
    from madspark.llm.response import Attempt, LLMResponse, Restarted
    from madspark.llm.router import LLMRouter
    from madspark.llm.stream import AsyncTextStream, TextStream
    from madspark.llm.structured_stream import AsyncStructuredStream, StructuredStream
    from madspark.llm.tiers import ModelTier

    __version__: str

__all__ = [
    "AllProvidersContextLengthError",
    "AllProvidersFailedError",
    "AllProvidersInvalidOutputError",
    "AllProvidersRateLimitedError",
    "AllProvidersRefusedError",
    "AllProvidersTimedOutError",
    "AllProvidersUnauthorizedError",
    "AllProvidersUnavailableError",
    "AsyncCoordinator",
    "AsyncStructuredStream",
    "AsyncTextStream",
    "Attempt",
    "AuthorizationError",
    "Budget",
    "BudgetExceededError",
    "ContentRefusedError",
    "ContextLengthError",
    "Coordinator",
    "DeadlineExceededError",
    "InternalError",
    "LLMConfig",
    "LLMProviderError",
    "LLMResponse",
    "LLMRouter",
    "Limits",
    "ModelTier",
    "ProviderTimeoutError",
    "ProviderUnavailableError",
    "RateLimitError",
    "Restarted",
    "SchemaValidationError",
    "StructuredStream",
    "TextStream",
    "WorkflowTimeoutError",
    "__version__",
]

# The module of each name; the names not listed are exceptions.
_HOMES = {
    "AsyncCoordinator": "core.async_coordinator",
    "AsyncStructuredStream": "llm.structured_stream",
    "AsyncTextStream": "llm.stream",
    "Attempt": "llm.response",
    "Budget": "llm.budget",
    "Coordinator": "core.coordinator",
    "LLMConfig": "llm.config",
    "LLMResponse": "llm.response",
    "LLMRouter": "llm.router",
    "Limits": "llm.limits",
    "ModelTier": "llm.tiers",
    "Restarted": "llm.response",
    "StructuredStream": "llm.structured_stream",
    "TextStream": "llm.stream",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object
    if name == "__version__":
        # The extension's own, so that it is right for a copy that pip did not install, too.
        from madspark._core import __version__ as value
    else:
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'llm.exceptions')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
