"""What happens to every request before and after its route: limits, trace, access log, 500s."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Iterable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import unbind_contextvars

from engine.kernel.errors import TooLarge, WebNovaError
from serve_apps.problems import problem_response
from webnova.logging import log_context

MAX_BODY = 2_000_000
"""Largest body that the API takes, in bytes. Previews have no limit: nothing is kept of them."""

PREVIEWS = "/p/"
UNBOUNDED = frozenset({"/api/v1/tenants/import"})
"""Where files of any size are taken, piece by piece, and only from those who may send them."""

_TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# With these a client could override the server's own deadlines.
_STRIPPED = frozenset({b"x-request-timeout-seconds", b"x-request-disconnect-disabled"})

_log = structlog.get_logger(__name__)


class Edge:
    """The outermost layer around the application.

    It removes headers that no client may set, takes over or starts a W3C trace
    (`scope["state"]["trace"]`), bounds bodies while they stream in, writes the access log, and
    turns an error that nothing else handled into a 500 problem that tells only the trace id.
    """

    def __init__(self, app: ASGIApp, *, max_body: int = MAX_BODY) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = [pair for pair in scope["headers"] if pair[0] not in _STRIPPED]
        trace, trace_id = _trace(headers)
        scope["headers"] = headers
        scope.setdefault("state", {})["trace"] = trace
        with log_context(trace=trace_id):
            await _Exchange(scope, receive, send, self._max_body).run(self._app, trace_id)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_body: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        free = scope["path"].startswith(PREVIEWS) or scope["path"] in UNBOUNDED
        self._room = None if free else max_body
        self._status = 0

    async def run(self, app: ASGIApp, trace_id: str) -> None:
        start = time.perf_counter()
        try:
            refusal = self._refusal()
            if refusal is not None:
                await self._answer(refusal)
            else:
                await app(self._scope, self._receive_bounded, self._send_noted)
        except Exception as error:
            _log.exception("request failed", path=self._scope["path"])
            if self._status:
                raise
            await self._answer(_internal(error, trace_id))
        finally:
            self._note(time.perf_counter() - start)

    def _refusal(self) -> TooLarge | None:
        if self._room is not None:
            for name, value in self._scope["headers"]:
                if name == b"content-length" and value.isdigit() and int(value) > self._room:
                    return too_large(self._room)
        return None

    async def _answer(self, error: WebNovaError) -> None:
        response = problem_response(error, self._scope["path"])
        await response(self._scope, self._receive, self._send_noted)

    async def _receive_bounded(self) -> Message:
        message = await self._receive()
        if self._room is not None and message["type"] == "http.request":
            self._room -= len(message.get("body", b""))
            if self._room < 0:
                raise too_large()
        return message

    async def _send_noted(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        await self._send(message)

    def _note(self, seconds: float) -> None:
        scope = self._scope
        # Reads that went well would drown the rest, and each would cost a tenth more.
        usual = scope["method"] == "GET" and 200 <= self._status < 400
        level = logging.DEBUG if usual else logging.INFO
        if logging.getLogger(__name__).isEnabledFor(level):
            _log.log(
                level,
                "request",
                method=scope["method"],
                path=scope["path"],
                status=self._status,
                ms=round(seconds * 1000, 2),
            )
        # A server may use one context for several requests of a connection.
        unbind_contextvars("tenant")


def too_large(limit: int = MAX_BODY) -> TooLarge:
    return TooLarge(f"The body is larger than {limit:,} bytes.", mend="Send less.", max_bytes=limit)


def _internal(error: Exception, trace_id: str) -> WebNovaError:
    if isinstance(error, WebNovaError):
        return error
    return WebNovaError(
        "Something went wrong inside WebNova; it was recorded.",
        mend="Try again; if it stays, give the trace to whoever runs this installation.",
        trace=trace_id,
    )


def _trace(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """The request's `traceparent` and the trace id in it; a fresh one when none was sent."""
    for name, value in headers:
        if name == b"traceparent" and (match := _TRACEPARENT.fullmatch(value)):
            return value.decode(), match[1].decode()
    trace_id = secrets.token_hex(16)
    return f"00-{trace_id}-{secrets.token_hex(8)}-01", trace_id
