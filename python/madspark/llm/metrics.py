"""What a router reports about itself, as types. The values are plain dictionaries.

Annotations are evaluated here: a typed dictionary compiles each postponed one, which makes the import slower.
"""

from typing import TypedDict

from madspark.llm.cache import CacheStats

__all__ = ["CacheHealth", "HealthStatus", "ProviderHealth", "ProviderMetrics", "RouterMetrics"]


class ProviderMetrics(TypedDict):
    """The counters of one provider."""

    calls: int
    """Calls that the provider took part in."""
    attempts: int
    """HTTP requests."""
    repairs: int
    """HTTP requests that sent an invalid reply back for correction."""
    failures: dict[str, int]
    """Failed attempts by error class, such as "rate_limited"."""
    p50_latency_ms: float | None
    """Median latency of its answers, within 5 %, measured from its own request. None before the first answer."""
    p95_latency_ms: float | None
    """95th percentile of the same."""


class RouterMetrics(TypedDict):
    """The counters of one router, as `LLMRouter.get_metrics` returns them."""

    total_requests: int
    """Calls."""
    cache_hits: int
    ollama_calls: int
    """HTTP requests to Ollama; the next three count those of the other providers."""
    gemini_calls: int
    openai_calls: int
    anthropic_calls: int
    fallback_triggers: int
    failed_requests: int
    """Calls that ended without an answer, except cancelled ones."""
    cancelled_requests: int
    total_tokens: int
    """Tokens of all attempts, failed ones included."""
    total_cost: float | None
    """US dollars of all attempts; None if a price is unknown."""
    total_latency_ms: float
    cache_hit_rate: float
    avg_latency_ms: float
    """Over the calls that were answered by a provider."""
    providers: dict[str, ProviderMetrics]
    """The counters of each provider that was used, by name."""


class ProviderHealth(TypedDict):
    """What a probe found out about one provider."""

    available: bool
    """Whether it is configured."""
    healthy: bool
    """Whether it responds and has the model."""
    model: str
    reason: str | None
    """Why it is not healthy."""


class CacheHealth(TypedDict):
    """The state of the response cache."""

    enabled: bool
    stats: CacheStats | None
    """None if the router does not use the cache."""


class HealthStatus(TypedDict, total=False):
    """What `LLMRouter.health_status` returns. A provider that is not configured may be absent."""

    ollama: ProviderHealth
    gemini: ProviderHealth
    openai: ProviderHealth
    anthropic: ProviderHealth
    mock: ProviderHealth
    cache: CacheHealth
