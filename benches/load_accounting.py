"""The accounting of the load test: compares the metrics of routers with the recorded requests of their workflows."""

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
"""Each tenant has its own keys and models, and several workflows at a time."""

FAULTS: dict[str, dict[str, Any]] = {
    "busy": {"status": 503},
    "limited": {"status": 429},
    "malformed": {"fault": "malformed"},
    "truncate": {"fault": "truncate"},
    "disconnect": {"fault": "disconnect"},
    "stall": {"fault": "stall"},
}
"""The fault of the first request, or the first two requests, of a workflow."""

STALLED = 2.0
"""The deadline of calls to a server that never answers, in seconds."""

COUNTED = (None, "busy", "limited")
"""Faults after which every counted token belongs to a complete reply on the wire."""

ABANDONED = ("cancelled", "deadline_reached", "timeout", "first_token_timeout", "idle_timeout", "connect_timeout")
"""Error classes of requests whose reply the client no longer reads."""

_TAG = re.compile(rb"zq[a-z]{6}(?![a-z])")
_CALL_PATHS = ("/api/chat", ":generateContent", ":streamGenerateContent", "/chat/completions", "/messages")
_KEY_HEADERS = {"gemini": "x-goog-api-key", "openai": "authorization", "anthropic": "x-api-key"}
# The last value counts: a stream may report partial counts first.
_USAGE = {
    "ollama": ("prompt_eval_count", "eval_count"),
    "gemini": ("promptTokenCount", "candidatesTokenCount"),
    "openai": ("prompt_tokens", "completion_tokens"),
    "anthropic": ("input_tokens", "output_tokens"),
}


def tags(text: bytes) -> set[str]:
    """Return the tags of the workflows that a text mentions."""
    return {found.decode() for found in _TAG.findall(text.lower())}


@dataclass(frozen=True)
class Choice:
    """The settings of one workflow. The tag is a word of its topic, and so of every prompt and result."""

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
    """Whether the caller cancels the run."""

    @classmethod
    def generate(cls, number: int, dice: random.Random) -> Choice:
        """Return random settings."""
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
        """The API key of the tenant."""
        return f"key-of-tenant-{self.tenant:02}-and-no-other"

    def model(self, provider: str, tier: str) -> str:
        """Return the tenant's model at a provider."""
        size = "" if provider != "ollama" else "-fast" if tier == "fast" else "-large"
        return f"{provider}{size}-{self.tenant:02}"

    def router(self, simulator: Simulator, folder: str, tier: TierName | None = None) -> LLMRouter:
        """Return a new router with these settings."""
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
    """One router and the outcome of its run."""

    choice: Choice
    router: LLMRouter
    tier: str
    outcome: str
    results: bytes = b""
    """The results as JSON."""
    is_repeat: bool = False
    """Whether another router ran the same workflow before, successfully and with the cache on."""
    wire: list[RecordedRequest] = field(default_factory=list)


class Accounting:
    """Compares entries with the requests that a simulator recorded."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.routers = self.requests = self.unread = self.tokens = self.counted = self.hits = 0

    def check(self, simulator: Simulator, entries: Sequence[Entry]) -> None:
        """Check every entry whose workflow used `simulator`; none may still be running."""
        simulator.clear_rules()
        requests = [request for request in simulator.requests if request.path.partition("?")[0].endswith(_CALL_PATHS)]
        owners: dict[tuple[str, str | None], Entry] = {}
        for entry in entries:
            for provider in PROVIDERS:
                # The first entry; a repeat that hits the cache sends nothing.
                owners.setdefault((entry.choice.tag, entry.choice.model(provider, entry.tier)), entry)
        for request in requests:
            mentioned = tags(request.body)
            owner = owners.get((next(iter(mentioned)), request.model)) if len(mentioned) == 1 else None
            if owner is None:
                self._report(f"a request to {request.model} mentions {sorted(mentioned)}")
                continue
            owner.wire.append(request)
        for entry in entries:
            self._check(simulator, entry)
        self.requests += len(requests)
        self.routers += len(entries)

    def _check(self, simulator: Simulator, entry: Entry) -> None:
        choice, metrics = entry.choice, entry.router.get_metrics()
        counters: dict[str, Any] = {**metrics}
        who = f"workflow {choice.number} ({choice.provider}, {entry.tier}, fault {choice.fault}, {entry.outcome})"
        abandoned = {provider: abandoned_requests(metrics, provider) for provider in PROVIDERS}
        for provider in PROVIDERS:
            seen, counted = sum(request.provider == provider for request in entry.wire), counters[f"{provider}_calls"]
            # A cancelled request counts as sent; a busy server may never have read it.
            if not seen <= counted <= seen + abandoned[provider]:
                self._report(f"{who}: its router counts {counted} to {provider}, the wire {seen}")
            self.unread += counted - seen
        self._check_choices(who, entry)
        foreign = tags(entry.results) - {choice.tag}
        if foreign:
            self._report(f"{who}: its results mention {sorted(foreign)}")
        self.hits += metrics["cache_hits"]
        if not choice.cache and metrics["cache_hits"]:
            self._report(f"{who}: its cache is disabled, but it had a hit")
        if entry.is_repeat and (entry.wire or metrics["cache_hits"] != metrics["total_requests"]):
            self._report(f"{who}: the repeat sent {len(entry.wire)} requests")
        # Tokens of cancelled requests are estimates.
        if choice.fault in COUNTED and not any(abandoned.values()):
            counted = sum(usage(simulator, request) for request in entry.wire if request.status == OK)
            self.tokens += counted
            self.counted += 1
            if counted != metrics["total_tokens"]:
                self._report(f"{who}: its router counts {metrics['total_tokens']} tokens, the wire {counted}")

    def _check_choices(self, who: str, entry: Entry) -> None:
        choice = entry.choice
        for request in entry.wire:
            provider = str(request.provider)
            header = _KEY_HEADERS.get(provider)
            if header is not None and request.headers.get(header, "").removeprefix("Bearer ") != choice.key:
                self._report(f"{who}: a request to {provider} has another tenant's key")
            pinned = choice.provider != "auto" and not choice.fallback
            if pinned and provider != choice.provider:
                self._report(f"{who}: {provider} received a request")

    def _report(self, problem: str) -> None:
        self.problems.append(problem)


def abandoned_requests(metrics: RouterMetrics, provider: str) -> int:
    """Return how many requests to a provider a router cancelled or timed out, by its own metrics."""
    used = metrics["providers"].get(provider)
    return 0 if used is None else sum(used["failures"].get(name, 0) for name in ABANDONED)


def usage(simulator: Simulator, request: RecordedRequest) -> int:
    """Return the tokens that the reply reported, by replaying the request: the simulator is deterministic."""
    body = replay(simulator, request)
    return sum(int(re.findall(rf'"{name}":\s*(\d+)', body)[-1]) for name in _USAGE[str(request.provider)])


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


def as_json(results: Any) -> bytes:
    """Return results as JSON."""
    return json.dumps(results, default=str).encode()
