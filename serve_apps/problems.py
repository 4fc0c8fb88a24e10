"""Every failure of the API as RFC 9457 `application/problem+json`, and nothing else of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from engine.kernel.errors import InvalidInput, NotFound, TooLarge, WebNovaError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
MOST_ERRORS = 50
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class MethodNotAllowed(WebNovaError):
    code, status, title = "method_not_allowed", 405, "Method not allowed"


class NotAcceptable(WebNovaError):
    code, status, title = "not_acceptable", 406, "Not acceptable"


class UnsupportedMediaType(WebNovaError):
    code, status, title = "unsupported_media_type", 415, "Media type not supported"


class BadGateway(WebNovaError):
    """The platform behind the preview address broke off or answered nonsense."""

    code, status, title = "bad_gateway", 502, "The platform did not answer properly"


class Problem(BaseModel):
    """What went wrong (RFC 9457), with a stable `code` and, where there is one, the mend.

    Some problems have further fields, such as `errors`, the list of places that are wrong.
    """

    model_config = ConfigDict(extra="allow")

    examples: ClassVar[dict[str, Any]] = {
        "type": "urn:webnova:problem:not_found",
        "title": "Not found",
        "status": 404,
        "detail": "There is no platform 'clinic'.",
        "code": "not_found",
        "instance": "/api/v1/platforms/clinic",
    }

    type: str = Field(description="`urn:webnova:problem:` and the code.")
    title: str = Field(description="The same for every problem of this code.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What went wrong this time, for the person who called.")
    code: str = Field(description="Stable name of the problem, for programs.")
    instance: str = Field(description="Path of the request.")
    mend: str | None = Field(None, description="How to put it right.")


MEANINGS = {
    400: "The body can't be read as what is wanted here.",
    401: "No API token was sent, or one that is wrong, expired or revoked.",
    403: "The token lacks the permission.",
    404: "There is no such thing in this tenant.",
    406: "None of the accepted media types can be given.",
    409: "The state of the thing does not allow this now, or the idempotency key was used before.",
    412: "It was changed since it was read.",
    413: "The body is larger than is taken.",
    415: "The body's media type is not taken.",
    422: "The input is not valid; `errors` lists the places.",
    428: "`If-Match` is missing.",
    429: "A limit of the tenant is reached.",
    503: "A part that is needed is not there now; `Retry-After` says when to come back.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may fail with these statuses."""
    return {status: _documented(status) for status in statuses}


def _documented(status: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "description": MEANINGS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in (429, 503):
        retry = {"description": "Seconds to wait.", "schema": {"type": "string"}}
        shown["headers"] = {"Retry-After": retry}
    return shown


def problem_response(
    error: WebNovaError, path: str, headers: dict[str, str] | None = None
) -> Response:
    """The answer for an error; `path` becomes `instance`."""
    sent = {"cache-control": "no-store", **(headers or {})}
    if error.status == 401:
        sent["www-authenticate"] = "Bearer"
    if error.status in (429, 503):
        sent["retry-after"] = str(_seconds(error.fields.get("retry_after")))
    # Escaped to ASCII, so that whatever a caller sent and we repeat can be encoded.
    body = json.dumps({**error.problem(), "instance": path}).encode()
    return Response(body, error.status, headers=sent, media_type=MEDIA_TYPE)


def _seconds(wished: Any) -> int:
    if isinstance(wished, int | float) and not isinstance(wished, bool) and 0 < wished < 86_400:
        return max(1, round(wished))
    return RETRY_AFTER_S


async def on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, WebNovaError)
    return problem_response(error, request.url.path)


async def on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(invalid_request(error.errors()), request.url.path)


def invalid_request(errors: Sequence[Any]) -> InvalidInput:
    """The problem that lists the fields of a request that are wrong, never their values."""
    shown = [_place(each) for each in errors[:MOST_ERRORS]]
    first = shown[0]
    many = "" if len(errors) == 1 else f" ({len(errors)} problems in all)"
    return InvalidInput(
        f"{first['path'] or 'The request'}: {first['message']}{many}.",
        mend="Correct the places that are listed and try again.",
        errors=shown,
    )


def _place(error: dict[str, Any]) -> dict[str, Any]:
    kind, *rest = error["loc"]
    message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    if error["type"] == "json_invalid":
        reason = str(error.get("ctx", {}).get("error", "")).rstrip(".")
        return {"path": "", "message": f"the body is no JSON: {reason}"[:200], "in": "body"}
    path = ".".join(str(part)[:60] for part in rest)
    return {"path": path, "message": message[:500], "in": str(kind)}


async def on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers = {"allow": ", ".join(allowed_methods(request.scope))}
    return problem_response(_translated(error, request), request.url.path, headers)


def _translated(error: HTTPException, request: Request) -> WebNovaError:
    if isinstance(error.__cause__, WebNovaError):
        return error.__cause__
    match error.status_code:
        case 404:
            return NotFound("There is nothing at this address.", mend="See /docs.")
        case 405:
            return MethodNotAllowed(f"{request.method[:20]} is not possible here.")
        case 413:
            return TooLarge("The body is too large.")
        case _:
            return InvalidInput("The body can't be read as what it is said to be.")


def allowed_methods(scope: Scope) -> list[str]:
    """Every method that some route takes at this path."""
    routes: Sequence[BaseRoute] = scope["app"].routes
    return [
        method
        for method in METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]
