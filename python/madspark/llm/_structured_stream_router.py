"""The part of a router that answers with values of a type as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, overload

from madspark.llm._base_router import BaseRouter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import UnionType
    from typing import Any, Literal, Never, Unpack

    from pydantic import TypeAdapter

    from madspark.llm._base_router import File, TimeLimits
    from madspark.llm.response import Restarted
    from madspark.llm.structured_stream import AsyncStructuredStream, StructuredStream

_T = TypeVar("_T")


class StructuredStreamRouter(BaseRouter):
    """Answers prompts with values of a type as they come."""

    __slots__ = ()

    @overload
    def stream_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: Literal["fail"] = "fail",
        token_budget: int | None = None,
        **limits: Unpack[TimeLimits],
    ) -> StructuredStream[_T, Never]: ...
    @overload
    def stream_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        token_budget: int | None = None,
        **limits: Unpack[TimeLimits],
    ) -> StructuredStream[_T, Restarted]: ...
    @overload
    def stream_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        token_budget: int | None = None,
        **limits: Unpack[TimeLimits],
    ) -> StructuredStream[Any, Restarted]: ...
    def stream_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
    ) -> StructuredStream[Any, Any]:
        """Answer `prompt` with an instance of `schema`, and with what is closed of it as it comes.

        It never comes from the response cache.
        The arguments are those of `generate_structured` and of `stream`. Before the first partial object a failing
        provider is replaced by the next one unnoticed, and a reply that does not fit is sent back once. After it,
        `on_stream_error` says what happens, for a reply that does not fit at its end as well: "fail" raises the error,
        with the last partial object as JSON text in its `partial`; "restart" gives a `Restarted` and goes on with what
        `generate_structured` would do.

        Returns:
            An iterator of partial objects (plain data, closed fields only) and then the instance, and a context
            manager; nothing is sent before the first `next()`.

        Raises:
            TypeError: `schema` is no type that can be judged.
            ValueError: For another wrong argument; nothing was sent. With files, it comes with the first `next()`.
        """
        # Not `from`: that looks for a package first, in vain, in each call.
        import madspark.llm._output as output
        from madspark.llm.structured_stream import StructuredStream

        adapter = output.output_adapter(schema)
        limits = (first_token_timeout, idle_timeout, total_timeout)
        core = self._begin_stream(
            prompt,
            system_instruction,
            temperature,
            token_budget,
            force_provider,
            on_stream_error,
            limits,
            adapter.schema,
            files,
            images,
            urls,
        )
        return StructuredStream(core, prompt, adapter)

    @overload
    def astream_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: Literal["fail"] = "fail",
        token_budget: int | None = None,
        **limits: Unpack[TimeLimits],
    ) -> AsyncStructuredStream[_T, Never]: ...
    @overload
    def astream_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        token_budget: int | None = None,
        **limits: Unpack[TimeLimits],
    ) -> AsyncStructuredStream[_T, Restarted]: ...
    @overload
    def astream_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        token_budget: int | None = None,
        **limits: Unpack[TimeLimits],
    ) -> AsyncStructuredStream[Any, Restarted]: ...
    def astream_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        *,
        on_stream_error: str = "fail",
        first_token_timeout: float | None = None,
        idle_timeout: float | None = None,
        total_timeout: float | None = None,
        token_budget: int | None = None,
    ) -> AsyncStructuredStream[Any, Any]:
        """Do as `stream_structured`, for `async for` and `async with`; cancelling it closes the connection."""
        # Not `from`: that looks for a package first, in vain, in each call.
        import madspark.llm._output as output
        from madspark.llm.structured_stream import AsyncStructuredStream

        adapter = output.output_adapter(schema)
        limits = (first_token_timeout, idle_timeout, total_timeout)
        core = self._begin_stream(
            prompt,
            system_instruction,
            temperature,
            token_budget,
            force_provider,
            on_stream_error,
            limits,
            adapter.schema,
            files,
            images,
            urls,
        )
        return AsyncStructuredStream(core, prompt, adapter)
