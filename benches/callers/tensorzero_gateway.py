"""The `tensorzero` package: its gateway, embedded in the process, without a database."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorzero import AsyncTensorZeroGateway

from benches import workload
from benches.callers.base import Library
from benches.workload import SCHEMA, TEMPERATURE, Idea

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_GATEWAY = """
[gateway]
disable_pseudonymous_usage_analytics = true
observability.enabled = false

[functions.idea]
type = "json"
output_schema = "idea.json"

[functions.idea.variants.only]
type = "chat_completion"
model = "bench-answer"
json_mode = "strict"
"""
_MODEL = """
[models.{model}]
routing = ["upstream"]

[models.{model}.providers.upstream]
type = "openai"
model_name = "{model}"
api_base = "http://127.0.0.1:{port}/v1"
api_key_location = "none"
"""
_MODELS = (workload.ANSWER_MODEL, workload.BURST_MODEL, workload.SINGLE_MODEL)
_PARAMETERS = {"chat_completion": {"temperature": TEMPERATURE}}


class TensorZeroGateway:
    """One embedded gateway with a model of each kind, and a function that answers with JSON."""

    gateway: Any

    def __init__(self, port: int) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="bench-")
        folder = Path(self.directory.name)
        self.config = folder / "tensorzero.toml"
        models = "".join(_MODEL.format(model=model, port=port) for model in _MODELS)
        self.config.write_text(_GATEWAY + models, encoding="utf-8")
        (folder / "idea.json").write_text(json.dumps(SCHEMA), encoding="utf-8")

    async def text(self, model: str, prompt: str) -> str:
        """Request text."""
        reply = await self.gateway.inference(model_name=model, input=_asking(prompt), params=_PARAMETERS)
        text: str = reply.content[0].text
        return text

    async def idea(self, model: str, prompt: str) -> Idea:
        """Request JSON of the schema and validate it with pydantic."""
        workload.check(model == workload.ANSWER_MODEL)
        reply = await self.gateway.inference(function_name="idea", input=_asking(prompt), params=_PARAMETERS)
        return Idea.model_validate_json(reply.output.raw)

    async def pieces(self, model: str, prompt: str) -> AsyncIterator[str]:
        """Request text as a stream."""
        stream = await self.gateway.inference(model_name=model, input=_asking(prompt), params=_PARAMETERS, stream=True)
        async for chunk in stream:
            for content in chunk.content:
                if content.text:
                    yield content.text

    async def construct(self) -> None:
        """Construct another client with its own configuration."""
        await self.build()

    async def build(self) -> Any:
        """Make a gateway."""
        return await AsyncTensorZeroGateway.build_embedded(config_file=str(self.config))


def _asking(prompt: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}]}


async def connect(_dialect: str, port: int) -> TensorZeroGateway:
    """Make the client."""
    made = TensorZeroGateway(port)
    made.gateway = await made.build()
    return made


LIBRARY = Library(connect, ("tensorzero", "pydantic"))
