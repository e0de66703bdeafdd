"""What every part of a router works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

# The core makes these. Imported here, and not by its first call: a process that another thread forks in the middle of
# an import would wait for ever for the rest of it.
import madspark.llm.response  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike
    from typing import TypedDict

    from madspark._core import Router, Schema, Stream
    from madspark.llm.config import LLMConfig

    File = str | PathLike[str] | bytes

    class TimeLimits(TypedDict, total=False):
        """Seconds that one provider has for a stream; what None means is told at `LLMRouter.stream`."""

        first_token_timeout: float | None
        idle_timeout: float | None
        total_timeout: float | None


class BaseRouter:
    """A configuration, and the compiled router that was made from it."""

    __slots__ = ("__weakref__", "_config", "_core")

    _config: LLMConfig
    _core: Router

    def _begin_stream(
        self,
        prompt: str,
        system: str,
        temperature: float,
        max_tokens: int | None,
        force: str | None,
        on_stream_error: str,
        limits: tuple[float | None, float | None, float | None],
        schema: Schema | None = None,
        files: Sequence[File] | None = None,
        images: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
    ) -> Stream:
        return self._core.begin_stream(
            prompt,
            system,
            temperature,
            max_tokens,
            force,
            on_stream_error,
            *limits,
            schema,
            files or (),
            images or (),
            urls or (),
        )
