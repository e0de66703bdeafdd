"""The part of HTTP that the floor and the upstream need."""

from __future__ import annotations


def is_whole(data: bytes) -> bool:
    """Return whether `data` is a complete message with a content length."""
    head, gap, body = data.partition(b"\r\n\r\n")
    if not gap:
        return False
    at = head.lower().find(b"content-length:")
    if at < 0:
        return True
    return len(body) >= int(head[at + 15 :].split(b"\r\n", 1)[0])


def take_chunks(data: bytes) -> tuple[list[bytes], bytes]:
    """Remove and return the complete chunks of a chunked body. The last chunk is empty."""
    chunks, at = [], 0
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:end], 16)
        if len(data) < end + size + 4:
            break
        chunks.append(data[end + 2 : end + 2 + size])
        at = end + size + 4
    return chunks, data[at:]
