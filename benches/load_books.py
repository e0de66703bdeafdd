"""The books of the load test: what one workflow chose, what its routers count, and what the wire saw of it."""

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from madspark import LLMConfig, LLMRouter

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from madspark import ProviderChoice, ProviderName, RouterMetrics, TierName
    from madspark.testing import RecordedRequest, Simulator

PROVIDERS: tuple[ProviderName, ...] = ("ollama", "gemini", "openai", "anthropic")
TIERS: tuple[TierName, ...] = ("fast", "balanced", "quality")
OK = 200
TENANTS = 24
"""Each has its own keys and models, and several workflows at a time."""

FAULTS: dict[str, dict[str, Any]] = {
    "busy": {"status": 503},
    "limited": {"status": 429},
    "malformed": {"fault": "malformed"},
    "truncate": {"fault": "truncate"},
    "disconnect": {"fault": "disconnect"},
    "stall": {"fault": "stall"},
}
"""What is done to the first request of a workflow, or to its first two."""

STALLED = 2.0
"""Seconds that a call may take where a server never answers."""

COUNTED = (None, "busy", "limited")
"""Faults after which every token that was counted stands in a whole reply of the wire."""

GIVEN_UP = ("cancelled", "deadline_reached", "timeout", "first_token_timeout", "idle_timeout", "connect_timeout")
"""Classes of failure after which nobody waits for the reply any more."""

_TAG = re.compile(rb"zq[a-z]{6}(?![a-z])")
_QUESTIONS = ("/api/chat", ":generateContent", ":streamGenerateContent", "/chat/completions", "/messages")
_KEY_HEADERS = {"gemini": "x-goog-api-key", "openai": "authorization", "anthropic": "x-api-key"}
# The last of each is what counts: a stream may tell the first part early.
_USAGE = {
    "ollama": ("prompt_eval_count", "eval_count"),
    "gemini": ("promptTokenCount", "candidatesTokenCount"),
    "openai": ("prompt_tokens", "completion_tokens"),
    "anthropic": ("input_tokens", "output_tokens"),
}


def tags(text: bytes) -> set[str]:
    """Return the workflows that a text speaks of."""
    return {found.decode() for found in _TAG.findall(text.lower())}


@dataclass(frozen=True)
class Choice:
    """What one request's sender chose. The tag is a word of its topic, and so of every prompt and every result."""

    number: int
    tag: str
    tenant: int
    provider: ProviderChoice
    tier: TierName
    fallback: bool
    cache: bool
    mode: Literal["auto", "batch", "fanout"]
    enhanced: bool
    fault: str | None
    fault_times: int
    impatient: bool
    """Whether its sender leaves in the middle."""

    @classmethod
    def drawn(cls, number: int, dice: random.Random) -> Choice:
        """Draw one."""
        letters, rest = "", number
        for _ in range(6):
            rest, letter = divmod(rest, 26)
            letters += chr(ord("a") + letter)
        return cls(
            number=number,
            tag=f"zq{letters}",
            tenant=dice.randrange(TENANTS),
            provider=dice.choice([*PROVIDERS, "auto"]),
            tier=dice.choice(TIERS),
            fallback=dice.random() < 0.5,  # noqa: PLR2004
            cache=dice.random() < 0.5,  # noqa: PLR2004
            mode=dice.choice(("batch", "batch", "fanout", "auto")),
            enhanced=dice.random() < 0.5,  # noqa: PLR2004
            fault=dice.choice((None, None, None, *FAULTS)),
            fault_times=dice.choice((1, 2)),
            impatient=dice.random() < 0.08,  # noqa: PLR2004
        )

    @property
    def key(self) -> str:
        """The key of its tenant."""
        return f"key-of-tenant-{self.tenant:02}-and-no-other"

    def model(self, provider: str, tier: str) -> str:
        """Return the model its tenant has there."""
        size = "" if provider != "ollama" else "-fast" if tier == "fast" else "-large"
        return f"{provider}{size}-{self.tenant:02}"

    def router(self, simulator: Simulator, folder: str, tier: TierName | None = None) -> LLMRouter:
        """Make its router."""
        config = LLMConfig(
            ollama_host=simulator.ollama_url,
            ollama_model_fast=self.model("ollama", "fast"),
            ollama_model_balanced=self.model("ollama", "balanced"),
            gemini_api_key=self.key,
            gemini_model=self.model("gemini", self.tier),
            gemini_base_url=simulator.gemini_url,
            openai_api_key=self.key,
            openai_model=self.model("openai", self.tier),
            openai_base_url=simulator.openai_url,
            anthropic_api_key=self.key,
            anthropic_model=self.model("anthropic", self.tier),
            anthropic_base_url=simulator.anthropic_url,
            cache_enabled=self.cache,
            cache_dir=folder,
            cache_max_size_mb=16,
        )
        return LLMRouter(
            self.provider,
            fallback_enabled=self.fallback,
            model_tier=tier or self.tier,
            config=config,
            deadline=STALLED if self.fault == "stall" else None,
        )


@dataclass
class Entry:
    """One router that worked for a choice, and how its run ended."""

    choice: Choice
    router: LLMRouter
    tier: str
    outcome: str
    told: bytes = b""
    """Its results, as JSON."""
    recalled: bool = False
    """Whether another router had asked the same before, with the cache on and without a problem."""
    wire: list[RecordedRequest] = field(default_factory=list)


class Books:
    """Compares entries with the requests that a simulator kept."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.routers = self.requests = self.unread = self.tokens = self.counted = self.hits = 0

    def settle(self, simulator: Simulator, entries: Sequence[Entry]) -> None:
        """Check every entry whose workflow asked `simulator`; none of them may be under way."""
        simulator.clear_rules()
        asked = [request for request in simulator.requests if request.path.partition("?")[0].endswith(_QUESTIONS)]
        homes: dict[tuple[str, str | None], Entry] = {}
        for entry in entries:
            for provider in PROVIDERS:
                # The first one that asked; who is answered from the cache has sent nothing.
                homes.setdefault((entry.choice.tag, entry.choice.model(provider, entry.tier)), entry)
        for request in asked:
            spoken = tags(request.body)
            home = homes.get((next(iter(spoken)), request.model)) if len(spoken) == 1 else None
            if home is None:
                self._object(f"a request to {request.model} speaks of {sorted(spoken)}")
                continue
            home.wire.append(request)
        for entry in entries:
            self._check(simulator, entry)
        self.requests += len(asked)
        self.routers += len(entries)

    def _check(self, simulator: Simulator, entry: Entry) -> None:
        choice, metrics = entry.choice, entry.router.get_metrics()
        counters: dict[str, Any] = {**metrics}
        who = f"workflow {choice.number} ({choice.provider}, {entry.tier}, fault {choice.fault}, {entry.outcome})"
        given_up = {provider: given_up_by(metrics, provider) for provider in PROVIDERS}
        for provider in PROVIDERS:
            seen, counted = sum(request.provider == provider for request in entry.wire), counters[f"{provider}_calls"]
            # A request that was given up counts as sent; a busy server may never have read it.
            if not seen <= counted <= seen + given_up[provider]:
                self._object(f"{who}: its router counts {counted} to {provider}, the wire {seen}")
            self.unread += counted - seen
        self._check_choices(who, entry)
        strangers = tags(entry.told) - {choice.tag}
        if strangers:
            self._object(f"{who}: its results speak of {sorted(strangers)}")
        self.hits += metrics["cache_hits"]
        if not choice.cache and metrics["cache_hits"]:
            self._object(f"{who}: its cache is off, and it was answered from one")
        if entry.recalled and (entry.wire or metrics["cache_hits"] != metrics["total_requests"]):
            self._object(f"{who}: asked again, it sent {len(entry.wire)} requests")
        # What a request costs that was given up is estimated.
        if choice.fault in COUNTED and not any(given_up.values()):
            told = sum(usage(simulator, request) for request in entry.wire if request.status == OK)
            self.tokens += told
            self.counted += 1
            if told != metrics["total_tokens"]:
                self._object(f"{who}: its router counts {metrics['total_tokens']} tokens, the wire {told}")

    def _check_choices(self, who: str, entry: Entry) -> None:
        choice = entry.choice
        for request in entry.wire:
            provider = str(request.provider)
            header = _KEY_HEADERS.get(provider)
            if header is not None and request.headers.get(header, "").removeprefix("Bearer ") != choice.key:
                self._object(f"{who}: a request to {provider} has another key")
            pinned = choice.provider != "auto" and not choice.fallback
            if pinned and provider != choice.provider:
                self._object(f"{who}: {provider} was asked")

    def _object(self, what: str) -> None:
        self.wrong.append(what)


def given_up_by(metrics: RouterMetrics, provider: str) -> int:
    """Return how many requests to a provider a router gave up before their end, by its own account."""
    used = metrics["providers"].get(provider)
    return 0 if used is None else sum(used["failures"].get(name, 0) for name in GIVEN_UP)


def usage(simulator: Simulator, request: RecordedRequest) -> int:
    """Return the tokens that the reply told: the simulator answers the same to the same words, so it is asked again."""
    told = replay(simulator, request)
    return sum(int(re.findall(rf'"{name}":\s*(\d+)', told)[-1]) for name in _USAGE[str(request.provider)])


def replay(simulator: Simulator, request: RecordedRequest) -> str:
    """Send a recorded request once more and return the body of its reply."""
    kept = {name: value for name, value in request.headers.items() if name not in {"host", "content-length"}}
    kept["accept-encoding"] = "identity"
    again = urllib.request.Request(  # noqa: S310  # loopback
        simulator.ollama_url + request.path, data=request.body, headers=kept, method="POST"
    )
    with urllib.request.urlopen(again, timeout=30) as reply:  # noqa: S310  # the same
        text: str = reply.read().decode()
    return text


def as_told(results: Any) -> bytes:
    """Return results as the books keep them."""
    return json.dumps(results, default=str).encode()
