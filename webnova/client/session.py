"""What a connection sends with every request, whichever way it waits for the answer."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx

from engine.kernel.errors import Unauthenticated
from webnova.client.location import Location, is_loopback
from webnova.client.operations import Operation
from webnova.client.retrying import Attempts, Patience
from webnova.client.streaming import Stream

_NO_AUTHENTICATION = frozenset({"/api/v1/health", "/api/v1/schemas/blueprint"})


class Session:
    """Builds requests. `tenant` makes a root caller act inside another tenant."""

    def __init__(self, location: Location, tenant: str | None, patience: Patience) -> None:
        self.location = location
        self.patience = patience
        self._headers = {"accept": "application/json", "user-agent": "webnova-client"}
        if location.token:
            self._headers["authorization"] = f"Bearer {location.token.reveal()}"
        if tenant:
            self._headers["x-webnova-tenant"] = tenant

    def http_options(self) -> dict[str, Any]:
        """For `httpx.Client` and `httpx.AsyncClient`; a proxy is never asked for this machine."""
        return {
            "base_url": self.location.url,
            "headers": self._headers,
            "timeout": self.patience.timeout(),
            "trust_env": not is_loopback(self.location.url),
            "follow_redirects": False,
        }

    def attempts(self) -> Attempts:
        return Attempts(self.patience, self.location.url)

    def request(self, operation: Operation[Any]) -> dict[str, Any]:
        """The arguments of one request, drawn once so that every try of it is the same."""
        self._require_token(operation.path)
        headers = dict(operation.headers)
        if operation.writes:
            headers["idempotency-key"] = operation.key or uuid4().hex
        return {
            "method": operation.method,
            "url": operation.path,
            "params": operation.sent_params(),
            "headers": headers,
            **({} if operation.json is None else {"json": operation.json}),
            **({} if operation.content is None else self._long(operation.content)),
        }

    def _long(self, content: Any) -> dict[str, Any]:
        connect = self.patience.timeout().connect
        return {"content": content, "timeout": httpx.Timeout(None, connect=connect)}

    def stream_request(self, stream: Stream[Any]) -> dict[str, Any]:
        self._require_token(stream.path)
        return {
            "method": "GET",
            "url": stream.path,
            "params": stream.params,
            "headers": stream.headers(),
        }

    def _require_token(self, path: str) -> None:
        if not self.location.token and path not in _NO_AUTHENTICATION:
            raise Unauthenticated(
                f"There is no API token for {self.location.url}.",
                mend="Set WEBNOVA_TOKEN; on the machine itself, `webnova token` shows one.",
            )


def is_success(response: httpx.Response) -> bool:
    return 200 <= response.status_code < 300
