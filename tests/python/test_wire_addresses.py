"""Addresses of providers as people write them: the request arrives there, or the configuration is refused."""

from __future__ import annotations

from typing import Any

import pytest

from madspark import LLMConfig, LLMRouter
from raw_server import RawServer
from wire_bytes import KEY, says

HOSTS = [
    "127.0.0.1:{port}",
    "localhost:{port}",
    ":{port}",
    "0.0.0.0:{port}",
    "http://0.0.0.0:{port}",
    "http://127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}",
    ' "127.0.0.1:{port}" ',
    "'127.0.0.1:{port}'",
    "[::]:{port}",
    "http://[::]:{port}",
]


@pytest.mark.parametrize("host", HOSTS)
def test_the_address_of_ollama(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(says("ollama", "whole", "Hello")) as server:
        monkeypatch.setenv("OLLAMA_HOST", host.format(port=server.port))
        config = LLMConfig.from_env().replace(cache_enabled=False)
        assert LLMRouter("ollama", False, config=config).generate("Hi")[0] == "Hello"
        assert server.requests[0].headers["host"].endswith(f":{server.port}")


DEFAULTS = [
    ("gpu-box", "gpu-box:11434"),
    ("localhost", "localhost:11434"),
    ("192.168.1.20", "192.168.1.20:11434"),
    ("::1", "[::1]:11434"),
    ("[::1]", "[::1]:11434"),
    ("[fe80::1]:8080", "[fe80::1]:8080"),
    ("gpu-box:8080", "gpu-box:8080"),
    ('"gpu-box"', "gpu-box:11434"),
    ("  gpu-box  ", "gpu-box:11434"),
    ("gpu-box/ollama", "gpu-box:11434/ollama"),
    ("http://gpu-box:11435", "gpu-box:11435"),
    ("0.0.0.0", "127.0.0.1:11434"),  # noqa: S104  (nothing is bound)
    (":11435", "127.0.0.1:11435"),
]


@pytest.mark.parametrize(("host", "address"), DEFAULTS)
def test_the_default_port_of_ollama(host: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    found = LLMConfig.from_env().ollama_host.rstrip("/").replace("localhost", "127.0.0.1")
    assert found == "http://" + address.replace("localhost", "127.0.0.1")


@pytest.mark.parametrize(("host", "port"), [("https://ollama.example", 443), ("http://ollama.example", 80)])
def test_a_scheme_has_its_own_port(host: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    found = LLMConfig.from_env().ollama_host
    assert "11434" not in found
    assert found.rstrip("/") in {host, f"{host}:{port}"}


MALFORMED = ["http://", "ftp://host", "http://host:port", "http://host:99999", "http://[::1", "ht!tp://x", "host:port"]


@pytest.mark.parametrize("address", MALFORMED)
@pytest.mark.parametrize(
    ("provider", "variable", "field"),
    [
        ("ollama", "OLLAMA_HOST", "ollama_host"),
        ("openai", "OPENAI_BASE_URL", "openai_base_url"),
        ("anthropic", "ANTHROPIC_BASE_URL", "anthropic_base_url"),
        ("gemini", "GEMINI_BASE_URL", "gemini_base_url"),
    ],
)
def test_a_malformed_address_is_refused_at_construction(
    provider: Any, variable: str, field: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"(?i)url|address|host|port"):
        LLMRouter(provider, False, config=LLMConfig(**{field: address}))  # type: ignore[arg-type]
    monkeypatch.setenv(variable, address)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ValueError, match=r"(?i)url|address|host|port") as refused:
        LLMRouter(provider, False, config=LLMConfig.from_env())
    assert variable in str(refused.value) or field in str(refused.value)
    assert KEY not in str(refused.value)


def test_an_address_without_a_scheme_never_leads_to_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(says("openai", "whole", "Hello")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"localhost:{server.port}/v1")
        monkeypatch.setenv("OPENAI_MODEL", "m")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        try:
            config = LLMConfig.from_env()
            text, _ = LLMRouter("openai", False, config=config.replace(cache_enabled=False)).generate("Hi")
        except ValueError as refused:
            assert "OPENAI_BASE_URL" in str(refused) or "openai_base_url" in str(refused)  # noqa: PT017
        else:
            assert (text, len(server.requests)) == ("Hello", 1)
