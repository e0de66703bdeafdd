"""Calls that survive a busy provider, an invalid reply and a slow provider.

Needs no server and no key: the simulator speaks the providers' protocols on a loopback port.
"""

from __future__ import annotations

from pydantic import BaseModel

from madspark import AllProvidersFailedError, Budget, LLMConfig, LLMRouter
from madspark.testing import Simulator


class Slogan(BaseModel):
    """The answer's type."""

    text: str
    score: int


def router_for(simulator: Simulator, *, hedge_after: float | None = None) -> LLMRouter:
    """Return the router of one request: Ollama first, then Gemini."""
    config = LLMConfig(
        ollama_host=simulator.ollama_url,
        gemini_base_url=simulator.gemini_url,
        gemini_api_key="any-key-of-twenty-letters",
    )
    return LLMRouter(
        primary_provider="ollama",
        cache_enabled=False,  # the same is asked again and again here
        config=config,
        deadline=10.0,  # for one call, whatever happens in it
        max_attempts=4,
        budget=Budget(max_tokens=100_000, max_cost=0.10),  # for all calls of this router
        hedge_after=hedge_after,
    )


def ask(title: str, router: LLMRouter) -> None:
    """Request a slogan and print the attempts."""
    print(f"# {title}")
    try:
        slogan, response = router.generate_structured("A slogan for a roof garden", Slogan)
    except AllProvidersFailedError as error:
        print(error.explain())
    else:
        print(response.explain())
        print(f"score {slogan.score}, from {response.provider}")
    print()


def main() -> None:
    """Simulate one failure after another."""
    with Simulator() as simulator:
        simulator.on("ollama", status=503, times=1)
        ask("The first provider is busy: the next one answers", router_for(simulator))

        simulator.on("ollama", text="```json\n{'text': 'Grow up!', 'score': '9',}\n```", times=1)
        ask("The reply is nearly JSON: it is mended", router_for(simulator))

        simulator.on("ollama", json={"text": "Grow up!", "score": "high"}, times=1)
        ask("The reply does not fit: it is sent back once", router_for(simulator))

        simulator.on("ollama", fault="stall", times=1)
        ask("The first provider is slow: another is asked beside it", router_for(simulator, hedge_after=0.2))

        simulator.on(status=429, headers={"retry-after": "60"})
        ask("Nobody takes calls within the deadline: the error says when", router_for(simulator))


if __name__ == "__main__":
    main()
