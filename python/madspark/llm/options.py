"""The options of a call, as types.

A wrapper takes the same options as the method it calls, without repeating them:

>>> from typing import Unpack
>>> from madspark.llm.options import StructuredOptions
>>> def answer(router, question: str, **options: Unpack[StructuredOptions]) -> Answer:  # doctest: +SKIP
...     return router.generate_structured(question, Answer, **options)[0]

Type checkers accept these options by keyword only.

The temperature follows one rule in every method: a number from 0.0 to 2.0, "default" for the configuration's
`default_temperature` (0.7), or None to send none, so that the model's own default applies. Methods that return text
default to "default". Methods that return validated values default to 0.0, so that they return the same fields for the
same question. A model that takes no temperature gets none; `Attempt.omitted` of the response says so.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Literal, TypeAlias, TypedDict

__all__ = [
    "EffortName",
    "File",
    "GenerateOptions",
    "OpenAIApiName",
    "PageErrorPolicy",
    "ProviderChoice",
    "ProviderName",
    "StreamOptions",
    "StreamTimeouts",
    "StructuredOptions",
    "StructuredStreamOptions",
    "Temperature",
    "ThinkLevel",
    "TierName",
]

ProviderName: TypeAlias = Literal["ollama", "gemini", "openai", "anthropic", "mock"]
"""The name of a provider."""

ProviderChoice: TypeAlias = Literal["auto", "ollama", "gemini", "openai", "anthropic", "mock"]
"""The provider a router starts with; "auto" lets the model tier decide."""

TierName: TypeAlias = Literal["fast", "balanced", "quality"]
"""The value of a `ModelTier`."""

EffortName: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much a model reasons or works on its answer. Each model takes only some of the values."""

OpenAIApiName: TypeAlias = Literal["chat", "responses"]
"""The API of an OpenAI-compatible server: chat completions or responses."""

PageErrorPolicy: TypeAlias = Literal["fail", "skip"]
"""What happens if a web page cannot be read: the call fails, or continues without it."""

ThinkLevel: TypeAlias = Literal["low", "medium", "high", "max"]
"""How much an Ollama model thinks. Only some models take a level."""

Temperature: TypeAlias = float | Literal["default"] | None
"""A sampling temperature: 0.0 to 2.0, "default" for the configuration's `default_temperature`, or None to send none."""

File: TypeAlias = str | PathLike[str] | bytes
"""A path, or the content of a file."""


class _Structured(TypedDict, total=False):
    files: Sequence[File] | None
    """Paths or bytes: images up to 8 MB, PDF up to 40 MB, text and Markdown up to 20 MB."""
    urls: Sequence[str] | None
    """Web pages for the model to read, at most 20."""
    on_page_error: PageErrorPolicy
    """What happens if a page cannot be read: "fail", the default, raises PageUnavailableError; "skip" reports it to the
    model."""
    images: Sequence[File] | None
    """Paths or bytes of images."""
    token_budget: int | None
    """The same as `max_tokens`, under the name of earlier versions. Passing both raises TypeError."""


class _Target(TypedDict, total=False):
    max_tokens: int | None
    """Upper bound of the answer, in tokens. None leaves it to the provider; Anthropic requires one: 16 000."""
    force_provider: ProviderName | None
    """The only provider that may answer. It overrides the router's choice and disables fallback."""


class GenerateOptions(_Target, total=False):
    """The options of `LLMRouter.generate` and `agenerate`."""

    use_cache: bool | None
    """Whether the answer may come from the response cache, or from an equal call in flight, and is stored there: True
    at any temperature, False never. None means only at temperature 0, and only if the router's cache is enabled."""


class StructuredOptions(GenerateOptions, _Structured, total=False):
    """The options of `LLMRouter.generate_structured`, `generate_structured_batch` and their coroutine twins."""


class StreamTimeouts(TypedDict, total=False):
    """Time limits of a stream, in seconds. Each applies to one provider, and counts only the time spent waiting."""

    first_token_timeout: float | None
    """Until the first event, and between two events before the first text. Reasoning counts, keep-alives do not. None
    means 120; for Ollama, the configuration's `ollama_timeout`."""
    first_text_timeout: float | None
    """Until the first text, however much the model reasons before it. None disables it."""
    idle_timeout: float | None
    """Between two pieces of text. None means 60."""
    total_timeout: float | None
    """For the whole answer. None means the configuration's `request_timeout`; for Ollama, its `ollama_timeout`."""


class StreamOptions(_Target, StreamTimeouts, total=False):
    """The options of `LLMRouter.stream` and `astream`, besides `on_stream_error`."""


class StructuredStreamOptions(StreamOptions, _Structured, total=False):
    """The options of `LLMRouter.stream_structured` and `astream_structured`, besides `on_stream_error`."""
