"""A multi-agent idea workflow over language models, with one router per request.

>>> from madspark import AsyncCoordinator, LLMRouter
>>> router = LLMRouter(primary_provider="ollama", fallback_enabled=False)
>>> results = await AsyncCoordinator(router=router).run_workflow("city farming", "small budget")  # doctest: +SKIP

Names are loaded at first use. Importing the package reads no environment, opens no socket and starts no thread.
"""

from __future__ import annotations

# Importing `typing` costs more than this module. jedi would skip the block below if this were a literal False.
TYPE_CHECKING = bool()  # noqa: UP018
if TYPE_CHECKING:
    from madspark import schemas as schemas
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
    from madspark.core.gate import OnStage, StageReview, StopWorkflow
    from madspark.core.options import RunOptions, StartOptions
    from madspark.core.result import Candidate, WorkflowResult
    from madspark.core.run import WorkflowEvents, WorkflowRun
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
    "OnStage",
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
    "StageReview",
    "StageStarted",
    "StartOptions",
    "StopWorkflow",
    "StreamOptions",
    "StructuredOptions",
    "StructuredStream",
    "StructuredStreamOptions",
    "TextStream",
    "TierName",
    "TokenUsage",
    "WorkflowEvent",
    "WorkflowEvents",
    "WorkflowResult",
    "WorkflowRun",
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
    "OnStage": "core.gate",
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
    "StageReview": "core.gate",
    "StageStarted": "core.events",
    "StartOptions": "core.options",
    "StopWorkflow": "core.gate",
    "StreamOptions": "llm.options",
    "StructuredOptions": "llm.options",
    "StructuredStream": "llm.structured_stream",
    "StructuredStreamOptions": "llm.options",
    "TextStream": "llm.stream",
    "TierName": "llm.options",
    "TokenUsage": "llm.response",
    "WorkflowEvent": "core.events",
    "WorkflowEvents": "core.run",
    "WorkflowResult": "core.result",
    "WorkflowRun": "core.run",
}
"""The module of each public name. Names that are missing here are exceptions."""


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "schemas":
        # For annotations: they name pydantic models without importing pydantic.
        return import_module("madspark.schemas")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The extension knows the version, also of a copy that pip did not install.
    module = "_core" if name == "__version__" else _MODULES.get(name, "llm.exceptions")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
