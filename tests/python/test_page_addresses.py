"""The address of a web page reaches its own host, and a provider only if it was chosen and reads pages itself."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AsyncCoordinator, LLMRouter
from pages import SECRET, Site, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from madspark.testing import Simulator

PROVIDERS = ["ollama", "gemini", "openai", "anthropic"]

# A public address that is an IP address, so that no name is looked up. Nothing connects to it.
PUBLIC = f"https://9.9.9.9/plan?token={SECRET}"


class Note(BaseModel):
    """The requested object."""

    text: str


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def check_secrecy(simulator: Simulator, host: str) -> None:
    """Check that neither the query of the page nor its host went to a provider."""
    for request in simulator.requests:
        wire = f"{request.path} {request.headers} {request.body.decode()}"
        assert SECRET not in wire
        assert host not in request.body.decode()


def check_messages(*texts: object) -> None:
    for text in texts:
        assert SECRET not in f"{text!s} {text!r}"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("fallback", "key"), list(itertools.product([True, False], ["key-of-no-worth", None])))
async def test_the_secret_of_an_intranet_address_reaches_its_own_host_only(
    provider: str,
    fallback: bool,
    key: str | None,
    site: Site,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(0)
    page = f"{site.url}/page?token={SECRET}"
    router = madspark_router(
        primary_provider=provider, fallback_enabled=fallback, gemini_api_key=key, page_hosts=[site.host]
    )
    # Without its key Gemini answers nothing: another provider does, or none.
    is_answered = provider != "gemini" or key is not None or fallback
    if is_answered:
        _, response = router.generate_structured("What is it?", Note, urls=[page])
        assert response.provider == (provider if provider != "gemini" or key else "ollama")
        check_messages(response, response.attempts, response.explain())
    with router.stream_structured("What is it?", Note, urls=[page]) as stream:
        if is_answered:
            list(stream)
            check_messages(stream.response)
    if is_answered:
        result = await AsyncCoordinator(router=router).run("Food waste", multimodal_urls=[page])
        assert result.status == "ok"
        check_messages(result.model_dump_json())
    prompts = [request.prompt for request in madspark_simulator.requests if "Neighbours share food." in request.prompt]
    assert len(prompts) == (3 if is_answered else 0)
    assert set(site.paths) == ({f"/page?token={SECRET}"} if is_answered else set())
    check_secrecy(madspark_simulator, site.host)
    check_messages(caplog.text)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fallback", [True, False])
async def test_a_private_address_that_is_not_allowed_goes_nowhere(
    provider: str,
    fallback: bool,
    site: Site,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
) -> None:
    router = madspark_router(primary_provider=provider, fallback_enabled=fallback)
    for page in (f"{site.url}/page", "http://10.0.0.1/", "http://localhost:81/", "http://[::1]/a"):
        for on_page_error in ("fail", "skip"):
            with pytest.raises(ValueError, match="is not on the public internet") as caught:
                router.generate_structured("?", Note, urls=[f"{page}?token={SECRET}"], on_page_error=on_page_error)
            check_messages(caught.value)
        with pytest.raises(ValueError, match="is not on the public internet") as caught:
            await AsyncCoordinator(router=router).run("Food waste", multimodal_urls=[f"{page}?token={SECRET}"])
        check_messages(caught.value)
    assert site.paths == []
    assert madspark_simulator.requests == []


@pytest.mark.parametrize(
    "page", ["http://wiki.corp/a", "http://intranet/", "https://printer.local/", "http://a.internal"]
)
def test_names_of_private_networks_are_not_given_to_gemini(
    page: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    with pytest.raises(ValueError, match="is not on the public internet"):
        madspark_router(primary_provider="gemini").generate_structured("?", Note, urls=[f"{page}?token={SECRET}"])
    assert madspark_simulator.requests == []


def test_an_allowed_host_is_confidential_at_every_port_and_in_every_spelling(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(primary_provider="gemini", page_hosts=["9.9.9.9:8443", "wiki.example.com:443"])
    # They are fetched here, and a password is no part of an address that is sent anywhere.
    with pytest.raises(ValueError, match="has credentials in its address"):
        router.generate_structured("?", Note, urls=[f"https://user:{SECRET}@wiki.example.com/"])
    with pytest.raises(ValueError, match=r"at https://wiki\.example\.com\.:444/\?… was not found"):
        router.generate_structured("?", Note, urls=[f"https://WIKI.example.com.:444/?{SECRET}"])
    assert madspark_simulator.requests == []


@pytest.mark.parametrize(
    "choice",
    [
        {"primary_provider": "gemini"},
        {"primary_provider": "gemini", "fallback_enabled": False},
        {"model_tier": "quality"},
        {"primary_provider": "ollama", "force": "gemini"},
    ],
)
def test_gemini_gets_public_addresses_if_it_was_chosen(
    choice: dict[str, Any], site: Site, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    force = choice.pop("force", None)
    router = madspark_router(page_hosts=[site.host], **choice)
    _, response = router.generate_structured(
        "Compare.", Note, urls=[PUBLIC, f"{site.url}/page?token={SECRET}"], force_provider=force
    )
    (request,) = madspark_simulator.requests
    assert (request.provider, request.json["tools"]) == ("gemini", [{"urlContext": {}}])
    assert request.prompt.endswith(f"Web pages to read:\n- {PUBLIC}")
    assert "Neighbours share food." in request.prompt
    assert site.host not in request.body.decode()
    # The record has no query.
    assert [page["url"] for page in response.attempts[-1].pages] == ["https://9.9.9.9/plan?…"]
    check_messages(response, response.attempts, response.explain())


def test_gemini_as_a_fallback_gets_the_text_that_was_fetched_once(
    site: Site, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("ollama", status=500)
    router = madspark_router(primary_provider="ollama", page_hosts=[site.host])
    _, response = router.generate_structured("What is it?", Note, urls=[f"{site.url}/page?token={SECRET}"])
    assert response.provider == "gemini"
    assert "tools" not in madspark_simulator.requests[-1].json
    assert "Neighbours share food." in madspark_simulator.requests[-1].prompt
    assert len(site.paths) == 1
    check_secrecy(madspark_simulator, site.host)


def test_a_fallback_of_gemini_gets_the_text(
    site: Site, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_simulator.on("gemini", status=500)
    router = madspark_router(primary_provider="gemini", page_hosts=[site.host])
    _, response = router.generate_structured("What is it?", Note, urls=[f"{site.url}/page?token={SECRET}"])
    assert response.provider == "ollama"
    assert "Neighbours share food." in madspark_simulator.requests[-1].prompt
    assert len(site.paths) == 1
    check_secrecy(madspark_simulator, site.host)


def test_a_provider_that_repeats_an_address_in_its_error_does_not_show_its_query(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    madspark_simulator.on(
        "gemini", status=400, body={"error": {"code": 400, "message": f"cannot read {PUBLIC}, sorry"}}
    )
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    with pytest.raises(Exception, match=r"cannot read https://9\.9\.9\.9/plan") as caught:
        router.generate_structured("?", Note, urls=[PUBLIC])
    check_messages(caught.value, caught.value.__cause__, getattr(caught.value, "attempts", ()), caplog.text)


async def test_pages_are_fetched_once_for_a_run(
    site: Site, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    # Every stage tries Ollama before Gemini.
    madspark_simulator.on("ollama", status=500)
    router = madspark_router(primary_provider="ollama", page_hosts=[site.host])
    pages = [f"{site.url}/page?token={SECRET}", f"{site.url}/page?two"]
    result = await AsyncCoordinator(router=router).run("Food waste", multimodal_urls=pages, enhanced_reasoning=True)
    assert result.status == "ok"
    assert sorted(site.paths) == [f"/page?token={SECRET}", "/page?two"]
    check_secrecy(madspark_simulator, site.host)


async def test_the_key_of_the_workflow_cache_has_no_address(
    site: Site, madspark_router: Callable[..., LLMRouter]
) -> None:
    class Manager:
        def __init__(self) -> None:
            self.keys: list[Any] = []

        async def get_cached_workflow(self, topic: str, context: str, options: Any) -> None:
            self.keys.append([topic, context, options])

        async def cache_workflow_result(self, topic: str, context: str, options: Any, result: Any) -> None:
            self.keys.append([topic, context, options, result])

    manager = Manager()
    coordinator = AsyncCoordinator(cache_manager=manager, router=madspark_router(page_hosts=[site.host]))
    for query in ("one", "two"):
        await coordinator.run("Food waste", multimodal_urls=[f"{site.url}/page?token={SECRET}{query}"])
    looked_up = [keys for keys in manager.keys if len(keys) == 3]
    assert len(manager.keys) == 4
    assert looked_up[0] != looked_up[1]
    check_messages(json.dumps(manager.keys))
    assert site.host not in json.dumps([options["urls"] for _, _, options in looked_up])
