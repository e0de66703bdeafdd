"""A multi-agent idea workflow over language models, with one router per request.

>>> from madspark import AsyncCoordinator, LLMRouter
>>> router = LLMRouter(primary_provider="ollama", fallback_enabled=False)
>>> results = await AsyncCoordinator(router=router).run_workflow("city farming", "small budget")  # doctest: +SKIP

Names are loaded at first use. Importing the package reads no environment, opens no socket and starts no thread.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from madspark.core.async_coordinator import AsyncCoordinator
    from madspark.core.coordinator import Coordinator
    from madspark.core.events import (
        AttemptFailed,
        BudgetSpent,
        Event,
        FallbackTaken,
        IdeaGenerated,
        IdeaImproved,
        IdeaScored,
        IdeasSelected,
        Progress,
        RunFinished,
        RunStarted,
        StageFinished,
        StageStarted,
        WorkflowEvent,
    )
    from madspark.core.options import RunOptions
    from madspark.core.result import Candidate, WorkflowResult
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
        MadsparkError,
        ProviderTimeoutError,
        ProviderUnavailableError,
        RateLimitError,
        SchemaValidationError,
        WorkflowTimeoutError,
    )
    from madspark.llm.limits import Limits
    from madspark.llm.metrics import HealthStatus, ProviderMetrics, RouterMetrics
    from madspark.llm.options import (
        GenerateOptions,
        ProviderChoice,
        ProviderName,
        StreamOptions,
        StructuredOptions,
        StructuredStreamOptions,
        TierName,
    )
    from madspark.llm.response import Attempt, LLMResponse, Restarted, TokenUsage
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
    "AttemptFailed",
    "AuthorizationError",
    "Budget",
    "BudgetExceededError",
    "BudgetSpent",
    "Candidate",
    "ContentRefusedError",
    "ContextLengthError",
    "Coordinator",
    "DeadlineExceededError",
    "Event",
    "FallbackTaken",
    "GenerateOptions",
    "HealthStatus",
    "IdeaGenerated",
    "IdeaImproved",
    "IdeaScored",
    "IdeasSelected",
    "InternalError",
    "LLMConfig",
    "LLMProviderError",
    "LLMResponse",
    "LLMRouter",
    "Limits",
    "MadsparkError",
    "ModelTier",
    "Progress",
    "ProviderChoice",
    "ProviderMetrics",
    "ProviderName",
    "ProviderTimeoutError",
    "ProviderUnavailableError",
    "RateLimitError",
    "Restarted",
    "RouterMetrics",
    "RunFinished",
    "RunOptions",
    "RunStarted",
    "SchemaValidationError",
    "StageFinished",
    "StageStarted",
    "StreamOptions",
    "StructuredOptions",
    "StructuredStream",
    "StructuredStreamOptions",
    "TextStream",
    "TierName",
    "TokenUsage",
    "WorkflowEvent",
    "WorkflowResult",
    "WorkflowTimeoutError",
    "__version__",
]

_MODULES = {
    "AsyncCoordinator": "core.async_coordinator",
    "AsyncStructuredStream": "llm.structured_stream",
    "AsyncTextStream": "llm.stream",
    "Attempt": "llm.response",
    "AttemptFailed": "core.events",
    "Budget": "llm.budget",
    "BudgetSpent": "core.events",
    "Candidate": "core.result",
    "Coordinator": "core.coordinator",
    "Event": "core.events",
    "FallbackTaken": "core.events",
    "GenerateOptions": "llm.options",
    "HealthStatus": "llm.metrics",
    "IdeaGenerated": "core.events",
    "IdeaImproved": "core.events",
    "IdeaScored": "core.events",
    "IdeasSelected": "core.events",
    "LLMConfig": "llm.config",
    "LLMResponse": "llm.response",
    "LLMRouter": "llm.router",
    "Limits": "llm.limits",
    "ModelTier": "llm.tiers",
    "Progress": "core.events",
    "ProviderChoice": "llm.options",
    "ProviderMetrics": "llm.metrics",
    "ProviderName": "llm.options",
    "Restarted": "llm.response",
    "RouterMetrics": "llm.metrics",
    "RunFinished": "core.events",
    "RunOptions": "core.options",
    "RunStarted": "core.events",
    "StageFinished": "core.events",
    "StageStarted": "core.events",
    "StreamOptions": "llm.options",
    "StructuredOptions": "llm.options",
    "StructuredStream": "llm.structured_stream",
    "StructuredStreamOptions": "llm.options",
    "TextStream": "llm.stream",
    "TierName": "llm.options",
    "TokenUsage": "llm.response",
    "WorkflowEvent": "core.events",
    "WorkflowResult": "core.result",
}
"""The module of each public name. Names that are missing here are exceptions."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object
    if name == "__version__":
        # The extension knows the version of a copy that pip did not install.
        from madspark._core import __version__ as value
    else:
        from importlib import import_module

        value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'llm.exceptions')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
