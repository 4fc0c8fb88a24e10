"""The client's own part: errors, repeating, streams and where the installation is."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import webnova
from engine.kernel.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    QuotaExceeded,
    Unauthenticated,
    Unavailable,
    WebNovaError,
    error_types,
)
from webnova.client.asynchronous import AsyncClient
from webnova.client.location import locate
from webnova.client.problems import error_of
from webnova.client.retrying import Attempts, Patience
from webnova.client.synchronous import Client
from webnova.stack.home import Home
from webnova.stack.processes import ProcessRef
from webnova.stack.state import StackState

QUICK = Patience(attempts=4, budget_s=5.0, pause_s=0.001, longest_pause_s=0.002)
URL = "http://127.0.0.1:9"
TOKEN = "wn_root_x_y"
RUN = {
    "id": "run_1",
    "platform": "clinic",
    "kind": "build",
    "state": "running",
    "steps": [],
    "requested_by": "token:1",
    "requested_at": "2026-01-01T00:00:00Z",
    "ended_at": None,
    "cause": None,
    "log": None,
}
Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, patience: Patience = QUICK) -> Client:
    return Client(URL, TOKEN, patience=patience, transport=httpx.MockTransport(handler))


def problem(error: WebNovaError, **headers: str) -> httpx.Response:
    sent = {"content-type": "application/problem+json", **headers}
    return httpx.Response(error.status, content=json.dumps(error.problem()).encode(), headers=sent)


def event(type: str, cursor: str, **data: Any) -> bytes:
    body = {
        "cursor": cursor,
        "event_id": "00000000-0000-0000-0000-000000000000",
        "type": type,
        "kind": "run",
        "id": "run_1",
        "version": 1,
        "at": "2026-01-01T00:00:00Z",
        "data": data,
        "metadata": {},
    }
    return f"id: {cursor}\nevent: {type}\ndata: {json.dumps(body)}\n\n".encode()


@pytest.mark.parametrize("cls", [each for each in error_types() if each.status >= 400])
def test_each_error_comes_back_as_itself(cls: type[WebNovaError]) -> None:
    raised = cls("What happened.", mend="Do this.", errors=[{"path": "a", "message": "b"}])
    found = error_of(problem(raised))
    assert type(found) is cls
    assert (found.detail, found.mend) == ("What happened.", "Do this.")
    assert found.fields["errors"] == [{"path": "a", "message": "b"}]


def test_an_unknown_code_keeps_its_status_and_name() -> None:
    response = httpx.Response(409, json={"code": "from_the_future", "detail": "Hm.", "status": 409})
    found = error_of(response)
    assert type(found) is Conflict
    assert found.fields["code"] == "from_the_future"


@pytest.mark.parametrize(
    ("response", "cls"),
    [
        (httpx.Response(502, text="<html>bad gateway</html>"), Unavailable),
        (httpx.Response(404, text="nothing"), NotFound),
        (httpx.Response(418, json=["no", "problem"]), WebNovaError),
        (httpx.Response(404, text="{", headers={"content-type": "application/json"}), NotFound),
    ],
)
def test_an_answer_without_a_problem_is_an_error_too(
    response: httpx.Response, cls: type[WebNovaError]
) -> None:
    assert type(error_of(response)) is cls


def test_a_write_is_repeated_with_the_same_key_and_body() -> None:
    seen: list[tuple[str, bytes]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.headers["idempotency-key"], request.content))
        if len(seen) == 1:
            raise httpx.ConnectError("refused")
        if len(seen) == 2:
            return problem(Unavailable("full"))
        return httpx.Response(200, json=RUN)

    assert client(handler).cancel("run_1").id == "run_1"
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_different_writes_have_different_keys_and_a_given_key_is_kept() -> None:
    keys = []

    def handler(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        return httpx.Response(200, json=RUN)

    with client(handler) as calls:
        calls.cancel("run_1")
        calls.cancel("run_1")
        calls.cancel("run_1", idempotency_key="mine")
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_reads_carry_no_key() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert "idempotency-key" not in request.headers
        return httpx.Response(200, json=RUN)

    assert client(handler).run("run_1").state == "running"


def test_tries_are_bounded() -> None:
    count = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        raise httpx.ConnectError("refused")

    with pytest.raises(Unavailable) as caught:
        client(handler).run("run_1")
    assert count == QUICK.attempts
    assert "webnova up" in (caught.value.mend or "")


def test_a_final_refusal_is_not_repeated() -> None:
    count = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        return problem(QuotaExceeded("enough"), **{"retry-after": "7"})

    with pytest.raises(QuotaExceeded) as caught:
        client(handler).create("a clinic")
    assert count == 1
    assert caught.value.fields["retry_after"] == 7.0


def test_the_wished_pause_is_kept_and_bounded() -> None:
    now = [0.0]
    attempts = Attempts(Patience(attempts=10, budget_s=10.0), URL, clock=lambda: now[0])
    busy = problem(Unavailable("full"), **{"retry-after": "4"})
    assert attempts.answered(busy) == 4.0
    now[0] = 4.0
    assert attempts.answered(busy) == 4.0
    now[0] = 8.0
    with pytest.raises(Unavailable, match="full"):
        attempts.answered(busy)


def test_pauses_grow() -> None:
    attempts = Attempts(Patience(attempts=10, budget_s=1e6, pause_s=1.0, longest_pause_s=4.0), URL)
    pauses = [attempts.broken(httpx.ReadError("x")) for _ in range(5)]
    assert all(0.75 * base <= pause <= 1.25 * base for base, pause in zip([1, 2, 4, 4, 4], pauses,
                                                                         strict=True))  # fmt: skip


def test_a_stream_goes_on_where_it_broke_off() -> None:
    asked: list[str | None] = []

    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield b"retry: 1000\n: connected\n\n" + event("run.step_started", "1-1", step="plan")
            yield event("run.step_completed", "1-2", step="plan")[:20]
            raise httpx.ReadError("reset")

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("last-event-id"))
        if len(asked) == 1:
            return httpx.Response(200, stream=Broken())
        if len(asked) == 2:
            return problem(Unavailable("draining"), **{"retry-after": "0"})
        rest = event("run.step_completed", "1-2", step="plan") + event("run.succeeded", "1-3")
        return httpx.Response(200, content=rest + b"never read")

    followed = [each.cursor for each in client(handler).follow("run_1")]
    assert followed == ["1-1", "1-2", "1-3"]
    assert asked == [None, "1-1", "1-1"]


@pytest.mark.parametrize("last", ["empty", "nothing more"])
def test_a_stream_without_its_last_event_ends_when_the_run_had_ended_before(last: str) -> None:
    connections = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal connections
        if not request.url.path.endswith("/events"):
            return httpx.Response(200, json={**RUN, "state": "running" if connections < 2 else
                                             "succeeded"})  # fmt: skip
        connections += 1
        if connections == 3:
            # It came between the second connection's end and the question for the state.
            return httpx.Response(200, content=event("run.step_completed", "1-2", step="plan"))
        if connections == 1:
            return httpx.Response(200, content=event("run.step_started", "1-1", step="plan"))
        return httpx.Response(200 if last == "empty" or connections < 4 else 204)

    followed = [each.cursor for each in client(handler).follow("run_1")]
    assert followed == ["1-1", "1-2"]
    assert connections == 4


def test_pages_are_fetched_to_the_end() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        after = request.url.params.get("after")
        name = {None: "a", "a": "b", "b": "c"}[after]
        following = {"a": "a", "b": "b", "c": None}[name]
        return httpx.Response(
            200, json={"items": [{"name": name, "title": "T"}], "next": following}
        )

    assert [tenant.name for tenant in client(handler).tenants()] == ["a", "b", "c"]


def test_names_cannot_lead_elsewhere() -> None:
    paths = []

    def handler(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path)
        return problem(NotFound("no"))

    with client(handler) as calls:
        with pytest.raises(NotFound):
            calls.run("../tokens?x=1#y")
        for name in ("", ".", ".."):
            with pytest.raises(InvalidInput):
                calls.platform(name)
    assert paths == [b"/api/v1/runs/..%2Ftokens%3Fx%3D1%23y"]


def test_a_wish_has_one_form() -> None:
    with pytest.raises(InvalidInput, match="description and blueprint"):
        client(lambda _: httpx.Response(500)).create("a clinic", blueprint={"name": "x"})


def test_an_answer_that_is_none_of_ours_is_told_as_such() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"hello": "world"})

    with pytest.raises(Unavailable, match="no Run"):
        client(handler).run("run_1")


def test_waiting_is_bounded() -> None:
    with pytest.raises(TimeoutError):
        client(lambda _: httpx.Response(200, json=RUN)).wait("run_1", timeout=0.05)


def test_the_token_is_needed_except_for_health(monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"status": "ok", "database": "ok", "version": "1"})

    monkeypatch.delenv("WEBNOVA_TOKEN", raising=False)
    far = Client("https://far.example", transport=httpx.MockTransport(handler))
    assert far.health().status == "ok"
    with pytest.raises(Unauthenticated, match=r"far\.example"):
        far.platform("clinic")


def test_the_tenant_and_the_token_are_sent() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["x-webnova-tenant"] == "acme"
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        return httpx.Response(200, json=RUN)

    transport = httpx.MockTransport(handler)
    assert Client(URL, TOKEN, tenant="acme", transport=transport).run("run_1").id == "run_1"


async def test_the_asynchronous_client_repeats_and_follows() -> None:
    asked: list[str | None] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/events"):
            return httpx.Response(200, json=RUN)
        asked.append(request.headers.get("last-event-id"))
        if len(asked) == 1:
            raise httpx.ConnectError("refused")
        if len(asked) == 2:
            return httpx.Response(200, content=event("run.step_started", "1-1", step="plan"))
        return httpx.Response(200, content=event("run.failed", "1-2", step="plan"))

    transport = httpx.MockTransport(handler)
    async with AsyncClient(URL, TOKEN, patience=QUICK, transport=transport) as calls:
        assert [each.type async for each in calls.follow("run_1")] == [
            "run.step_started",
            "run.failed",
        ]
    assert asked == [None, None, "1-1"]


def test_both_clients_offer_the_same() -> None:
    def surface(cls: type) -> dict[str, list[tuple[str, Any]]]:
        return {
            name: [
                (each.name, each.default)
                for each in inspect.signature(function).parameters.values()
            ]
            for name, function in inspect.getmembers(cls, inspect.isfunction)
            if not name.startswith("_")
        }

    assert surface(Client) == surface(AsyncClient)


class TestLocation:
    def home(self, root: Path, *, port: int | None, alive: bool = True) -> dict[str, str]:
        home = Home.at(root).create()
        own = ProcessRef.of(os.getpid())
        assert own is not None
        supervisor = own if alive else ProcessRef(pid=own.pid, created=own.created - 100)
        StackState(instance="x", supervisor=supervisor, phase="running", http_port=port).save(
            home.stack_file
        )
        home.first_token_file.write_text("wn_root_1_2\n")
        return {"WEBNOVA_HOME": str(root)}

    def test_the_running_stack_is_found(self, tmp_path: Path) -> None:
        found = locate(environ=self.home(tmp_path / "with space", port=8123))
        assert found.url == "http://127.0.0.1:8123"
        assert found.token is not None
        assert found.token.reveal() == "wn_root_1_2"

    def test_a_stack_that_is_gone_is_not_running(self, tmp_path: Path) -> None:
        with pytest.raises(Unavailable, match="not running"):
            locate(environ=self.home(tmp_path, port=8123, alive=False))

    def test_processes_of_the_cluster_know_the_address(self, tmp_path: Path) -> None:
        environ = self.home(tmp_path, port=None) | {"WEBNOVA_PUBLIC_URL": "https://nova.example/"}
        found = locate(environ=environ)
        assert (found.url, found.token is not None) == ("https://nova.example", True)

    def test_the_environment_comes_before_the_home(self, tmp_path: Path) -> None:
        environ = self.home(tmp_path, port=8123) | {
            "WEBNOVA_URL": "https://far.example/",
            "WEBNOVA_TOKEN": "wn_acme_1_2",
        }
        found = locate(environ=environ)
        assert found.url == "https://far.example"
        assert found.token is not None
        assert found.token.reveal() == "wn_acme_1_2"

    @pytest.mark.parametrize(
        ("url", "given"),
        [
            ("https://far.example", False),
            ("http://127.0.0.1.far.example", False),
            ("http://localhost:8123", True),
            ("http://127.0.0.1:8123", True),
            ("http://[::1]:8123", True),
        ],
    )
    def test_the_local_token_never_leaves_the_machine(
        self, tmp_path: Path, url: str, given: bool
    ) -> None:
        environ = self.home(tmp_path, port=8123) | {"WEBNOVA_URL": url}
        assert (locate(environ=environ).token is not None) is given

    @pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8000", "http://", "http://x?y=1"])
    def test_what_is_no_address_is_refused(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(InvalidInput, match="not the address"):
            locate(url, environ={"WEBNOVA_HOME": str(tmp_path)})


def test_the_package_is_light_and_complete() -> None:
    assert webnova.Client is Client
    assert webnova.AsyncClient is AsyncClient
    assert webnova.WebNovaError is WebNovaError
    assert set(webnova.__all__) <= set(dir(webnova))
    with pytest.raises(AttributeError, match="nothing_like_it"):
        webnova.nothing_like_it  # noqa: B018
