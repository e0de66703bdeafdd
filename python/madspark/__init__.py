"""A multi-agent idea workflow over language models, with one router per request.

>>> from madspark import AsyncCoordinator, LLMRouter
>>> router = LLMRouter(primary_provider="ollama", fallback_enabled=False)
>>> results = await AsyncCoordinator(router=router).run_workflow("city farming", "small budget")  # doctest: +SKIP

Names are loaded at first use. Importing the package reads no environment, opens no socket and starts no thread. Type
checkers and editors read `__init__.pyi`.
"""

from __future__ import annotations

_NAMES = {
    "_core": "__version__",
    "core.async_coordinator": "AsyncCoordinator",
    "core.coordinator": "Coordinator",
    "core.events": (
        "AttemptFailed BudgetSpent Event FallbackTaken IdeaGenerated IdeaImproved IdeaScored IdeasSelected "
        "Progress RunFinished RunStarted StageFinished StageStarted WorkflowEvent"
    ),
    "core.gate": "OnProvider OnStage ProviderUse StageReview StopWorkflow",
    "core.options": "RunOptions StartOptions",
    "core.result": "Candidate WorkflowResult",
    "core.run": "WorkflowEvents WorkflowRun",
    "llm.budget": "Budget",
    "llm.config": "LLMConfig",
    "llm.exceptions": (
        "AllProvidersContextLengthError AllProvidersFailedError AllProvidersInvalidOutputError "
        "AllProvidersLackKeyError AllProvidersLackModelError AllProvidersNotConfiguredError "
        "AllProvidersRateLimitedError AllProvidersRefusedError AllProvidersTimedOutError "
        "AllProvidersUnauthorizedError AllProvidersUnavailableError AllProvidersUnsupportedError "
        "AuthorizationError BudgetExceededError ContentRefusedError ContextLengthError DeadlineExceededError "
        "InternalError InvalidArgumentError InvalidRequestError InvalidSettingsError LLMProviderError "
        "MadsparkError MissingFileError MissingKeyError ModelNotFoundError NotConfiguredError "
        "PageUnavailableError PromptTooLongError ProviderTimeoutError ProviderUnavailableError RateLimitError "
        "SchemaValidationError UnsupportedError WorkflowTimeoutError"
    ),
    "llm.limits": "Limits",
    "llm.metrics": "HealthStatus ProviderMetrics RouterMetrics",
    "llm.options": (
        "GenerateOptions ProviderChoice ProviderName StreamOptions StructuredOptions StructuredStreamOptions TierName"
    ),
    "llm.response": "Attempt LLMResponse Restarted TokenUsage",
    "llm.router": "LLMRouter",
    "llm.stream": "AsyncTextStream TextStream",
    "llm.structured_stream": "AsyncStructuredStream StructuredStream",
    "llm.tiers": "ModelTier",
}
"""The public names, by the module that defines them."""

_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [*_MODULES]  # noqa: PLE0604  (strings)


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "schemas":
        # For annotations: they name pydantic models without importing pydantic.
        return import_module("madspark.schemas")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
