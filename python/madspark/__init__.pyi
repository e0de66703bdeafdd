"""The names that `__init__.py` loads at first use."""

from madspark import schemas as schemas
from madspark.core.async_coordinator import AsyncCoordinator as AsyncCoordinator
from madspark.core.coordinator import Coordinator as Coordinator
from madspark.core.events import (
    AttemptFailed as AttemptFailed,
    BudgetSpent as BudgetSpent,
    Event as Event,
    FallbackTaken as FallbackTaken,
    IdeaGenerated as IdeaGenerated,
    IdeaImproved as IdeaImproved,
    IdeaScored as IdeaScored,
    IdeasSelected as IdeasSelected,
    Progress as Progress,
    RunFinished as RunFinished,
    RunStarted as RunStarted,
    StageFinished as StageFinished,
    StageStarted as StageStarted,
    WorkflowEvent as WorkflowEvent,
)
from madspark.core.gate import (
    OnProvider as OnProvider,
    OnStage as OnStage,
    ProviderUse as ProviderUse,
    StageReview as StageReview,
    StopWorkflow as StopWorkflow,
)
from madspark.core.options import RunOptions as RunOptions, StartOptions as StartOptions
from madspark.core.result import Candidate as Candidate, WorkflowResult as WorkflowResult
from madspark.core.run import WorkflowEvents as WorkflowEvents, WorkflowRun as WorkflowRun
from madspark.llm.budget import Budget as Budget
from madspark.llm.config import LLMConfig as LLMConfig
from madspark.llm.exceptions import (
    AllProvidersContextLengthError as AllProvidersContextLengthError,
    AllProvidersFailedError as AllProvidersFailedError,
    AllProvidersInvalidOutputError as AllProvidersInvalidOutputError,
    AllProvidersLackKeyError as AllProvidersLackKeyError,
    AllProvidersLackModelError as AllProvidersLackModelError,
    AllProvidersNotConfiguredError as AllProvidersNotConfiguredError,
    AllProvidersRateLimitedError as AllProvidersRateLimitedError,
    AllProvidersRefusedError as AllProvidersRefusedError,
    AllProvidersTimedOutError as AllProvidersTimedOutError,
    AllProvidersUnauthorizedError as AllProvidersUnauthorizedError,
    AllProvidersUnavailableError as AllProvidersUnavailableError,
    AllProvidersUnsupportedError as AllProvidersUnsupportedError,
    AuthorizationError as AuthorizationError,
    BudgetExceededError as BudgetExceededError,
    ContentRefusedError as ContentRefusedError,
    ContextLengthError as ContextLengthError,
    DeadlineExceededError as DeadlineExceededError,
    InternalError as InternalError,
    InvalidArgumentError as InvalidArgumentError,
    InvalidRequestError as InvalidRequestError,
    InvalidSettingsError as InvalidSettingsError,
    LLMProviderError as LLMProviderError,
    MadsparkError as MadsparkError,
    MissingFileError as MissingFileError,
    MissingKeyError as MissingKeyError,
    ModelNotFoundError as ModelNotFoundError,
    NotConfiguredError as NotConfiguredError,
    PageUnavailableError as PageUnavailableError,
    PromptTooLongError as PromptTooLongError,
    ProviderTimeoutError as ProviderTimeoutError,
    ProviderUnavailableError as ProviderUnavailableError,
    RateLimitError as RateLimitError,
    SchemaValidationError as SchemaValidationError,
    UnsupportedError as UnsupportedError,
    WorkflowTimeoutError as WorkflowTimeoutError,
)
from madspark.llm.limits import Limits as Limits
from madspark.llm.metrics import (
    HealthStatus as HealthStatus,
    ProviderMetrics as ProviderMetrics,
    RouterMetrics as RouterMetrics,
)
from madspark.llm.options import (
    GenerateOptions as GenerateOptions,
    ProviderChoice as ProviderChoice,
    ProviderName as ProviderName,
    StreamOptions as StreamOptions,
    StructuredOptions as StructuredOptions,
    StructuredStreamOptions as StructuredStreamOptions,
    TierName as TierName,
)
from madspark.llm.response import (
    Attempt as Attempt,
    LLMResponse as LLMResponse,
    Restarted as Restarted,
    TokenUsage as TokenUsage,
)
from madspark.llm.router import LLMRouter as LLMRouter
from madspark.llm.stream import AsyncTextStream as AsyncTextStream, TextStream as TextStream
from madspark.llm.structured_stream import (
    AsyncStructuredStream as AsyncStructuredStream,
    StructuredStream as StructuredStream,
)
from madspark.llm.tiers import ModelTier as ModelTier

__version__: str
__all__: list[str]  # noqa: PYI035  (the names above)
