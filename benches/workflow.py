"""How long a whole run takes, over the shortest time it could take, with models of a realistic pace.

The simulator takes as long for a reply as a model would: a time to the first token, then so many tokens a second. How
much is written about each idea in each stage is drawn around what models write, from a fixed seed. Everything runs
`--scale` times faster than the clock of the table, so what this package itself costs weighs that many times as much.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import TYPE_CHECKING, Any

from madspark import AsyncCoordinator, Limits, LLMConfig, LLMRouter, __version__
from madspark.agents import Advocate, Critic, IdeaGenerator, Skeptic, StructuredIdeaGenerator
from madspark.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from madspark import ProviderName

TOPIC = "Shade for hot bus stops"
IDEAS = 5
KEPT = 3
FIRST_TOKEN = 0.3
RATE = 80.0
NAMES = ["Amber", "Bison", "Cedar", "Dune", "Ember"]
# About how many tokens a model writes about one idea.
TYPICAL = {"generate": 120, "evaluate": 100, "advocate": 280, "criticize": 280, "improve": 340, "evaluate again": 100}
LATER = ("advocate", "criticize", "improve", "evaluate again")
BEGINNINGS = {
    "evaluate": "Evaluate each idea below for the topic.",
    "advocate": "Make the case for each idea below.",
    "criticize": "Make the case against each idea below; weigh what its advocate says.",
    "improve": "Improve each idea below, using all that was said about it, and only about it.",
}


@dataclass(frozen=True)
class Lot:
    """How many tokens are written about each idea in each stage, and which ideas are kept."""

    tokens: dict[str, list[int]]
    kept: list[int]

    @classmethod
    def drawn(cls, seed: int) -> Lot:
        """Draw one, between 0.6 and 1.4 of what is typical."""
        dice = random.Random(seed)  # noqa: S311  (no secret)
        tokens = {
            stage: [round(usual * dice.uniform(0.6, 1.4)) for _ in range(IDEAS)] for stage, usual in TYPICAL.items()
        }
        return cls(tokens, sorted(dice.sample(range(IDEAS), KEPT)))

    def seconds(self, stage: str, idea: int) -> float:
        """How long the call about one idea takes."""
        return FIRST_TOKEN + self.tokens[stage][idea] / RATE

    def bound(self, slots: int) -> float:
        """The shortest time: the longest way through the run, or all that is written over the slots, if that is longer.

        An idea can be judged when it is written, which the next one does not wait for; the choice waits for all.
        """
        written = [sum(self.tokens["generate"][: idea + 1]) / RATE for idea in range(IDEAS)]
        chosen = max(FIRST_TOKEN + written[idea] + self.seconds("evaluate", idea) for idea in range(IDEAS))
        longest = chosen + max(sum(self.seconds(stage, idea) for stage in LATER) for idea in self.kept)
        everything = sum(self.tokens["generate"]) + sum(self.tokens["evaluate"])
        everything += sum(self.tokens[stage][idea] for stage in LATER for idea in self.kept)
        work = FIRST_TOKEN * len(TYPICAL) + everything / RATE
        return max(longest, work / slots)


# The replies, padded to their length.


def padded(reply: dict[str, Any], path: list[Any], tokens: int) -> dict[str, Any]:
    """`reply` with so many words at `path` that the whole is `tokens` tokens, as the simulator counts them."""
    place: Any = reply
    for step in path[:-1]:
        place = place[step]
    lacking = max(0, 4 * tokens - len(json.dumps(reply)))
    place[path[-1]] += " word" * (lacking // 5)
    return reply


def idea_of(lot: Lot, idea: int) -> dict[str, Any]:
    """Return what the generator writes."""
    reply = {"idea_number": idea + 1, "title": f"{NAMES[idea]} roof", "description": f"G-{NAMES[idea]} is an idea."}
    return padded(reply, ["description"], lot.tokens["generate"][idea])


def reply_of(lot: Lot, stage: str, idea: int, label: int) -> dict[str, Any]:
    """Return what an agent writes about one idea; it holds a mark that tells the next stage's prompt from others."""
    name, tokens = NAMES[idea], lot.tokens[stage][idea]
    if stage in {"evaluate", "evaluate again"}:
        score = 9 - 0.1 * idea if idea in lot.kept else 3.0
        mark = "E" if stage == "evaluate" else "R"
        reply: dict[str, Any] = {"idea_index": label, "score": score, "comment": f"{mark}-{name} it is."}
        return padded(reply, ["comment"], tokens)
    if stage == "advocate":
        point = {"title": "Point", "description": f"A-{name} is good."}
        reply = {"idea_index": label, "strengths": [point], "opportunities": [], "addressing_concerns": []}
        return padded(reply, ["strengths", 0, "description"], tokens)
    if stage == "criticize":
        point = {"title": "Point", "description": f"S-{name} is bad."}
        reply = {"idea_index": label, "critical_flaws": [point], "risks_and_challenges": []}
        reply |= {"questionable_assumptions": [], "missing_considerations": []}
        return padded(reply, ["critical_flaws", 0, "description"], tokens)
    reply = {"idea_index": label, "improved_title": f"{name} better", "improved_description": f"I-{name} is better."}
    reply["key_improvements"] = ["more"]
    return padded(reply, ["improved_description"], tokens)


def script(simulator: Simulator, lot: Lot, scale: float) -> None:
    """Have the simulator answer at the models' pace: about many ideas at once, and about each by itself."""
    simulator.set_latency(FIRST_TOKEN / scale)
    simulator.set_tokens_per_second(RATE * scale)
    simulator.on(contains="Propose exactly", json=[idea_of(lot, idea) for idea in range(IDEAS)])
    # Of the kept ones the best is the earliest, so labels count them in order.
    groups = {"evaluate": list(range(IDEAS)), **dict.fromkeys(LATER, lot.kept)}
    for stage, group in groups.items():
        beginning = BEGINNINGS["evaluate" if stage == "evaluate again" else stage]
        replies = [reply_of(lot, stage, idea, label) for label, idea in enumerate(group)]
        simulator.on(contains=f"{beginning}\nAnswer with a JSON array of exactly {len(group)} items", json=replies)
    # The latest mark in a prompt tells its stage.
    marks = {"evaluate again": "I", "improve": "S", "criticize": "A", "advocate": "E", "evaluate": "G"}
    for stage, mark in marks.items():
        for idea, name in enumerate(NAMES):
            simulator.on(contains=f"{mark}-{name}", json=reply_of(lot, stage, idea, 0))


# What is measured.


async def in_mode(router: LLMRouter, mode: str) -> int:
    """Run the workflow; returns the number of calls."""
    options: dict[str, Any] = {"mode": mode, "num_top_candidates": KEPT, "enhanced_reasoning": True}
    result = await AsyncCoordinator(64, router=router).run(TOPIC, enable_novelty_filter=False, **options)
    if result.status != "ok":
        raise SystemExit(f"the run is {result.status}: {result.model_dump_json(indent=1)}")
    return result.calls


async def with_barriers(router: LLMRouter) -> int:
    """Ask each stage about each idea at the same time, and wait for all before the next stage; nothing is streamed."""
    ideas = [f"{idea.title}: {idea.description}" for idea in await IdeaGenerator(router).agenerate(TOPIC, count=IDEAS)]
    judged = await asyncio.gather(*(Critic(router).aevaluate([idea], TOPIC) for idea in ideas))
    best = sorted(zip(ideas, judged, strict=True), key=lambda pair: -pair[1][0].score)[:KEPT]
    cases = [{"idea": idea, "evaluation": said[0].comment} for idea, said in best]
    pros = await asyncio.gather(*(Advocate(router).aadvocate_batch([case], TOPIC) for case in cases))
    for case, (pro,) in zip(cases, pros, strict=True):
        case["advocacy"] = pro.model_dump_json()
    asked = [{"idea": case["idea"], "advocacy": case["advocacy"]} for case in cases]
    cons = await asyncio.gather(*(Skeptic(router).acriticize_batch([case], TOPIC) for case in asked))
    improver = StructuredIdeaGenerator(router)
    better = await asyncio.gather(
        *(
            improver.aimprove(case["idea"], case["evaluation"], case["advocacy"], con.model_dump_json(), TOPIC)
            for case, (con,) in zip(cases, cons, strict=True)
        )
    )
    texts = [f"{one.improved_title}: {one.improved_description}" for one in better]
    await asyncio.gather(*(Critic(router).aevaluate([text], TOPIC) for text in texts))
    return 1 + IDEAS + 4 * KEPT


WAYS: dict[str, Callable[[LLMRouter], Awaitable[int]]] = {
    "batch": lambda router: in_mode(router, "batch"),
    "fanout": lambda router: in_mode(router, "fanout"),
    "auto": lambda router: in_mode(router, "auto"),
    "barriers": with_barriers,
}
TARGETS: dict[str, tuple[ProviderName, int]] = {
    "cloud, 64 slots": ("gemini", 64),
    "local, 4 slots": ("ollama", 4),
    "local, 1 slot": ("ollama", 1),
}


async def measure(seed: int, target: str, way: str, scale: float) -> tuple[float, float, int]:
    """Return the seconds of one run, at the models' own pace, their bound, and the number of calls."""
    lot = Lot.drawn(seed)
    provider, slots = TARGETS[target]
    with Simulator() as simulator:
        config = LLMConfig(
            ollama_host=simulator.ollama_url,
            gemini_base_url=simulator.gemini_url,
            gemini_api_key="simulator-key-of-no-worth",
            limits={provider: Limits(concurrent=slots)},
        )
        router = LLMRouter(provider, fallback_enabled=False, config=config)
        # The first call of a process makes its threads.
        simulator.on(contains="warm", text="warm", times=1, latency=0)
        await router.agenerate("warm")
        script(simulator, lot, scale)
        started = perf_counter()
        calls = await WAYS[way](router)
        return (perf_counter() - started) * scale, lot.bound(slots), calls


async def main() -> None:
    """Measure, print, and write the table where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lots", type=int, default=3, help="how many drawn workloads (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=5.0, help="how many times faster (default: %(default)s)")
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this one; may be repeated")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown, too")
    given = parser.parse_args()

    rows = []
    for target in given.target or TARGETS:
        for way in WAYS:
            found = [await measure(seed, target, way, given.scale) for seed in range(given.lots)]
            seconds, bound = mean(one[0] for one in found), mean(one[1] for one in found)
            ratios = [one[0] / one[1] for one in found]
            rows.append(
                f"| {target} | {way} | {found[0][2]} | {seconds:.1f} | {bound:.1f} "
                f"| {mean(ratios):.2f} | {max(ratios):.2f} |"
            )
            print(rows[-1], flush=True)
    if given.write is not None:
        head = "| target | way | calls | seconds | bound | ratio | worst ratio |\n|---|---|---|---|---|---|---|"
        about = (
            f"madspark {__version__}, Python {platform.python_version()}; {given.lots} workloads of {IDEAS} ideas, of\n"
            f"which {KEPT} are kept, with advocate and skeptic; {FIRST_TOKEN * 1000:.0f} ms to the first token,\n"
            f"{RATE:.0f} tokens a second; measured {given.scale:g} times faster than the clock of the table.\n"
        )
        page = ["# The time of a run over its bound\n", about, head, *rows, ""]
        given.write.write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
