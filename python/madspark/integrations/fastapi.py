"""Helpers for FastAPI and Starlette."""

from __future__ import annotations

from madspark.integrations._disconnect import cancel_on_disconnect

__all__ = ["cancel_on_disconnect"]
