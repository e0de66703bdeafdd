"""`madspark.integrations.fastapi`, behind a real server: choices of clients, problem details, OpenAPI, lifespan."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import BaseModel

from madspark import (
    AsyncCoordinator,
    Coordinator,
    LLMConfig,
    LLMResponse,
    LLMRouter,
    MadsparkError,
    WorkflowResult,
    WorkflowRun,
)
from madspark.core.events import Event
from madspark.integrations.fastapi import (
    ProblemDetails,
    add_exception_handlers,
    lifespan,
    problem_responses,
    read_settings,
    router_dependency,
)
from madspark.llm import exceptions as errors
from serving import Client, serving
from wire import model_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from madspark.testing import Simulator

LIMIT = 20
KEY = "simulator-key-of-no-worth"


def settings_of(simulator: Simulator, **more: Any) -> LLMConfig:
    return LLMConfig(
        ollama_host=simulator.ollama_url,
        gemini_base_url=simulator.gemini_url,
        gemini_api_key=KEY,
        openai_base_url=simulator.openai_url,
        openai_model="simulated",
        cache_enabled=False,
        **more,
    )


class Answer(BaseModel):
    """The body of a handler that answers with a call."""

    response: LLMResponse
    router: str


def answering(dependency: Any, **options: Any) -> FastAPI:
    """An application with one handler, whose router comes from `dependency`."""
    app = FastAPI(**options)
    add_exception_handlers(app)

    @app.post("/answer", responses=problem_responses(errors.RateLimitError, errors.InvalidRequestError))
    async def answer(prompt: str = "hello", router: LLMRouter = Depends(dependency)) -> Answer:  # noqa: B008, FAST002  # a local name cannot be in an annotation
        _, response = await router.agenerate(prompt)
        return Answer(response=response, router=repr(router))

    return app


class Reply:
    """A reply, split into its parts."""

    def __init__(self, text: str) -> None:
        head, _, self.body = text.partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(app: FastAPI, path: str, method: str = "POST", body: Any = None, lifespan: str = "off") -> Reply:
    async with asyncio.timeout(LIMIT), serving(app, lifespan=lifespan) as port:
        return await ask_at(port, path, method, body)


async def ask_at(port: int, path: str, method: str = "POST", body: Any = None) -> Reply:
    client = await (Client.request(method, port, path) if body is None else Client.post(port, path, body))
    return Reply(await client.rest())


def component_errors(app: FastAPI, name: str, body: Any) -> list[str]:
    """What a client that was generated from the OpenAPI document would not understand in `body`."""
    document = app.openapi()
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    Draft202012Validator.check_schema(schema)
    return [error.message for error in Draft202012Validator(schema).iter_errors(body)]


def parameters(app: FastAPI, path: str = "/answer") -> dict[str, Any]:
    described: list[dict[str, Any]] = app.openapi()["paths"][path]["post"]["parameters"]
    return {one["name"]: one for one in described}


async def test_a_client_chooses_what_the_server_lists(madspark_simulator: Simulator) -> None:
    app = answering(router_dependency(settings_of(madspark_simulator), choose=["provider", "tier", "fallback"]))
    async with asyncio.timeout(LIMIT), serving(app) as port:
        one, two, three = await asyncio.gather(
            ask_at(port, "/answer?provider=gemini&fallback=false"),
            ask_at(port, "/answer?provider=ollama&tier=fast"),
            ask_at(port, "/answer?provider=openai"),
        )
    assert [reply.json["response"]["provider"] for reply in (one, two, three)] == ["gemini", "ollama", "openai"]
    assert "fallback_enabled=False" in one.json["router"]
    assert "model_tier='fast'" in two.json["router"]
    assert {request.model for request in madspark_simulator.requests if request.provider == "ollama"} == {"gemma3:4b"}


@pytest.mark.parametrize("query", ["provider=mock", "provider=nobody", "tier=huge", "fallback=perhaps"])
async def test_what_the_server_does_not_list_is_refused(query: str, madspark_simulator: Simulator) -> None:
    dependency = router_dependency(settings_of(madspark_simulator), choose=["provider", "tier", "fallback"])
    reply = await ask(answering(dependency), f"/answer?{query}")
    assert reply.status == 422
    assert madspark_simulator.requests == []


async def test_a_client_chooses_neither_hosts_nor_keys_nor_what_is_not_listed(madspark_simulator: Simulator) -> None:
    dependency = router_dependency(
        settings_of(madspark_simulator),
        choose=["tier"],
        primary_provider="ollama",
        fallback_enabled=False,
        deadline=9.0,
    )
    query = "provider=gemini&primary_provider=mock&ollama_host=http://localhost:1&config=x&gemini_api_key=x&deadline=0"
    reply = await ask(answering(dependency), f"/answer?{query}&request=x&fallback=true&cache=true")
    assert reply.status == 200
    assert (
        reply.json["router"]
        == "LLMRouter(primary_provider='ollama', fallback_enabled=False, cache_enabled=False, model_tier='balanced')"
    )
    assert [request.provider for request in model_requests(madspark_simulator)] == ["ollama"]


async def test_the_arguments_hold_where_the_client_chooses_nothing(madspark_simulator: Simulator) -> None:
    dependency = router_dependency(
        settings_of(madspark_simulator), choose=["provider", "tier"], primary_provider="gemini", model_tier="fast"
    )
    app = answering(dependency)
    async with asyncio.timeout(LIMIT), serving(app) as port:
        default, chosen = await ask_at(port, "/answer"), await ask_at(port, "/answer?provider=ollama&tier=quality")
    assert "primary_provider='gemini'" in default.json["router"]
    assert "model_tier='fast'" in default.json["router"]
    assert "primary_provider='ollama'" in chosen.json["router"]
    assert "model_tier='quality'" in chosen.json["router"]


async def test_choices_may_be_in_the_body(madspark_simulator: Simulator) -> None:
    dependency = router_dependency(settings_of(madspark_simulator), choose=["provider", "tier"], location="body")
    app = answering(dependency)
    async with asyncio.timeout(LIMIT), serving(app) as port:
        chosen = await ask_at(port, "/answer", body={"provider": "gemini"})
        refused = await ask_at(port, "/answer", body={"provider": "mock"})
    assert (chosen.status, chosen.json["response"]["provider"]) == (200, "gemini")
    assert refused.status == 422
    assert {request.provider for request in madspark_simulator.requests} == {"gemini"}


async def test_a_server_may_list_the_mock() -> None:
    dependency = router_dependency(LLMConfig(), choose=["provider"], providers=["mock"])
    reply = await ask(answering(dependency), "/answer?provider=mock")
    assert (reply.status, reply.json["response"]["provider"]) == (200, "mock")


def test_choices_are_enumerations_in_openapi() -> None:
    app = answering(router_dependency(LLMConfig(), choose=["provider", "tier", "cache"], tiers=["fast", "balanced"]))
    described = parameters(app)
    assert set(described) == {"provider", "tier", "cache", "prompt"}
    assert described["provider"]["schema"]["enum"] == ["auto", "ollama", "gemini", "openai", "anthropic"]
    assert described["tier"]["schema"]["enum"] == ["fast", "balanced"]
    assert described["cache"]["schema"]["type"] == "boolean"
    assert not any(one["required"] for one in described.values())
    assert all(described[name]["description"] for name in ("provider", "tier", "cache"))
    assert set(parameters(answering(router_dependency(LLMConfig())))) == {"prompt"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"choose": ["host"]}, "unknown choice 'host'"),
        ({"choose": ["provider"], "providers": ["nobody"]}, "unknown provider 'nobody'"),
        ({"tiers": ["huge"]}, "unknown tier 'huge'"),
        ({"deadline": 0.0}, "deadline must be"),
        ({"primary_provider": "nobody"}, "nobody"),
    ],
)
def test_an_invalid_dependency_fails_when_it_is_defined(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        router_dependency(LLMConfig(), **arguments)


def routes_with(cls: type) -> dict[str, Callable[[FastAPI], Any]]:
    def named(app: FastAPI) -> None:
        @app.get("/")
        async def handler(own: Any = Depends(cls)) -> None: ...  # noqa: B008, FAST002  (a form under test)

    def of_the_type(app: FastAPI) -> None:
        async def handler(own: Any = Depends()) -> None: ...  # noqa: B008  (the form under test)

        handler.__annotations__["own"] = cls
        app.get("/")(handler)

    def for_the_application(app: FastAPI) -> None:
        @app.get("/", dependencies=[Depends(cls)])
        async def handler() -> None: ...

    return {"named": named, "of the type": of_the_type, "for the application": for_the_application}


@pytest.mark.parametrize("cls", [LLMRouter, AsyncCoordinator, Coordinator])
@pytest.mark.parametrize("form", ["named", "of the type", "for the application"])
def test_a_class_whose_arguments_clients_must_not_choose_is_no_dependency(cls: type, form: str) -> None:
    with pytest.raises(TypeError, match=r"router_dependency.*madspark\.integrations\.fastapi"):
        routes_with(cls)[form](FastAPI())


FAILURES: dict[str, tuple[dict[str, Any], str, int, str, str | None]] = {
    "rate limit": ({"status": 429, "headers": {"retry-after": "7"}}, "hello", 429, "rate_limited", "7"),
    "overload": ({"status": 503, "headers": {"retry-after": "9"}}, "hello", 503, "provider_unavailable", "9"),
    "key": ({"status": 401}, "hello", 502, "key_rejected", None),
    "blank prompt": ({}, "%20", 422, "invalid_request", None),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_an_error_is_answered_with_problem_details(
    name: str, madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    rule, prompt, status, code, wait = FAILURES[name]
    madspark_simulator.on("ollama", **rule)
    dependency = router_dependency(
        settings_of(madspark_simulator), primary_provider="ollama", fallback_enabled=False, max_attempts=1
    )
    app = answering(dependency)
    caplog.set_level(logging.ERROR, "madspark.integrations")
    reply = await ask(app, f"/answer?prompt={prompt}")
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    assert (reply.json["status"], reply.json["code"]) == (status, code)
    assert reply.headers.get("retry-after") == wait
    assert ProblemDetails.model_validate(reply.json).model_dump(exclude_none=True) == reply.json
    assert madspark_simulator.ollama_url not in reply.body
    # Clients get what they can act on; the log of the server has the rest.
    logged = [record.getMessage() for record in caplog.records if record.name == "madspark.integrations"]
    assert [f"POST /answer: {code}: " in message for message in logged] == ([True] if status >= 500 else [])


async def test_other_exceptions_are_left_alone(madspark_simulator: Simulator) -> None:
    app = answering(router_dependency(settings_of(madspark_simulator)))

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError("of the user")

    reply = await ask(app, "/broken", "GET")
    assert (reply.status, reply.body) == (500, "Internal Server Error")


@pytest.mark.parametrize("kind", [*{cls.code: cls for cls in [errors.RateLimitError, errors.MissingKeyError]}.values()])
def test_responses_describe_problem_details(kind: type[MadsparkError]) -> None:
    described = problem_responses(kind)[kind.http_status]
    schema = described["content"]["application/problem+json"]["schema"]
    Draft202012Validator.check_schema(schema)
    body = kind("no", provider="ollama", attempts=[]).to_problem()
    assert [*Draft202012Validator(schema).iter_errors(body)] == []
    assert described["description"] == kind.title


def test_errors_of_one_status_are_described_together() -> None:
    described = problem_responses(errors.InvalidRequestError, errors.ContentRefusedError, errors.RateLimitError)
    assert set(described) == {422, 429}
    assert described[422]["description"] == "The request is invalid; The model refused to answer"


async def test_the_openapi_document_describes_what_handlers_return(madspark_simulator: Simulator) -> None:
    settings = settings_of(madspark_simulator)
    chosen = Depends(router_dependency(settings, primary_provider="ollama"))
    app = FastAPI()

    @app.post("/run")
    async def run(router: LLMRouter = chosen) -> WorkflowResult:
        return await AsyncCoordinator(router=router).run("topic", multi_dimensional_eval=True, logical_inference=True)

    @app.post("/call", responses={200: {"model": LLMResponse}})
    async def call(router: LLMRouter = chosen) -> LLMResponse:
        return (await router.agenerate("hello"))[1]

    @app.post("/events", responses={200: {"model": Event}})
    async def events() -> None: ...

    async with asyncio.timeout(LIMIT), serving(app) as port:
        document = await ask_at(port, "/openapi.json", "GET")
        result, response = await ask_at(port, "/run"), await ask_at(port, "/call")
    assert document.status == 200
    assert document.json == json.loads(json.dumps(app.openapi()))
    assert component_errors(app, "WorkflowResult", result.json) == []
    assert component_errors(app, "LLMResponse", response.json) == []
    assert {"WorkflowResult", "Rating", "Inference", "LLMResponse", "Attempt", "RunFinished"} <= set(
        document.json["components"]["schemas"]
    )
    assert result.json["calls"] == result.json["spent"]["calls"] > 0
    assert WorkflowResult.model_validate(result.json).status == "ok"
    # A client would notice.
    assert component_errors(app, "WorkflowResult", {**result.json, "calls": "six"}) != []
    assert component_errors(app, "LLMResponse", {"text": "hi"}) != []


async def test_the_lifespan_reads_the_settings_once(
    madspark_simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", madspark_simulator.ollama_url)
    app = answering(
        router_dependency(primary_provider="ollama", fallback_enabled=False, cache_enabled=False), lifespan=lifespan()
    )

    @app.get("/host")
    async def host(settings: Annotated[Any, Depends(read_settings)]) -> str:
        assert isinstance(settings, LLMConfig)
        return settings.ollama_host

    async with asyncio.timeout(LIMIT), serving(app, lifespan="on") as port:
        assert (await ask_at(port, "/answer")).status == 200
        monkeypatch.setenv("OLLAMA_HOST", "http://localhost:1")
        assert (await ask_at(port, "/answer")).status == 200
        assert (await ask_at(port, "/host", "GET")).json == madspark_simulator.ollama_url
    assert len(model_requests(madspark_simulator)) == 2


async def test_an_invalid_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_BASE_URL", "nowhere")
    app = FastAPI(lifespan=lifespan())
    with pytest.raises(errors.InvalidSettingsError):
        async with app.router.lifespan_context(app):
            pass


async def test_without_settings_the_message_names_the_lifespan(capfd: pytest.CaptureFixture[str]) -> None:
    reply = await ask(answering(router_dependency()), "/answer")
    assert reply.status == 500
    assert "build it with FastAPI(lifespan=lifespan())" in capfd.readouterr().err


async def test_the_check_warns_about_providers_that_do_not_answer(
    madspark_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    madspark_simulator.on("gemini", status=503)
    settings = settings_of(madspark_simulator).replace(openai_model=None)
    app = FastAPI(lifespan=lifespan(settings, check=True))
    async with app.router.lifespan_context(app):
        pass
    warnings = [record.getMessage() for record in caplog.records if record.name == "madspark.integrations"]
    assert [message.partition(" is configured but not usable: ")[0] for message in warnings] == ["gemini"]
    assert {request.provider for request in madspark_simulator.requests} >= {"ollama", "gemini"}
    assert model_requests(madspark_simulator) == []


async def test_a_lifespan_of_the_users_may_enter_it(madspark_simulator: Simulator) -> None:
    app = answering(router_dependency(primary_provider="ollama"))
    async with lifespan(lambda: settings_of(madspark_simulator))(app):
        assert (await ask(app, "/answer")).status == 200


async def test_held_runs_end_at_shutdown(madspark_simulator: Simulator) -> None:
    madspark_simulator.on(fault="stall")
    app = FastAPI(lifespan=lifespan(settings_of(madspark_simulator)))
    held: list[WorkflowRun] = []

    @app.post("/runs")
    async def begin(router: Annotated[LLMRouter, Depends(router_dependency(primary_provider="ollama"))]) -> str:
        from madspark.integrations.fastapi import hold_run

        held.append(hold_run(app, await AsyncCoordinator(router=router).start("topic")))
        return held[0].id

    async with asyncio.timeout(LIMIT), serving(app, lifespan="on") as port:
        assert (await ask_at(port, "/runs")).json
        assert await madspark_simulator.await_requests(1)
        assert madspark_simulator.in_flight == 1
    assert await madspark_simulator.await_hang_ups(1)
    assert (await held[0].result()).cut == "cancelled"


PROBE = """
import sys
import madspark
from madspark import LLMRouter, AsyncCoordinator
print(sorted(set(sys.modules) & {"fastapi", "starlette", "madspark.integrations", "pydantic"}))
sys.modules["fastapi"] = None
try:
    import madspark.integrations.fastapi
except ImportError as error:
    print(error)
"""


def test_fastapi_is_imported_by_the_integration_alone() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True, text=True, timeout=60)  # noqa: S603  # our own script
    assert done.stdout.splitlines() == [
        "[]",
        "madspark.integrations.fastapi needs FastAPI: pip install 'madspark[fastapi]'",
    ]
