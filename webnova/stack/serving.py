"""The Ray cluster that the stack uses, with the API on it: a head of its own or a joined one."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from pathlib import Path

import httpx

from engine.kernel.errors import Unavailable
from engine.kernel.secret import Secret
from webnova.stack.home import Settings
from webnova.stack.ports import LOOPBACK, PortClaims
from webnova.stack.processes import ProcessRef
from webnova.stack.ray_head import DASHBOARD_PORT, PROJECT_ROOT, RayHead
from webnova.stack.serve_api import (
    Document,
    ServeApi,
    load_serve_config,
    localise,
    with_environment,
)

_SERVE_TIMEOUT_S = 120.0
_SHUTDOWN_TIMEOUT_S = 10.0


class Cluster(ABC):
    """Launch, wait, deploy, wait until served; `withdraw()` and `close()` in the end."""

    address: str
    dashboard_url: str
    http_port: int
    public_url: str
    ingress: str
    document: Document
    serve: ServeApi

    @property
    @abstractmethod
    def ref(self) -> ProcessRef | None:
        """The head's process when it is ours."""

    @property
    @abstractmethod
    def temporary(self) -> list[str]:
        """Directories outside the home."""

    @abstractmethod
    def launch(self) -> None: ...

    @abstractmethod
    def wait(self) -> None:
        """Until the cluster accepts work. Raises `Unavailable`."""

    @abstractmethod
    def died(self) -> bool:
        """Whether a head of our own has ended."""

    @abstractmethod
    def forget(self) -> None: ...

    @abstractmethod
    def client_environment(self) -> dict[str, str]:
        """For a program that connects to the cluster."""

    @abstractmethod
    def withdraw(self) -> None:
        """Take the applications down in order before the cluster goes."""

    def deploy(self) -> None:
        self.serve.deploy(self.document)

    def wait_served(self) -> None:
        """Until every application runs and answers. Raises `Unavailable` with Serve's reason."""
        deadline = time.monotonic() + _SERVE_TIMEOUT_S
        names = {part["name"] for part in self.document["applications"]}
        while time.monotonic() < deadline:
            if self.died():
                raise Unavailable("Ray ended while the API was being deployed.")
            statuses = self.serve.statuses()
            for name in names & statuses.keys():
                if statuses[name][0] in ("DEPLOY_FAILED", "UNHEALTHY"):
                    reason = statuses[name][1].strip().splitlines()[-1:] or [""]
                    raise Unavailable(
                        f"The application {name} could not be deployed: {reason[0][:300]}",
                        mend="The logs directory of the home says more.",
                    )
            running = all(statuses.get(name, ("",))[0] == "RUNNING" for name in names)
            if running and self._answers():
                return
            time.sleep(0.1)
        raise Unavailable(f"The API did not answer within {_SERVE_TIMEOUT_S:.0f} seconds.")

    def _answers(self) -> bool:
        try:
            answer = httpx.get(f"{self.public_url}/-/healthz", timeout=2.0, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def close(self) -> None:
        self.serve.close()


class OwnCluster(Cluster):
    """One head of the stack's own, on loopback."""

    def __init__(self, settings: Settings, variables: dict[str, str]) -> None:
        self._claims = PortClaims()
        self.http_port = self._claims.take(settings.http_port)
        self.public_url = f"http://{LOOPBACK}:{self.http_port}"
        variables = {**variables, "WEBNOVA_PUBLIC_URL": self.public_url}
        self.document = localise(serve_document(), self.http_port)
        self.head = RayHead(settings.home, {**os.environ, **variables}, self._claims)
        self.address = self.head.address
        self.dashboard_url = self.head.dashboard_url
        self.ingress = self.head.ingress
        self.serve = ServeApi(self.dashboard_url, settings.home.secret("ray-token"))

    @property
    def ref(self) -> ProcessRef | None:
        return self.head.ref

    @property
    def temporary(self) -> list[str]:
        return [str(self.head.temporary)]

    def launch(self) -> None:
        self.head.launch()

    def wait(self) -> None:
        self.head.wait(self.serve.ready)

    def died(self) -> bool:
        return not self.head.poll()

    def forget(self) -> None:
        self.head.forget()

    def client_environment(self) -> dict[str, str]:
        return self.head.client_environment()

    def withdraw(self) -> None:
        if self.head.poll() and self.serve.statuses():
            self.serve.shut_down(_SHUTDOWN_TIMEOUT_S)

    def close(self) -> None:
        super().close()
        self._claims.close()


class JoinedCluster(Cluster):
    """A cluster that others run, named by `WEBNOVA_RAY_ADDRESS`: the stack only deploys on it.

    The dashboard is where `RAY_API_SERVER_ADDRESS` says, by default port 8265 of the same host.
    The token comes from Ray's own `RAY_AUTH_TOKEN` or `RAY_AUTH_TOKEN_PATH`. Each node must have
    the project and be able to reach the database.
    """

    def __init__(self, settings: Settings, variables: dict[str, str]) -> None:
        assert settings.ray_address is not None
        self.address = settings.ray_address
        host = self.address.removeprefix("ray://").rpartition(":")[0] or self.address
        self.dashboard_url = os.environ.get(
            "RAY_API_SERVER_ADDRESS", f"http://{host}:{DASHBOARD_PORT}"
        )
        document = serve_document()
        self.http_port = int(document.get("http_options", {}).get("port", settings.http_port))
        self.ingress = "as the cluster has it"
        self.public_url = f"http://{host}:{self.http_port}"
        self.variables = {**variables, "WEBNOVA_PUBLIC_URL": self.public_url}
        self.document = with_environment(document, self.variables)
        self.serve = ServeApi(self.dashboard_url, _token_from_environment())

    @property
    def ref(self) -> ProcessRef | None:
        return None

    @property
    def temporary(self) -> list[str]:
        return []

    def launch(self) -> None:
        """Nothing: the cluster is there."""

    def wait(self) -> None:
        for _ in range(50):
            if self.serve.ready():
                return
            time.sleep(0.2)
        raise Unavailable(
            "The Ray cluster's dashboard can't be reached or refuses the token.",
            mend="Check WEBNOVA_RAY_ADDRESS, RAY_API_SERVER_ADDRESS and RAY_AUTH_TOKEN_PATH.",
        )

    def died(self) -> bool:
        return False

    def forget(self) -> None:
        """Nothing: the cluster is not ours."""

    def client_environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **self.variables,
            "RAY_ADDRESS": self.address,
            "RAY_ENABLE_AUTO_CONNECT": "0",
            "PYTHONPATH": str(PROJECT_ROOT),
        }

    def withdraw(self) -> None:
        """Nothing: what was deployed on a joined cluster goes on serving."""


def serve_document() -> Document:
    """The project's serve.yaml, or the file that `WEBNOVA_SERVE_CONFIG` names."""
    named = os.environ.get("WEBNOVA_SERVE_CONFIG", "").strip()
    return load_serve_config(Path(named) if named else PROJECT_ROOT / "serve.yaml")


def _token_from_environment() -> Secret | None:
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return Secret(token)
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if path and Path(path).is_file():
        return Secret(Path(path).read_text(encoding="utf-8").strip())
    return None
