"""The part of a router that answers with values of a type."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypeVar, overload

from madspark._drive import adrive, drive
from madspark.llm._base_router import BaseRouter
from madspark.llm.exceptions import AllProvidersFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType, UnionType
    from typing import Any

    from pydantic import TypeAdapter

    from madspark._drive import Steps
    from madspark.llm._base_router import File
    from madspark.llm._output import OutputAdapter
    from madspark.llm.response import LLMResponse

_T = TypeVar("_T")


@functools.cache
def _output_module() -> ModuleType:
    """Import pydantic with the first structured call; the statement is not free the next time."""
    import madspark.llm._output as output

    return output


class StructuredRouter(BaseRouter):
    """Answers prompts with values of a type."""

    __slots__ = ()

    @overload
    def generate_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        use_cache: bool | None = None,
        token_budget: int | None = None,
    ) -> tuple[_T, LLMResponse]: ...
    @overload
    def generate_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        use_cache: bool | None = None,
        token_budget: int | None = None,
    ) -> tuple[Any, LLMResponse]: ...
    def generate_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        use_cache: bool | None = None,
        token_budget: int | None = None,
    ) -> tuple[Any, LLMResponse]:
        """Answer `prompt` with a value of `schema`.

        Pydantic alone judges the reply, but for a JSON Schema: that is judged as it says. A reply that does not fit is
        first mended where its damage has one reading (the response's attempts name the `changes`), then sent back once
        with what is wrong with it; after that the next provider is asked.

        Args:
            prompt: At most 100 000 characters, not blank.
            schema: A pydantic model class, a dataclass, a TypedDict, an enumeration, any other type that pydantic knows
                (`list[Idea]`, `dict[str, int]`, `A | B`, `Annotated[...]`), a `TypeAdapter`, or a JSON Schema as a
                dictionary. The answer to a JSON Schema is plain data; its `format`s are told and not judged.
            system_instruction: Empty for none.
            temperature: 0.0 to 2.0.
            files: Paths or bytes: images to 8 MB, PDF to 40 MB, text and Markdown to 20 MB.
            urls: Web pages the provider reads by itself; Gemini can.
            images: Paths or bytes of images.
            force_provider: The only provider that may answer, whatever the router's own choice.
            use_cache: Whether the answer may come from the response cache and is kept there; None leaves it to the
                router.
            token_budget: Upper bound of the answer's tokens; None leaves it to the model, but for Anthropic: 16 000.

        Returns:
            The value, and how it came about.

        Raises:
            TypeError: `schema` is none of these.
            ValueError: For a JSON Schema with keywords that cannot be judged, for another wrong argument, and for a
                file that is too large or of an unknown kind.
            FileNotFoundError: A file is missing.
            AllProvidersFailedError: No provider answered; it names each with its reason.
            LLMProviderError: A provider refused to answer.
        """
        return drive(
            self._structured(
                prompt,
                schema,
                system_instruction,
                temperature,
                files,
                urls,
                images,
                force_provider,
                use_cache,
                token_budget,
            )
        )

    @overload
    async def agenerate_structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        use_cache: bool | None = None,
        token_budget: int | None = None,
    ) -> tuple[_T, LLMResponse]: ...
    @overload
    async def agenerate_structured(
        self,
        prompt: str,
        schema: dict[str, Any] | UnionType,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        use_cache: bool | None = None,
        token_budget: int | None = None,
    ) -> tuple[Any, LLMResponse]: ...
    async def agenerate_structured(
        self,
        prompt: str,
        schema: Any,
        system_instruction: str = "",
        temperature: float = 0.0,
        files: Sequence[File] | None = None,
        urls: Sequence[str] | None = None,
        images: Sequence[File] | None = None,
        force_provider: str | None = None,
        use_cache: bool | None = None,
        token_budget: int | None = None,
    ) -> tuple[Any, LLMResponse]:
        """Do as `generate_structured`, as a coroutine; cancelling it closes the connection."""
        return await adrive(
            self._structured(
                prompt,
                schema,
                system_instruction,
                temperature,
                files,
                urls,
                images,
                force_provider,
                use_cache,
                token_budget,
            )
        )

    def _structured(
        self,
        prompt: str,
        schema: type[_T] | TypeAdapter[_T],
        system: str,
        temperature: float,
        files: Sequence[File] | None,
        urls: Sequence[str] | None,
        images: Sequence[File] | None,
        force: str | None,
        use_cache: bool | None,
        max_tokens: int | None,
    ) -> Steps[tuple[_T, LLMResponse]]:
        adapter: OutputAdapter[_T] = _output_module().output_adapter(schema)
        call = self._core.begin(
            prompt,
            system,
            temperature,
            max_tokens,
            adapter.schema,
            files or (),
            images or (),
            urls or (),
            force,
            use_cache,
        )
        try:
            return (yield from adapter.steps(call))
        except AllProvidersFailedError as error:
            error.prompt = prompt
            raise
