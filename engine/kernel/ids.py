"""Identifiers: time-ordered, unguessable, readable by their prefix."""

from __future__ import annotations

import os
import re
import time
import uuid

SLUG = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
"""What a tenant, platform or token may be called where it appears in addresses and paths."""


def uuid7() -> uuid.UUID:
    """A version 7 UUID (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits."""
    value = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def new_id(prefix: str) -> str:
    """A new identifier such as `run_0198c3…`; sorts by time of creation."""
    return f"{prefix}_{uuid7().hex}"
