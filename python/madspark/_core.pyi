"""The compiled core of madspark. Private: import from `madspark`."""

from asyncio import Future
from collections.abc import Callable, Coroutine, Mapping, Sequence
from os import PathLike
from types import MappingProxyType
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, final

from typing_extensions import disjoint_base

from madspark.llm.cache import CacheStats
from madspark.llm.metrics import HealthStatus, RouterMetrics
from madspark.llm.options import EffortName, File, OpenAIApiName, ProviderChoice, ThinkLevel, TierName
from madspark.llm.response import Attempt, LLMResponse, Restarted
from madspark.llm.tiers import ModelTier

__all__ = [
    "Attempts",
    "Budget",
    "Call",
    "Coordinator",
    "LLMConfig",
    "Limits",
    "Pattern",
    "Pending",
    "RecordedRequest",
    "Router",
    "Run",
    "Schema",
    "Simulator",
    "Stream",
    "__version__",
    "arun_agent",
    "cache_clear",
    "cache_stats",
    "duplicates",
    "run_agent",
    "schema_of",
    "similarity",
]

_T_co = TypeVar("_T_co", covariant=True)

# (input, output) or (input, cached input, output).
_Price: TypeAlias = tuple[float, float] | tuple[float, float, float]

# What follows the last byte of a raw reply.
_End: TypeAlias = Literal["keep_alive", "close", "reset", "stall"]

_Fault: TypeAlias = Literal["malformed", "truncate", "stall", "stall_after_headers", "stall_mid_body", "disconnect"]

# A router of the core, or a coroutine function that calls a custom router.
_Source: TypeAlias = Router | Callable[..., Coroutine[Any, Any, tuple[str, str, str, int, float | None, float]]]

class _SecretValue(Protocol):
    """An object that hides a value, such as pydantic's `SecretStr`, `SecretBytes` and `Secret[HttpUrl]`."""

    def get_secret_value(self) -> Any: ...

class _Url(Protocol):
    """An object of a class of URLs, such as pydantic's `HttpUrl`."""

    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str | None: ...

_Secret: TypeAlias = str | _SecretValue
_Address: TypeAlias = str | _Url | _SecretValue

__version__: str

@final
class Limits:
    """The rate limits of a provider, for all requests of the process. None means no limit.

    Raises ValueError for a limit below 1.
    """

    def __new__(
        cls,
        *,
        concurrent: int | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
    ) -> Self: ...
    @property
    def concurrent(self) -> int | None:
        """The limit of requests in flight."""

    @property
    def requests_per_minute(self) -> int | None:
        """The limit of requests started in a minute."""

    @property
    def tokens_per_minute(self) -> int | None:
        """The limit of input and output tokens in a minute."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]: ...

@final
class LLMConfig:
    """The immutable configuration of one request.

    Every argument is optional. The constructor does not read the environment; `from_env()` does. A key, or an address
    with a password, may be an object whose `get_secret_value()` returns it, such as pydantic's `SecretStr`; an address
    may be an object such as pydantic's `HttpUrl`.

    Raises ValueError for an invalid value.
    """

    def __new__(
        cls,
        default_provider: ProviderChoice | None = None,
        model_tier: ModelTier | TierName | None = None,
        fallback_enabled: bool | None = None,
        ollama_host: _Address | None = None,
        ollama_model_fast: str | None = None,
        ollama_model_balanced: str | None = None,
        ollama_timeout: float | None = None,
        gemini_api_key: _Secret | None = None,
        gemini_model: str | None = None,
        default_temperature: float | None = 0.7,
        cache_enabled: bool | None = None,
        cache_ttl_seconds: float | None = None,
        cache_max_size_mb: int | None = None,
        cache_dir: str | PathLike[str] | None = None,
        *,
        cache_url: _Address | None = None,
        gemini_base_url: _Address | None = None,
        openai_api_key: _Secret | None = None,
        openai_model: str | None = None,
        openai_base_url: _Address | None = None,
        anthropic_api_key: _Secret | None = None,
        anthropic_model: str | None = None,
        anthropic_base_url: _Address | None = None,
        ollama_num_ctx: int | None = None,
        ollama_keep_alive: str | float | None = None,
        ollama_load_timeout: float | None = None,
        gemini_thinking_budget: int | None = None,
        gemini_thinking_level: str | None = None,
        limits: Mapping[str, Limits] | None = None,
        prices: Mapping[str, _Price] | None = None,
        page_hosts: Sequence[str] | None = None,
        request_timeout: float | None = None,
        max_prompt_chars: int | None = None,
        ollama_think: bool | ThinkLevel | None = None,
        ollama_api_key: _Secret | None = None,
        openai_reasoning_effort: EffortName | None = None,
        openai_service_tier: str | None = None,
        openai_key_header: str | None = None,
        anthropic_effort: EffortName | None = None,
        openai_api: OpenAIApiName | None = None,
    ) -> Self: ...
    @classmethod
    def from_env(cls) -> LLMConfig:
        """Return the configuration that the environment variables describe. The reference of the settings lists them.

        Raises InvalidSettingsError, a ValueError, that lists every malformed variable.
        """

    def replace(self, **changes: Any) -> LLMConfig:
        """Return a copy with changed fields. Raises TypeError for an unknown field."""

    def get_ollama_model(self) -> str:
        """Return the Ollama model of the configured tier."""

    def validate_api_key(self) -> bool:
        """Return whether the Gemini key is plausible: at least 20 characters and no placeholder. Sends no request."""

    @property
    def default_provider(self) -> ProviderChoice: ...
    @property
    def model_tier(self) -> ModelTier: ...
    @property
    def fallback_enabled(self) -> bool: ...
    @property
    def ollama_host(self) -> str: ...
    @property
    def ollama_model_fast(self) -> str: ...
    @property
    def ollama_model_balanced(self) -> str: ...
    @property
    def ollama_timeout(self) -> float: ...
    @property
    def gemini_api_key(self) -> str | None: ...
    @property
    def gemini_model(self) -> str: ...
    @property
    def default_temperature(self) -> float | None:
        """The temperature of calls that use the default. None sends none, so that the model's own applies."""

    @property
    def cache_enabled(self) -> bool:
        """Whether calls use the response cache."""

    @property
    def cache_ttl_seconds(self) -> float:
        """The time in seconds after which a cached reply expires."""

    @property
    def cache_max_size_mb(self) -> int:
        """The maximum size of `cache_dir` in MB."""

    @property
    def cache_dir(self) -> str:
        """The folder of the cache, unexpanded: a leading "~" is the user's home."""

    @property
    def cache_url(self) -> str | None:
        """The URL of the Redis or Valkey server of the shared cache, with its password. The repr hides the password."""

    @property
    def gemini_base_url(self) -> str: ...
    @property
    def openai_api_key(self) -> str | None: ...
    @property
    def openai_model(self) -> str | None: ...
    @property
    def openai_base_url(self) -> str: ...
    @property
    def anthropic_api_key(self) -> str | None: ...
    @property
    def anthropic_model(self) -> str | None: ...
    @property
    def anthropic_base_url(self) -> str: ...
    @property
    def ollama_num_ctx(self) -> int | None:
        """The context window that Ollama allocates, in tokens. None fits it to the prompt."""

    @property
    def ollama_keep_alive(self) -> str | float | None:
        """How long Ollama keeps the model in memory after a call. None uses the server's default."""

    @property
    def ollama_load_timeout(self) -> float:
        """The timeout for Ollama to load a model in seconds."""

    @property
    def gemini_thinking_budget(self) -> int | None:
        """The limit of Gemini's thinking in tokens. 0 disables it, -1 lets the model choose."""

    @property
    def gemini_thinking_level(self) -> str | None:
        """Gemini's thinking level: "minimal", "low", "medium" or "high"."""

    @property
    def limits(self) -> MappingProxyType[str, Limits]:
        """The rate limits by provider. Read-only."""

    @property
    def prices(self) -> MappingProxyType[str, tuple[float, float, float]]:
        """The prices by model in US dollars per million tokens: (input, cached input, output). Read-only."""

    @property
    def page_hosts(self) -> tuple[str, ...]:
        """The hosts outside the public internet from which web pages may be fetched, each "host:port"."""

    @property
    def request_timeout(self) -> float:
        """The timeout of a request to a provider other than Ollama in seconds."""

    @property
    def max_prompt_chars(self) -> int | None:
        """The maximum length of a prompt in characters. None means 100 000, or the context window where it is known."""

    @property
    def ollama_think(self) -> bool | ThinkLevel | None:
        """Whether and how much Ollama's model thinks. None leaves it to the model."""

    @property
    def ollama_api_key(self) -> str | None:
        """Ollama's API key in plain text, for its cloud or a proxy. The repr hides it."""

    @property
    def openai_api(self) -> OpenAIApiName:
        """The API of the OpenAI-compatible server that requests use."""

    @property
    def openai_reasoning_effort(self) -> EffortName | None:
        """How much the model of the OpenAI-compatible server reasons. None leaves it to the model."""

    @property
    def openai_service_tier(self) -> str | None:
        """The processing tier of the OpenAI-compatible server. None leaves it to the server."""

    @property
    def openai_key_header(self) -> str | None:
        """The header of the OpenAI-compatible server's API key. None decides by the base URL."""

    @property
    def anthropic_effort(self) -> EffortName | None:
        """How much Anthropic's model works on its answer. None leaves it to the model."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]: ...

@final
class Pending(Generic[_T_co]):
    """Work in progress for a coroutine, which awaits `future` and calls `close()` if anything ends the wait early."""

    @property
    def future(self) -> Future[_T_co]: ...
    def close(self) -> None:
        """Drop the work if it has not ended, which closes its sockets. Idempotent."""

@final
class Schema:
    """A JSON Schema, lowered once per provider."""

    def __new__(cls, name: str, document: str) -> Self: ...

@final
class Pattern:
    """A regular expression of a JSON Schema, matched in linear time."""

    def __new__(cls, source: str) -> Self: ...
    def find(self, text: str, most: int) -> tuple[bool | None, int]: ...

@final
class Budget:
    """Limits of what all calls of one router spend together. Immutable.

    The limits are checked before each request to a provider. Requests in flight may exceed `max_tokens` or `max_cost`
    when they end; then no further request is sent. `max_calls` is never exceeded. Retries, repairs and fallbacks count
    like first requests. A cancelled request counts with an estimate.

    `max_tokens` counts prompts and replies, `max_cost` US dollars, `max_calls` requests to providers. None means no
    limit. With `max_cost`, a model whose price is unknown is skipped: add its price to `LLMConfig(prices=...)`.

    Raises ValueError for a negative number.
    """

    def __new__(
        cls, max_tokens: int | None = None, max_cost: float | None = None, max_calls: int | None = None
    ) -> Self: ...
    @property
    def max_tokens(self) -> int | None:
        """The limit of tokens of all requests."""
    @property
    def max_cost(self) -> float | None:
        """The limit of US dollars of all requests."""
    @property
    def max_calls(self) -> int | None:
        """The limit of requests to providers."""
    def __getnewargs__(self) -> tuple[int | None, float | None, int | None]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Router:
    """The configuration and the metrics of one request's calls."""

    def __new__(
        cls,
        config: LLMConfig,
        primary_provider: str | None = None,
        fallback_enabled: bool | None = None,
        cache_enabled: bool | None = None,
        model_tier: ModelTier | str | None = None,
        deadline: float | None = None,
        max_attempts: int | None = None,
        budget: Budget | None = None,
        on_refusal: str | None = None,
        hedge_after: float | str | None = None,
    ) -> Self: ...
    @property
    def primary_provider(self) -> ProviderChoice: ...
    @property
    def fallback_enabled(self) -> bool: ...
    @property
    def cache_enabled(self) -> bool: ...
    @property
    def model_tier(self) -> ModelTier: ...
    @property
    def deadline(self) -> float | None: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def budget(self) -> Budget: ...
    @property
    def on_refusal(self) -> Literal["stop", "next"]: ...
    @property
    def hedge_after(self) -> float | Literal["p95"] | None: ...
    def prompt_limit(self, force_provider: str | None) -> int | None: ...
    def begin(
        self,
        prompt: str,
        system: str,
        temperature: float | None,
        max_tokens: int | None,
        schema: Schema | None,
        files: Sequence[File],
        images: Sequence[File],
        urls: Sequence[str],
        force_provider: str | None,
        use_cache: bool | None,
        on_page_error: str,
    ) -> Call: ...
    def begin_stream(
        self,
        prompt: str,
        system: str,
        temperature: float | None,
        max_tokens: int | None,
        force_provider: str | None,
        on_stream_error: str,
        first_token_timeout: float | None,
        first_text_timeout: float | None,
        idle_timeout: float | None,
        total_timeout: float | None,
        schema: Schema | None,
        files: Sequence[File],
        images: Sequence[File],
        urls: Sequence[str],
        on_page_error: str,
    ) -> Stream: ...
    def metrics(self) -> RouterMetrics: ...
    def reset_metrics(self) -> None: ...
    def health(self) -> HealthStatus: ...
    def ahealth(self) -> Pending[HealthStatus]: ...

@final
class Attempts:
    """The attempts of a response, converted on demand."""

    def made(self) -> tuple[Attempt, ...]: ...

@final
class Call:
    """A call: request replies until one is valid, then finish."""

    def next(self, errors: list[str] | None = None) -> str:
        """Return the text of the next reply; blocks. `errors` describes why the last reply is invalid."""

    def anext(self, errors: list[str] | None = None) -> str | Pending[str]:
        """Return the text of the next reply, as `next` does."""

    def finish(self) -> LLMResponse:
        """End the call with its last reply, and return the response."""

    def settle(self) -> None:
        """Wait until the reply is in the cache, if it is written there, so that no fork or exit loses it. Blocks."""

    def asettle(self) -> Pending[None] | None:
        """Wait as `settle` does; None if there is nothing to wait for."""

@final
class Stream:
    """A streamed call: read it to its end or to a complete structured reply, then finish it or reject the reply."""

    def next(self) -> str | tuple[str, bool] | Restarted | None:
        """Return what has arrived since the last read, and wait for it if there is nothing; blocks.

        The text of a reply is a `str`; the complete parts of a structured reply are a tuple of JSON text and whether
        that is the whole reply. A `Restarted` reports that another request replaces the reply so far.
        """

    def anext(
        self,
    ) -> str | tuple[str, bool] | Restarted | Pending[str | tuple[str, bool] | Restarted | None] | None:
        """Return what has arrived, as `next` does."""

    def reject(self, errors: list[str]) -> None:
        """Reject the complete reply that the last read returned, because of `errors`. The next read continues."""

    def finish(self) -> LLMResponse:
        """Return the response of a stream that has ended."""

    def close(self) -> None:
        """End the stream and close its socket; a read in progress returns None. Idempotent."""

@final
class Coordinator:
    """Runs workflows with a limit of concurrent model calls."""

    def __new__(cls, max_concurrent_agents: int) -> Self: ...
    @staticmethod
    def check(options: str) -> None:
        """Raise the error that `start` would raise for these options, without running anything."""

    def start(
        self,
        router: _Source,
        options: str,
        files: Sequence[File],
        urls: Sequence[str],
        on_page_error: str,
        emit: Callable[[str, float], object] | None,
        gate: Callable[[str], Coroutine[Any, Any, str]] | None,
        provider_gate: Callable[[str], Coroutine[Any, Any, bool]] | None,
        events: int,
        idle_timeout: float,
    ) -> Run: ...

@final
class Run:
    """A workflow run. Dropping it cancels the run."""

    @property
    def id(self) -> str: ...
    @property
    def kept_events(self) -> int:
        """The number of events kept for readers."""

    def events(self, after: int) -> Pending[str | None]:
        """Await the events after number `after`: a JSON list, or None at the end of the run."""

    def candidates(self) -> Pending[str]:
        """Await the end of the run and return the candidates as JSON text. Raises the error that ended the run."""

    def result(self) -> Pending[str]:
        """Await the end of the run and return the result as JSON text, after an early end the finished part of it.

        Raises the error that ended the run if there is no such part.
        """

    def snapshot(self) -> str:
        """Return the result so far as JSON text."""

    def close(self) -> None:
        """Cancel the run if it has not ended, which closes its sockets. Idempotent."""

def run_agent(router: Router, task: str, files: Sequence[File], urls: Sequence[str]) -> str:
    """Run an agent and return its outcome as JSON text; blocks."""

def arun_agent(router: _Source, task: str, files: Sequence[File], urls: Sequence[str]) -> Pending[str]:
    """Run an agent; the result is the outcome as JSON text."""

def similarity(one: str, two: str) -> float:
    """Return the similarity of two texts in any script, 0.0 to 1.0."""

def duplicates(texts: Sequence[str], threshold: float) -> list[tuple[int, int, float]]:
    """Return the texts at least `threshold` similar to an earlier one, as (index, index of the earlier, similarity)."""

def schema_of(name: str) -> str:
    """Return the JSON Schema of the output `name` of an agent, as text. Raises KeyError for an unknown name."""

@disjoint_base
class Simulator:
    """An HTTP server on loopback that speaks the protocols of Ollama, Gemini, OpenAI and Anthropic."""

    def __new__(cls) -> Self: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...
    def stop(self) -> None:
        """Close every connection and free the port. The recorded requests stay readable. Idempotent."""

    @property
    def ollama_url(self) -> str: ...
    @property
    def gemini_url(self) -> str: ...
    @property
    def openai_url(self) -> str: ...
    @property
    def anthropic_url(self) -> str: ...
    @property
    def requests(self) -> list[RecordedRequest]: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def max_in_flight(self) -> int: ...
    def on(
        self,
        route: str | None = None,
        *,
        contains: str | None = None,
        model: str | None = None,
        times: int | None = None,
        latency: float | None = None,
        tokens_per_second: float | None = None,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        body: Any = None,
        pieces: Sequence[Any] | None = None,
        text: str | None = None,
        json: Any = None,
        fault: _Fault | None = None,
        prompt_tokens: int | None = None,
        thinking_tokens: int | None = None,
        reply: str | bytes | Sequence[str | bytes | float] | None = None,
        split: int | None = None,
        end: _End | None = None,
    ) -> None:
        """Add a rule. Each request uses the first rule that matches it and has uses left.

        `route` is "ollama", "gemini", "openai", "anthropic", the start of a path, or None for every request.
        `contains` matches the prompt and `model` the model; `times` limits the uses. The other arguments describe the
        response: `latency` in seconds, `tokens_per_second`, `status` with `headers` and `body`, `pieces` of a streamed
        body before a fault, the `text` or `json` of the usual reply, its `prompt_tokens` and `thinking_tokens`, or a
        `fault`.

        `reply` is sent byte for byte: text, bytes, or a list of them and of pauses in seconds. If it starts with
        "HTTP/", it is the whole reply; otherwise it is the body, in chunks if it is a list, with `status` and
        `headers`. `split` divides it into pieces of so many bytes. `end` is what follows; None keeps the connection
        open if the headers state the end of the body.

        Raises ValueError for a response that cannot be sent.
        """

    def clear(self) -> None:
        """Remove the recorded requests. Rules stay."""

    def clear_rules(self) -> None:
        """Remove all rules."""

    def set_latency(self, latency: float) -> None:
        """Set the latency of responses whose rule has none, in seconds."""

    def set_tokens_per_second(self, rate: float | None) -> None:
        """The speed of answers whose rule sets none; None writes them at once."""

    def set_models(self, models: Sequence[str]) -> None:
        """Set the models that every provider lists."""

    def restrict_models(self, restricted: bool) -> None:
        """Whether a model that is not listed is answered with 404."""

    def require_key(self, provider: str, key: str) -> None:
        """Reject requests to `provider` with another key."""

    def wait_for_requests(self, count: int, timeout: float = 5.0) -> bool:
        """Block until `count` requests have arrived; False when `timeout` seconds pass first."""

    def wait_for_hang_ups(self, count: int, timeout: float = 5.0) -> bool:
        """Block until `count` clients have hung up on a pending reply; False when `timeout` seconds pass first."""

@final
class RecordedRequest:
    """One request as it arrived, keys included: this is a test tool. The repr hides them."""

    @property
    def provider(self) -> str | None: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def json(self) -> Any: ...
    @property
    def model(self) -> str | None: ...
    @property
    def prompt(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def schema(self) -> Any: ...
    @property
    def started(self) -> float: ...
    @property
    def finished(self) -> float | None: ...
    @property
    def status(self) -> int | None: ...
    @property
    def hung_up(self) -> bool: ...
    @property
    def connection(self) -> int: ...

def cache_stats(config: LLMConfig) -> CacheStats:
    """Return the statistics of the cache that `config` describes; blocks."""

def cache_clear(config: LLMConfig) -> int:
    """Remove every entry of the cache that `config` describes, in every tier, and return their number; blocks.

    Raises OSError if a tier cannot be cleared.
    """
