"""Blueprints on their way in: read and checked beside the event loop, which a large one would hold
up for seconds."""

from __future__ import annotations

import asyncio
from typing import Any

from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.source import Loaded, load, load_data
from engine.forge.versions import content_of


async def read_text(text: str | bytes) -> Loaded:
    """Raises `InvalidInput` with lines and columns, and `TooLarge`."""
    return await asyncio.to_thread(load, text)


async def read_data(data: dict[str, Any]) -> Blueprint:
    """Raises `InvalidInput` with JSON pointers, and `TooLarge`."""
    return await asyncio.to_thread(load_data, data)


async def content_from(data: dict[str, Any] | None, text: str | None) -> dict[str, Any] | None:
    """The content that is stored, from either form of a Blueprint; None from neither."""
    if text is not None:
        return content_of((await read_text(text)).blueprint)
    if data is not None:
        return content_of(await read_data(data))
    return None
