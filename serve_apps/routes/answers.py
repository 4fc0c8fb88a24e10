"""Answers as they go out: views written as JSON once, with the headers of their kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from engine.kernel.contracts import Command, Query

NDJSON = "application/x-ndjson"


def answered(
    view: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(view.model_dump_json(), status, headers=headers, media_type="application/json")


def message(kind: type[Command] | type[Query]) -> dict[str, Any]:
    """The OpenAPI extensions that name a route's command or query and its permission."""
    return {
        "x-webnova-message": kind.__name__,
        "x-webnova-permission": kind.permission,
        "x-webnova-writes": issubclass(kind, Command),
    }


def text_answer(
    media_type: str, description: str, headers: dict[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """The `responses` entry of an answer that is no JSON document."""
    content = {media_type: {"schema": {"type": "string"}}}
    return {200: {"description": description, "content": content, "headers": headers or {}}}


def location(text: str) -> dict[str, Any]:
    return {"Location": {"description": text, "schema": {"type": "string"}}}


ETAG = {"ETag": {"description": "The digest, in quotes.", "schema": {"type": "string"}}}
