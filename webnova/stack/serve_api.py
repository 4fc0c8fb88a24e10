"""Deploying through the dashboard's Serve REST interface, as `serve deploy` does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from engine.kernel.errors import Unavailable
from engine.kernel.secret import Secret

APPLICATIONS = "/api/serve/applications/"
_DEPLOY_ATTEMPTS = 3
Document = dict[str, Any]


def load_serve_config(path: Path) -> Document:
    """The multi-application configuration in `path`. Raises `Unavailable` when it isn't one."""
    document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or not isinstance(document.get("applications"), list):
        raise Unavailable("serve.yaml holds no applications.")
    return document


def localise(document: Document, port: int) -> Document:
    """The configuration for one machine: its port, loopback only, one proxy."""
    options = {**document.get("http_options", {}), "host": "127.0.0.1", "port": port}
    return {**document, "proxy_location": "HeadOnly", "http_options": options}


def with_environment(document: Document, variables: dict[str, str]) -> Document:
    """The configuration whose applications get `variables`, for nodes that others started."""
    applications = []
    for application in document["applications"]:
        runtime = dict(application.get("runtime_env") or {})
        runtime["env_vars"] = {**runtime.get("env_vars", {}), **variables}
        applications.append({**application, "runtime_env": runtime})
    return {**document, "applications": applications}


class ServeApi:
    """The Serve part of one cluster's dashboard. `token` is Ray's authentication token."""

    def __init__(self, dashboard_url: str, token: Secret | None) -> None:
        headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
        self._client = httpx.Client(
            base_url=dashboard_url, headers=headers, timeout=20.0, trust_env=False
        )

    def close(self) -> None:
        self._client.close()

    def ready(self) -> bool:
        """Whether the dashboard answers for Serve yet."""
        try:
            return self._client.get(APPLICATIONS, timeout=5.0).status_code == 200
        except httpx.HTTPError:
            return False

    def deploy(self, document: Document) -> None:
        """Make the cluster converge to `document`; returns when it is accepted.

        Serve starts itself at the first call, which may fail on a busy machine; then it is asked
        again. Raises `Unavailable` with Serve's reason.
        """
        reason = ""
        for attempt in range(_DEPLOY_ATTEMPTS):
            if attempt:
                time.sleep(2.0)
            try:
                answer = self._client.put(APPLICATIONS, json=document, timeout=180.0)
            except httpx.HTTPError as error:
                reason = type(error).__name__
                continue
            if answer.status_code == 200:
                return
            # A refusal is a Python traceback; its last line is the reason.
            reason = (answer.text.strip().splitlines() or [""])[-1]
            if answer.status_code < 500:
                break
        raise Unavailable(f"Ray Serve refused the configuration: {reason[:300]}")

    def statuses(self) -> dict[str, tuple[str, str]]:
        """For each application its status (`RUNNING`, `DEPLOYING`, …) and message."""
        try:
            answer = self._client.get(APPLICATIONS)
            answer.raise_for_status()
            found = answer.json().get("applications", {})
        except (httpx.HTTPError, ValueError):
            return {}
        return {name: (part["status"], part.get("message", "")) for name, part in found.items()}

    def shut_down(self, timeout: float) -> bool:
        """Stop all applications and Serve itself; whether that was done within `timeout` s."""
        try:
            return self._client.delete(APPLICATIONS, timeout=timeout).status_code == 200
        except httpx.HTTPError:
            return False
