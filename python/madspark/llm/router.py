"""The request-scoped router: one request's providers, models, keys and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from madspark import _core
from madspark._drive import finish
from madspark.llm._batch_router import BATCH_CONCURRENCY, MAX_PROMPT_CHARS, BatchRouter
from madspark.llm._structured_stream_router import StructuredStreamRouter
from madspark.llm._text_router import TextRouter
from madspark.llm.config import LLMConfig

if TYPE_CHECKING:
    from typing import Any, Literal

    from madspark.llm.budget import Budget
    from madspark.llm.tiers import ModelTier

__all__ = ["BATCH_CONCURRENCY", "MAX_ATTEMPTS", "MAX_PROMPT_CHARS", "LLMRouter", "get_router", "reset_router"]

MAX_ATTEMPTS = 6
"""The most requests that one call sends where `LLMRouter` was told no number."""


class LLMRouter(TextRouter, BatchRouter, StructuredStreamRouter):
    """Answers prompts through the providers that its own configuration names, and through no other.

    A router belongs to one request. Building one takes microseconds, does no I/O and leaves nothing to close; it can be
    used from any thread and any event loop. Nothing that one router was given (provider, tier, host, key, model,
    timeout) can reach another.

    Args:
        primary_provider: "auto", "ollama", "gemini", "openai", "anthropic" or "mock". Naming one pins it: it is always
            asked first.
        fallback_enabled: Whether another provider may answer when the first one fails.
        cache_enabled: Whether answers are taken from the response cache and kept there; a call may choose otherwise.
        config: Everything else. Without it the environment is read, as by `LLMConfig.from_env()`.
        model_tier: "fast", "balanced" or "quality".
        deadline: Seconds one call may take, with every retry, repair, fallback and pause; None for no end but those of
            the single requests.
        max_attempts: The most requests one call sends.
        budget: What all calls of this router may spend together; None for no bound.
        on_refusal: What follows when a model refuses or a safety filter blocks: "stop" raises ContentRefusedError,
            "next" asks the next provider.
        hedge_after: Seconds without an answer after which another provider is asked beside the first, or "p95": when 95
            of 100 answers of the first had come. The answer that comes first is taken, the other request is given up
            and counted. None never asks two; streams are never asked for twice.

    An argument beats the config, the config beats the environment.

    Raises:
        ValueError: For an unknown provider or tier, and for a number that would let no call succeed.
    """

    __slots__ = ()

    def __init__(
        self,
        primary_provider: str | None = None,
        fallback_enabled: bool | None = None,
        cache_enabled: bool | None = None,
        config: LLMConfig | None = None,
        *,
        model_tier: ModelTier | str | None = None,
        deadline: float | None = None,
        max_attempts: int = MAX_ATTEMPTS,
        budget: Budget | None = None,
        on_refusal: Literal["stop", "next"] = "stop",
        hedge_after: float | Literal["p95"] | None = None,
    ) -> None:
        self._config = LLMConfig.from_env() if config is None else config
        self._core = _core.Router(
            self._config,
            primary_provider,
            fallback_enabled,
            cache_enabled,
            model_tier,
            deadline,
            max_attempts,
            budget,
            on_refusal,
            hedge_after,
        )

    @property
    def config(self) -> LLMConfig:
        """The configuration it was made from."""
        return self._config

    @property
    def primary_provider(self) -> str:
        """The provider calls start with; "auto" where the tier decides."""
        return self._core.primary_provider

    @property
    def fallback_enabled(self) -> bool:
        """Whether another provider may answer when the first one fails."""
        return self._core.fallback_enabled

    @property
    def cache_enabled(self) -> bool:
        """Whether answers are taken from the response cache and kept there."""
        return self._core.cache_enabled

    @property
    def model_tier(self) -> ModelTier:
        """How much model."""
        return self._core.model_tier

    @property
    def deadline(self) -> float | None:
        """Seconds one call may take; None for no end."""
        return self._core.deadline

    @property
    def max_attempts(self) -> int:
        """The most requests one call sends."""
        return self._core.max_attempts

    @property
    def budget(self) -> Budget:
        """What its calls may spend together."""
        return self._core.budget

    @property
    def on_refusal(self) -> Literal["stop", "next"]:
        """What follows a refusal: "stop" fails, "next" asks another provider."""
        return self._core.on_refusal

    @property
    def hedge_after(self) -> float | Literal["p95"] | None:
        """When another provider is asked beside a slow one: seconds, or "p95" of its answers; None for never."""
        return self._core.hedge_after

    def get_metrics(self) -> dict[str, Any]:
        """Count what this router has done: its own calls and nobody else's.

        `total_requests` counts calls, `ollama_calls`, `gemini_calls`, `openai_calls` and `anthropic_calls` the HTTP
        requests sent, `failed_requests` the calls without an answer (cancelled ones are not among them, but
        `cancelled_requests`); tokens and cost are those of every attempt, `avg_latency_ms` is over the answered calls.

        `providers` has an entry for each provider that was used: `calls`, `attempts` (HTTP requests), `repairs` (those
        that sent a reply back to be corrected), `failures` by class, and `p50_latency_ms` and `p95_latency_ms` of its
        answers, each within 5 % and from its own request on; None before the first answer.
        """
        return self._core.metrics()

    def reset_metrics(self) -> None:
        """Set every counter to zero."""
        self._core.reset_metrics()

    def health_status(self) -> dict[str, Any]:
        """Ask each provider for its models, now; five seconds at most.

        Returns:
            Per provider `available` (configured), `healthy` (answers and has the model), `model` and `reason` (why it
            is not healthy); and `cache` with `enabled` and `stats`, which `madspark.llm.cache` describes (None where
            the router does not use the cache).
        """
        return self._core.health()

    async def ahealth_status(self) -> dict[str, Any]:
        """Do as `health_status`, as a coroutine."""
        return await finish(self._core.ahealth())

    def __repr__(self) -> str:
        return (
            f"LLMRouter(primary_provider={self.primary_provider!r}, fallback_enabled={self.fallback_enabled}, "
            f"cache_enabled={self.cache_enabled}, model_tier={self.model_tier.value!r})"
        )


_process_wide: dict[str, LLMRouter] = {}
"""The deprecated singleton. A dict, whose `setdefault` is atomic: a lock could be held by a thread that forks."""


def get_router() -> LLMRouter:
    """Return the process-wide router, made at first use from the environment. Safe to call from any thread.

    Deprecated: its configuration and metrics are shared by whoever calls this.
    """
    import warnings

    warnings.warn(
        "get_router() shares one router between requests: build an LLMRouter(...) per request and pass it as router=",
        DeprecationWarning,
        stacklevel=2,
    )
    known = _process_wide.get("router")
    # Of two that are made at the same moment the first one stays; the other has done nothing yet.
    return _process_wide.setdefault("router", LLMRouter()) if known is None else known


def reset_router() -> None:
    """Forget the process-wide router; the next `get_router()` builds another one."""
    _process_wide.pop("router", None)
