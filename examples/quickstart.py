"""One idea workflow and two single calls, with a local Ollama.

Needs `ollama serve` and `ollama pull gemma3:4b`. For Gemini set GOOGLE_API_KEY and pass primary_provider="gemini".
Settings come from the environment, such as OLLAMA_HOST.
"""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from madspark import AsyncCoordinator, LLMConfig, LLMRouter


class Slogan(BaseModel):
    """The answer's type; any pydantic model works."""

    text: str
    language: str


async def show_progress(message: str, fraction: float) -> None:
    """Print the progress."""
    print(f"{fraction:4.0%} {message}")


async def main() -> None:
    """Request a slogan, then run the whole workflow."""
    # One router per request, with its own settings and metrics; nothing to close.
    router = LLMRouter(
        primary_provider="ollama", fallback_enabled=False, config=LLMConfig.from_env(), model_tier="fast"
    )

    slogan, response = await router.agenerate_structured("A slogan for a roof garden", Slogan, temperature=0.7)
    print(slogan.text, f"({response.model}, {response.tokens_used} tokens)")

    results = await AsyncCoordinator(router=router, progress_callback=show_progress).run_workflow(
        "food from city roofs", "small budget, a crew of volunteers", num_top_candidates=2, enhanced_reasoning=True
    )
    for result in results:
        print(result["status"], result["final_score"], result["final_idea"])
    print(router.get_metrics())


if __name__ == "__main__":
    asyncio.run(main())
