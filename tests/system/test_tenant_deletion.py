"""A tenant of the running stack is deleted in the middle of its work, and nothing of it is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from engine.kernel.errors import Conflict, NotFound, Unauthenticated
from engine.ledger.transparency.export import Examination, Trust
from engine.ledger.transparency.notes import Checkpoint, Verifier, encoded
from tests.system.conftest import small, succeeded
from webnova import Client
from webnova.client import eventing
from webnova.stack.local import Stack
from webnova.stack.remains import embedded_postgres
from webnova.stack.state import load_state

PATIENCE_S = 240.0
THEIRS, OTHERS = "moss_agate", "rose_quartz"
"""Words that only the one tenant's platform, and only the other's, has in it."""
TABLES = (
    "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " WHERE c.relnamespace = 'webnova'::regnamespace AND a.attname = 'tenant_id'"
    " AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"
)
DRIVERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = ANY($1)"
SHRINKING = frozenset({"work", "unrated_usage", "webhook_deliveries"})
"""Tables of a living tenant that get emptier as its work is done."""


def in_database(stack: Stack, tenant: str, drivers: list[str]) -> tuple[dict[str, int], int]:
    """How many rows of the tenant each table holds, and how many drivers are connected."""
    state = load_state(stack.home.stack_file)
    assert state is not None
    url = embedded_postgres(stack.home, state.postgres_port).admin_url.reveal()

    async def look() -> tuple[dict[str, int], int]:
        connection = await asyncpg.connect(url, database="webnova")
        try:
            found = {}
            for (table,) in await connection.fetch(TABLES):
                count = f"SELECT count(*) FROM webnova.{table} WHERE tenant_id = $1"
                found[table] = await connection.fetchval(count, tenant)
            return found, await connection.fetchval(DRIVERS, drivers)
        finally:
            await connection.close()

    return asyncio.run(look())


def processes_in(directory: Path) -> list[int]:
    """Processes that were started from the directory, or with it in sight."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(directory) in word for word in [*process.cmdline(), process.cwd()]):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def named(stack: Stack, tenant: str) -> set[Path]:
    """Files and directories of the home that bear the tenant's name."""
    left = {path.relative_to(stack.home.root) for path in stack.home.root.rglob(f"{tenant}*")}
    return {path for path in left if path.parts[0] != "ray"}


def telling(stack: Stack, word: str) -> set[Path]:
    """Files of the home that hold the word; Postgres and Ray's own logs are looked at elsewhere."""
    found = set()
    for path in stack.home.root.rglob("*"):
        place = path.relative_to(stack.home.root)
        if place.parts[0] in ("postgres", "ray") or path.is_symlink() or not path.is_file():
            continue
        try:
            if word.encode() in path.read_bytes():
                found.add(place)
        except FileNotFoundError:
            continue
    return found


def wait_for(what: Callable[[], bool], told: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, told
        time.sleep(1)


def furnish(client: Client, platform: str, field: str) -> str:
    """A platform with such a field that runs, and whoever listens; the platform's address."""
    blueprint = small(platform, **{field: {"type": "string"}})
    succeeded(client, client.create(blueprint=blueprint).run)
    client.do(eventing.open_subscription("copy", ["*"], start="beginning"))
    leased = client.do(eventing.lease_events("copy", "test"))
    client.do(eventing.reject("copy", leased, leased.items[0].event_id, "no"))
    client.do(eventing.add_webhook("http://127.0.0.1:9/nobody", ["platform.*"]))
    address = client.platform(platform).url
    assert address is not None
    health = f"{address.rstrip('/')}/health"
    assert httpx.get(health, timeout=30).status_code == 200
    return health


def let_end(client: Client, tenant: str) -> None:
    """Wait as long as the refusal to delete the tenant says."""
    with pytest.raises(Conflict, match="a moment ago") as early:
        client.delete_tenant(tenant)
    time.sleep(float(early.value.fields["retry_after"]))


def check_evidence(stack: Stack, client: Client, export: list[bytes], vkey: str) -> None:
    """What was exported before verifies with the checkpoint that the deletion has published."""
    deleted = client.tenant("leaving").deleted
    assert deleted is not None
    note = (stack.home.audit / "leaving" / "latest").read_text(encoding="utf-8")
    mark = Checkpoint.of(note)
    assert (deleted.origin, deleted.size, deleted.root) == (
        mark.origin,
        mark.size,
        encoded(mark.root),
    )
    examination = Examination(export[0], Trust([Verifier.parse(vkey)], [note]))
    for line in export[1:]:
        examination.line(line)
    report = examination.report()
    assert report.intact and report.outside and report.size == mark.size == len(export) - 1


def purged(client: Client, tenant: str) -> bool:
    deleted = client.tenant(tenant).deleted
    return deleted is not None and deleted.purged_at is not None


def test_a_tenant_deleted_in_the_middle_of_its_work_leaves_its_evidence_alone(
    stack: Stack, client: Client
) -> None:
    gone, stays = (client.create_tenant(name, name.title()) for name in ("leaving", "remaining"))
    url, workspace = stack.status().url, stack.home.root / "workspace"
    assert gone.token is not None and stays.token is not None
    with Client(url, gone.token) as leaving, Client(url, stays.token) as remaining:
        addresses = furnish(leaving, "stall", THEIRS), furnish(remaining, "stall", OTHERS)
        events = {event.event_id for event in remaining.events()}
        old_month = stack.home.archive / "leaving" / "2020-01.jsonl.gz"
        old_month.parent.mkdir(parents=True)
        old_month.touch()
        # Suspended while it builds: what drives the build is at work.
        run = leaving.create(blueprint=small("kiosk")).run
        next(step for step in leaving.follow(run) if step.type == "run.step_started")
        drivers = ["blueprint:kiosk"]
        wait_for(
            lambda: in_database(stack, "leaving", drivers)[0]["webhook_deliveries"] > 0,
            "no webhook was queued",
        )
        assert processes_in(workspace / "leaving") and telling(stack, THEIRS)
        assert Path("archive/leaving") in named(stack, "leaving")
        rows, at_work = in_database(stack, "leaving", drivers)
        assert at_work and rows["work"] and rows["dead_letters"] and rows["blobs"]
        others, _ = in_database(stack, "remaining", [])

        client.suspend_tenant("leaving", "the contract ended")
        let_end(client, "leaving")
        root = stack.home.first_token_file.read_text(encoding="utf-8").strip()
        with Client(url, root, tenant="leaving") as visiting:
            vkey, export = visiting.audit_checkpoint().vkey, list(visiting.audit_export())
            client.delete_tenant("leaving")
            # Refused from the decision on, though its rows are still there.
            assert httpx.get(addresses[0], timeout=30).status_code == 404
            with pytest.raises(NotFound):
                list(visiting.platforms())
        with pytest.raises(Unauthenticated):
            leaving.platform("stall")
        wait_for(lambda: purged(client, "leaving"), "rows or files of the tenant stay")

        check_evidence(stack, client, export, vkey)
        rows, at_work = in_database(stack, "leaving", drivers)
        assert {table: count for table, count in rows.items() if count} == {"deletions": 1}
        assert not at_work and not processes_in(workspace / "leaving")
        assert named(stack, "leaving") == {Path("audit/leaving")}
        assert not telling(stack, THEIRS) and telling(stack, OTHERS)
        assert httpx.get(addresses[0], timeout=30).status_code == 404
        with pytest.raises(Unauthenticated):
            leaving.platform("stall")
        with pytest.raises(Conflict):
            client.create_tenant("leaving", "Again")

        assert httpx.get(addresses[1], timeout=30).status_code == 200
        assert events <= {event.event_id for event in remaining.events()}
        assert processes_in(workspace / "remaining")
        now, _ = in_database(stack, "remaining", [])
        assert [each for each in others if now[each] < others[each] and each not in SHRINKING] == []
