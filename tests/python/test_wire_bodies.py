"""Bodies: empty ones, and encodings."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from raw_server import Reply, chunked, head, whole
from wire_bytes import EVENTS, PROTOCOLS, VALUE, VALUE_WAYS, WAYS, Name, Way, ask, is_streamed, openai


@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_empty_body_is_called_empty(name: Name) -> None:
    for reply in (whole(""), whole("\n"), Reply([head(200, "content-length: 0")], keep_alive=True)):
        for way in ("whole", "stream"):
            words = ask(name, way, reply, max_attempts=1).words
            assert "empty" in words
            assert "ends too early" not in words


def test_a_body_in_an_unknown_encoding_names_it() -> None:
    for encoding in ("br", "zstd"):
        reply = whole(b"\x0b\x02\x80hello\x03", 200, f"content-encoding: {encoding}")
        assert encoding in ask("openai", "whole", reply, max_attempts=1).words


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wbits", [15, -15, 31])
def test_compressed_replies_are_read(wbits: int, way: Way) -> None:
    compressor = zlib.compressobj(wbits=wbits)
    encoding = "gzip" if wbits > 15 else "deflate"
    text = VALUE if way in VALUE_WAYS else "Hello"
    plain = b"".join(EVENTS["openai"]([text])) if is_streamed(way) else json.dumps(openai(text)).encode()
    packed = compressor.compress(plain) + compressor.flush()
    kind = "text/event-stream" if is_streamed(way) else "application/json"
    reply = chunked([packed[:9], packed[9:]], f"content-encoding: {encoding}", kind=kind)
    outcome = ask("openai", way, reply)
    assert outcome.error is None, outcome.words
    assert len(outcome.requests) == 1


@pytest.mark.parametrize("way", WAYS)
def test_gzip_members_without_content_are_limited(way: Way) -> None:
    text = VALUE if way in VALUE_WAYS else "Hello"
    plain = b"".join(EVENTS["openai"]([text])) if is_streamed(way) else json.dumps(openai(text)).encode()
    kind = "text/event-stream" if is_streamed(way) else "application/json"
    empty = gzip.compress(b"")
    for count, is_read in ((500, True), (50_000, False)):
        reply = whole(empty * count + gzip.compress(plain), 200, "content-encoding: gzip", kind=kind)
        outcome = ask("openai", way, reply, max_attempts=1)
        assert (outcome.error is None) == is_read, outcome.words
        assert is_read or "members without content" in outcome.words
