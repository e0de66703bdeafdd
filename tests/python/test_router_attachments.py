"""Attachments: how each provider receives them, which providers are skipped, and which input is rejected at once."""

from __future__ import annotations

import base64
import subprocess
import sys
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from madspark import AllProvidersFailedError, DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from madspark import LLMRouter
    from madspark.testing import RecordedRequest, Simulator

PROVIDERS = ["ollama", "gemini", "openai"]
MB = 1024 * 1024

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"
GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00"
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 "
BMP = b"BM\x3a\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00"
IMAGES = {"image/png": PNG, "image/jpeg": JPEG, "image/gif": GIF, "image/webp": WEBP, "image/bmp": BMP}
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"


class Note(BaseModel):
    """The requested object."""

    text: str


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def images_on_the_wire(provider: str, body: Any) -> list[str]:
    """Return each image as a data URL, or as bare base64 for Ollama, whose protocol has no media types."""
    if provider == "ollama":
        return list(body["messages"][-1].get("images", []))
    if provider == "gemini":
        parts = [part["inlineData"] for part in body["contents"][0]["parts"] if "inlineData" in part]
        return [f"data:{part['mimeType']};base64,{part['data']}" for part in parts]
    content = body["messages"][-1]["content"]
    return [part["image_url"]["url"] for part in content if part["type"] == "image_url"]


def calls(simulator: Simulator) -> list[RecordedRequest]:
    """Return the requests except those for the facts of a model."""
    return [request for request in simulator.requests if request.path != "/api/show"]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mime", IMAGES)
@pytest.mark.parametrize("source", ["bytes", "str", "Path"])
@pytest.mark.parametrize("argument", ["files", "images"])
def test_images_are_detected_by_content_and_encoded_for_the_provider(
    provider: str,
    mime: str,
    source: str,
    argument: str,
    tmp_path: Path,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
) -> None:
    data = IMAGES[mime]
    # The extension does not match the content.
    path = tmp_path / "picture.txt"
    path.write_bytes(data)
    image: Any = {"bytes": data, "str": str(path), "Path": path}[source]
    router = madspark_router(primary_provider=provider, fallback_enabled=False)
    arguments: dict[str, Any] = {argument: [image]}
    _, response = router.generate_structured("What is it?", Note, **arguments)
    assert response.provider == provider
    (request,) = calls(madspark_simulator)
    expected = b64(data) if provider == "ollama" else f"data:{mime};base64,{b64(data)}"
    assert images_on_the_wire(provider, request.json) == [expected]
    assert request.prompt == "What is it?"


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", ["notes.txt", "notes.md"])
def test_texts_precede_the_prompt_with_their_names(
    provider: str,
    name: str,
    tmp_path: Path,
    madspark_router: Callable[..., LLMRouter],
    madspark_simulator: Simulator,
) -> None:
    path = tmp_path / name
    path.write_text("\ufeffRain is 日本語 water.\n~~~~~~\n", encoding="utf-8")
    madspark_router(primary_provider=provider).generate_structured(
        "What is it?", Note, files=[path, b"Bytes are text too."]
    )
    (request,) = madspark_simulator.requests
    prompt = request.prompt
    assert f'Document "{name}"' in prompt
    assert "~~~~~~~\nRain is 日本語 water.\n~~~~~~\n~~~~~~~" in prompt
    assert prompt.index("Rain") < prompt.index("Bytes are") < prompt.index("What is it?")
    assert "inlineData" not in request.body.decode()


def test_images_keep_their_order(madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator) -> None:
    madspark_router(primary_provider="ollama").generate_structured("?", Note, files=[PNG, GIF], images=[JPEG])
    (request,) = calls(madspark_simulator)
    assert images_on_the_wire("ollama", request.json) == [b64(PNG), b64(GIF), b64(JPEG)]


def test_a_pdf_is_sent_to_gemini_and_ollama_is_skipped_with_the_reason(
    tmp_path: Path, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    path = tmp_path / "paper.pdf"
    path.write_bytes(PDF)
    router = madspark_router(primary_provider="ollama")
    _, response = router.generate_structured("What is it?", Note, files=[path])
    (request,) = madspark_simulator.requests
    assert request.json["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "application/pdf", "data": b64(PDF)}},
        {"text": "What is it?"},
    ]
    skipped, answered = response.attempts
    assert (skipped.provider, skipped.error, skipped.status) == ("ollama", "unsupported", None)
    assert "PDF" in (skipped.message or "")
    assert answered.provider == response.provider == "gemini"
    assert (router.get_metrics()["ollama_calls"], router.get_metrics()["gemini_calls"]) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"files": [PDF]}, "does not take PDF files")],
)
def test_without_a_fallback_the_error_names_the_unsupported_attachment(
    arguments: dict[str, Any], words: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    for options in ({"primary_provider": "ollama", "fallback_enabled": False}, {}):
        router = madspark_router(**options)
        with pytest.raises(AllProvidersFailedError, match=words) as caught:
            router.generate_structured("?", Note, force_provider=None if options else "ollama", **arguments)
        assert [attempt.error for attempt in caught.value.attempts] == ["unsupported"]
        assert router.get_metrics()["failed_requests"] == 1
    assert madspark_simulator.requests == []


def docx() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<document/>")
    return buffer.getvalue()


REJECTED: dict[str, tuple[str, bytes | int, type[Exception], str]] = {
    "empty": ("a.txt", b"", ValueError, "empty"),
    "blank": ("a.txt", b" \n ", ValueError, "empty"),
    "binary": ("a.txt", b"\x00\x01\x02\xff", ValueError, "unsupported type"),
    "zip": ("a.zip", b"PK\x03\x04\x00\x00", ValueError, "unsupported type"),
    "docx": ("a.docx", docx(), ValueError, "PDF or text"),
    "latin-1": ("a.txt", "Grüße".encode("latin-1"), ValueError, "unsupported type"),
    "any file": ("a.bin", 50 * MB + 1, ValueError, "50 MB"),
    "image": ("a.png", 8 * MB + 1, ValueError, "8 MB"),
    "text": ("a.txt", 20 * MB + 1, ValueError, "20 MB"),
    "pdf": ("a.pdf", 40 * MB + 1, ValueError, "40 MB"),
}
HEADS = {"a.png": PNG, "a.pdf": PDF, "a.txt": b"a" * 9000}


@pytest.mark.parametrize("name", REJECTED)
async def test_unsupported_files_are_rejected_before_a_request(
    name: str, tmp_path: Path, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    file, content, expected, words = REJECTED[name]
    path = tmp_path / file
    if isinstance(content, int):
        # A sparse file: content above the limit is not read.
        with path.open("wb") as sparse:
            sparse.write(HEADS.get(file, b""))
            sparse.truncate(content)
    else:
        path.write_bytes(content)
    router = madspark_router()
    with pytest.raises(expected, match=words) as caught:
        router.generate_structured("?", Note, files=[path])
    assert file in str(caught.value)
    with pytest.raises(expected, match=words):
        await router.agenerate_structured("?", Note, files=[path])
    assert madspark_simulator.requests == []
    assert router.get_metrics()["total_requests"] == 0


async def test_missing_files_directories_and_other_wrong_arguments_are_rejected(
    tmp_path: Path, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    router = madspark_router()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        router.generate_structured("?", Note, files=[tmp_path / "nowhere.png"])
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        await router.agenerate_structured("?", Note, images=["nowhere.png"])
    with pytest.raises(ValueError, match="is not a regular file"):
        router.generate_structured("?", Note, files=[tmp_path])
    for wrong in (PDF, b"text", docx()):
        with pytest.raises(ValueError, match="is not a supported image"):
            router.generate_structured("?", Note, images=[wrong])
    for address in ("example.org", "ftp://example.org/x", "file:///etc/passwd", "", "https://"):
        with pytest.raises(ValueError, match="web address"):
            router.generate_structured("?", Note, urls=[address])
    for wrong_type in ({"files": [1]}, {"files": 1}, {"urls": [b"https://x"]}):
        with pytest.raises(TypeError):
            router.generate_structured("?", Note, **wrong_type)
    assert madspark_simulator.requests == []


HOLDER = """
import fcntl, signal, sys, threading

file = open(sys.argv[1], "r+")
returned = threading.Event()
signal.signal(signal.SIGIO, lambda *_: returned.set())
fcntl.fcntl(file, 1024, fcntl.F_WRLCK)
print("leased", flush=True)
sys.stdin.read() if sys.argv[2] == "keep" else returned.wait()
"""
"""A process with a lease of a file, as a file server takes it: opening the file waits until the lease is returned."""


@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")
async def test_the_deadline_includes_reading_files(
    tmp_path: Path, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    path = tmp_path / "leased.txt"
    path.write_text("Rain is water.")
    for what in ("keep", "return"):
        command = [sys.executable, "-c", HOLDER, str(path), what]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:  # noqa: ASYNC220, S603
            assert holder.stdout is not None
            assert holder.stdout.readline() == "leased\n"
            if what == "keep":
                router = madspark_router(deadline=0.5)
                with pytest.raises(DeadlineExceededError, match="while files were read"):
                    router.generate_structured("?", Note, files=[path])
                with pytest.raises(DeadlineExceededError, match="while files were read"):
                    await router.agenerate_structured("?", Note, files=[path])
                assert madspark_simulator.requests == []
            else:
                await madspark_router(deadline=30.0).agenerate_structured("?", Note, files=[path])
                assert "Rain is water." in madspark_simulator.requests[0].prompt
            holder.communicate()


@pytest.mark.parametrize("argument", ["files", "images", "urls"])
def test_a_string_is_not_a_list_of_attachments(
    argument: str, madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    arguments: dict[str, Any] = {argument: "https://example.org/picture.png"}
    with pytest.raises(TypeError):
        madspark_router().generate_structured("?", Note, **arguments)
    assert madspark_simulator.requests == []


def test_empty_lists_add_no_attachments(
    madspark_router: Callable[..., LLMRouter], madspark_simulator: Simulator
) -> None:
    madspark_router(primary_provider="gemini").generate_structured("?", Note, files=[], images=(), urls=[])
    (request,) = madspark_simulator.requests
    assert request.json["contents"] == [{"role": "user", "parts": [{"text": "?"}]}]
