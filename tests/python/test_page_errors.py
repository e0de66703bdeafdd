"""A web page that cannot be read has one outcome, here and at a provider: the call fails, or continues and says so."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AsyncCoordinator, LLMRouter, PageUnavailableError, WorkflowTimeoutError
from madspark.agents import IdeaGenerator
from madspark.core.coordinator import run_multistep_workflow
from pages import SECRET, Site, serving
from wire_bytes import gemini

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from madspark.testing import Simulator

# A public address that is an IP address, so that no name is looked up. Nothing connects to it.
PUBLIC = f"https://9.9.9.9/plan?token={SECRET}"

STATUSES = {
    "URL_RETRIEVAL_STATUS_ERROR": ("error", "could not be read by the provider"),
    "URL_RETRIEVAL_STATUS_PAYWALL": ("paywall", "could not be read: it is behind a paywall"),
    "URL_RETRIEVAL_STATUS_UNSAFE": ("unsafe", "was not read: the provider considers it unsafe"),
    "URL_RETRIEVAL_STATUS_UNSPECIFIED": ("other", "could not be read by the provider"),
}


class Note(BaseModel):
    """The requested object."""

    text: str


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture
def router(site: Site, madspark_router: Callable[..., LLMRouter]) -> LLMRouter:
    return madspark_router(primary_provider="ollama", fallback_enabled=False, page_hosts=[site.host])


def read_by_gemini(simulator: Simulator, text: str, *statuses: str, contains: str | None = None) -> None:
    """Let Gemini answer with `text` and report a status for each page."""
    pages = [
        {"retrievedUrl": f"https://9.9.9.9/plan{number or ''}?token={SECRET}", "urlRetrievalStatus": status}
        for number, status in enumerate(statuses)
    ]
    reply = gemini(text, urlContextMetadata={"urlMetadata": pages})
    simulator.on("gemini", contains=contains, reply=json.dumps(reply))


async def test_a_single_call_fails_by_default(
    site: Site, router: LLMRouter, madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [f"{site.url}/page", f"{site.url}/gone?token={SECRET}"]
    failures = []
    with pytest.raises(PageUnavailableError) as caught:
        router.generate_structured("?", Note, urls=pages)
    failures.append(caught.value)
    with pytest.raises(PageUnavailableError) as caught:
        await router.agenerate_structured("?", Note, urls=pages)
    failures.append(caught.value)
    with pytest.raises(PageUnavailableError) as caught:
        router.generate_structured_batch(["?", "!"], Note, urls=pages)
    failures.append(caught.value)
    with pytest.raises(PageUnavailableError) as caught, router.stream_structured("?", Note, urls=pages) as stream:
        list(stream)
    failures.append(caught.value)
    async with router.astream_structured("?", Note, urls=pages) as astream:
        with pytest.raises(PageUnavailableError) as caught:
            await anext(astream)
    failures.append(caught.value)
    with pytest.raises(PageUnavailableError) as caught:
        await IdeaGenerator(router).agenerate("Food waste", urls=pages)
    failures.append(caught.value)
    for error in failures:
        assert (error.page, error.reason) == (f"{site.url}/gone?…", "returned HTTP 404")
        assert str(error) == f"the page at {site.url}/gone?… returned HTTP 404"
        assert isinstance(error, ValueError)
        assert (error.code, error.http_status) == ("page_unavailable", 424)
        # Clients do not learn the names of hosts.
        assert error.to_problem()["detail"].startswith("A web page could not be read.")
        assert site.host not in str(error.to_problem())
        for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301  (its own)
            assert (str(other), other.page, other.reason) == (str(error), error.page, error.reason)
    assert madspark_simulator.requests == []
    assert SECRET not in caplog.text


async def test_a_call_may_continue_without_a_page(
    site: Site, router: LLMRouter, madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [f"{site.url}/gone?token={SECRET}", f"{site.url}/page"]
    _, response = router.generate_structured("What is it?", Note, urls=pages, on_page_error="skip")
    _, other = await router.agenerate_structured("What is it?", Note, urls=pages, on_page_error="skip")
    _, batch = router.generate_structured_batch(["What is it?"], Note, urls=pages, on_page_error="skip")
    with router.stream_structured("What is it?", Note, urls=pages, on_page_error="skip") as stream:
        list(stream)
    assert len(madspark_simulator.requests) == 4
    for request in madspark_simulator.requests:
        beginning = 'The web page "/gone?…" could not be read: do not guess what it says.\n\nDocument "/page":\n'
        assert request.prompt.startswith(beginning)
        assert SECRET not in request.body.decode()
    for one in (response, other, batch, stream.response):
        assert one is not None
        assert one.attempts[-1].pages == (
            {"url": f"{site.url}/gone?…", "status": "error", "reason": "returned HTTP 404"},
        )
    assert "returned HTTP 404" in caplog.text
    assert SECRET not in caplog.text


async def test_a_run_continues_by_default_and_is_degraded(
    site: Site, router: LLMRouter, madspark_simulator: Simulator
) -> None:
    pages = [f"{site.url}/page?token={SECRET}", f"{site.url}/gone?token={SECRET}"]
    problem = {"stage": "idea_generation", "reason": f"the page at {site.url}/gone?… returned HTTP 404"}
    coordinator = AsyncCoordinator(router=router)
    events = coordinator.events("Food waste", multimodal_urls=pages)
    seen = [event async for event in events]
    result = await events.result()
    assert (result.status, result.partial) == ("degraded", False)
    assert [one.status for one in result.candidates] == ["degraded", "degraded"]
    assert all([dict(found) for found in one.problems] == [problem] for one in result.candidates)
    assert (result.stage("idea_generation").status, result.stage("idea_generation").reason) == (
        "degraded",
        problem["reason"],
    )
    assert result.stage("evaluation").status == "ok"
    finished = next(event for event in seen if event.type == "stage_finished" and event.stage == "idea_generation")
    assert (finished.status, finished.reason) == ("degraded", problem["reason"])
    assert SECRET not in result.model_dump_json() + "".join(event.model_dump_json() for event in seen)
    for candidates in (
        await coordinator.run_workflow("Food waste", multimodal_urls=pages),
        run_multistep_workflow("Food waste", multimodal_urls=pages, router=router),
    ):
        assert [(one["status"], one["problems"]) for one in candidates] == [("degraded", [problem])] * 2
    # The page that could be read was used, and each page was fetched once in each run.
    generating = [request for request in madspark_simulator.requests if "Propose exactly" in request.prompt]
    assert len(generating) == 3
    for request in generating:
        assert "Neighbours share food." in request.prompt
        assert 'The web page "/gone?…" could not be read' in request.prompt
    assert sorted(site.paths) == [f"/gone?token={SECRET}"] * 3 + [f"/page?token={SECRET}"] * 3


async def test_a_run_without_a_page_is_not_kept_in_the_workflow_cache(site: Site, router: LLMRouter) -> None:
    class Manager:
        stored = 0

        async def get_cached_workflow(self, *_: object) -> None:
            """Find nothing."""

        async def cache_workflow_result(self, *_: object) -> None:
            self.stored += 1

    manager = Manager()
    coordinator = AsyncCoordinator(cache_manager=manager, router=router)
    await coordinator.run("Food waste", multimodal_urls=[f"{site.url}/gone"])
    assert manager.stored == 0
    await coordinator.run("Food waste", multimodal_urls=[f"{site.url}/page"])
    assert manager.stored == 1


async def test_a_run_may_fail(site: Site, router: LLMRouter, madspark_simulator: Simulator) -> None:
    pages = [f"{site.url}/page", f"{site.url}/gone?token={SECRET}"]
    coordinator = AsyncCoordinator(router=router)
    with pytest.raises(PageUnavailableError, match=r"/gone\?… returned HTTP 404"):
        await coordinator.run("Food waste", multimodal_urls=pages, on_page_error="fail")
    with pytest.raises(PageUnavailableError, match=r"/gone\?… returned HTTP 404"):
        await coordinator.run_workflow("Food waste", multimodal_urls=pages, on_page_error="fail")
    with pytest.raises(PageUnavailableError, match=r"/gone\?… returned HTTP 404"):
        async for _ in coordinator.events("Food waste", multimodal_urls=pages, on_page_error="fail"):
            pass
    assert madspark_simulator.requests == []


async def test_other_values_are_rejected(router: LLMRouter, madspark_simulator: Simulator) -> None:
    wrong: Any = "ignore"
    with pytest.raises(ValueError, match='on_page_error must be "fail" or "skip"'):
        router.generate_structured("?", Note, on_page_error=wrong)
    with pytest.raises(ValueError, match='on_page_error must be "fail" or "skip"'):
        router.stream_structured("?", Note, on_page_error=wrong)
    with pytest.raises(ValueError, match='on_page_error must be "fail" or "skip"'):
        await AsyncCoordinator(router=router).run("Food waste", on_page_error=wrong)
    assert madspark_simulator.requests == []


@pytest.mark.parametrize("status", STATUSES)
def test_a_page_that_gemini_cannot_read_fails_a_call(
    status: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    read_by_gemini(madspark_simulator, '{"text": "a guess"}', "URL_RETRIEVAL_STATUS_SUCCESS", status)
    router = madspark_router(primary_provider="gemini")
    _, reason = STATUSES[status]
    urls = [PUBLIC, "https://9.9.9.9/plan1"]
    with pytest.raises(PageUnavailableError) as caught:
        router.generate_structured("?", Note, urls=urls)
    with pytest.raises(PageUnavailableError) as streamed, router.stream_structured("?", Note, urls=urls) as stream:
        list(stream)
    for error in (caught.value, streamed.value):
        assert (error.page, error.reason) == ("https://9.9.9.9/plan1?…", reason)
        assert (error.provider, error.status) == ("gemini", 200)
        (attempt,) = error.attempts
        assert (attempt.error, sum(attempt.usage.values())) == ("page_unavailable", 18)
        assert SECRET not in f"{error} {error.attempts}"
    # No other provider is asked: it would not have the page either.
    assert [request.provider for request in madspark_simulator.requests] == ["gemini", "gemini"]


@pytest.mark.parametrize("status", STATUSES)
def test_a_call_may_continue_without_a_page_that_gemini_cannot_read(
    status: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    read_by_gemini(madspark_simulator, '{"text": "an answer"}', status)
    name, reason = STATUSES[status]
    router = madspark_router(primary_provider="gemini")
    note, response = router.generate_structured("?", Note, urls=[PUBLIC], on_page_error="skip")
    assert note.text == "an answer"
    page = {"url": "https://9.9.9.9/plan?…", "status": name, "reason": reason}
    assert response.attempts[-1].pages == (page,)
    assert "it could read 0 of 1 web pages" in response.explain()


@pytest.mark.parametrize("mode", ["batch", "fanout"])
@pytest.mark.parametrize("status", STATUSES)
async def test_a_run_without_a_page_that_gemini_cannot_read_is_degraded(
    status: str, mode: Any, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    ideas = [
        {"idea_number": number, "title": title, "description": f"{title} are shared by the whole street."}
        for number, title in enumerate(("Fridges", "Gardens", "Kitchens", "Cellars", "Tables"), 1)
    ]
    read_by_gemini(madspark_simulator, json.dumps(ideas), status, contains="Propose exactly")
    router = madspark_router(primary_provider="gemini", fallback_enabled=False)
    result = await AsyncCoordinator(router=router).run("Food waste", multimodal_urls=[PUBLIC], mode=mode)
    reason = f"the page at https://9.9.9.9/plan?… {STATUSES[status][1]}"
    assert result.status == "degraded"
    assert [[problem.reason for problem in one.problems] for one in result.candidates] == [[reason], [reason]]
    assert result.stage("idea_generation").reason == reason
    assert SECRET not in result.model_dump_json()
    with pytest.raises(PageUnavailableError):
        await AsyncCoordinator(router=router).run(
            "Food waste", multimodal_urls=[PUBLIC], mode=mode, on_page_error="fail"
        )


@pytest.mark.cache
def test_an_answer_without_a_page_is_not_taken_for_one_with_it(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router(cache_enabled=True, primary_provider="gemini")
    read_by_gemini(madspark_simulator, '{"text": "a guess"}', "URL_RETRIEVAL_STATUS_ERROR")
    note, _ = router.generate_structured("?", Note, urls=[PUBLIC], on_page_error="skip")
    assert note.text == "a guess"
    madspark_simulator.clear_rules()
    read_by_gemini(madspark_simulator, '{"text": "read"}', "URL_RETRIEVAL_STATUS_SUCCESS")
    for _ in range(2):
        note, _ = router.generate_structured("?", Note, urls=[PUBLIC])
        assert note.text == "read"
    assert len(madspark_simulator.requests) == 2


async def test_the_timeout_of_a_run_includes_its_pages(
    site: Site, router: LLMRouter, madspark_simulator: Simulator
) -> None:
    with pytest.raises(WorkflowTimeoutError, match="was reached while the attachments were loaded"):
        await AsyncCoordinator(router=router).run("Food waste", multimodal_urls=[f"{site.url}/slow"], timeout=0.5)
    assert site.paths == ["/slow"]
    assert madspark_simulator.requests == []
