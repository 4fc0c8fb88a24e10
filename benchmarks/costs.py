"""What isolation, evidence and rebuilding cost, each against the same without it, in one run.

    python -m benchmarks costs

A server of its own with `fsync` on. Row-level security is switched off by a superuser for the
measurement and on again; the product never runs without it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from benchmarks.ledger import TURNS, Bench, turns
from engine.kernel.contracts import Call, Caller
from engine.kernel.dispatch import answer_as
from engine.ledger.documents import RebuildDocuments, Rebuilt
from engine.ledger.metering.budgets import SetBudget
from storage.bootstrap import database_url
from storage.feed import PostgresFeed
from storage.transparency import PostgresLogs
from webnova.compose import Installation, compose
from webnova.stack.database import prepare_database
from webnova.stack.postgres import EmbeddedPostgres

WALLED = ("events", "documents", "event_ids")
LOGGED = 500
DOCUMENTS, CHANGES = 60, 20
TENANT = "bench"


class Costs:
    def __init__(self, installation: Installation, admin: asyncpg.Connection, bench: Bench) -> None:
        self._installation = installation
        self._admin = admin
        self._bench = bench
        self._feed = PostgresFeed(installation.connections)
        self._logs = PostgresLogs(installation.database)

    async def walls(self) -> None:
        """Appends and reads with row-level security, and without it."""
        for title, way in {
            "1 writer": lambda: self._bench.appends(1),
            "16 writers": lambda: self._bench.appends(16),
            "read all": lambda: self._bench.read_all(self._feed),
        }.items():

            async def open_to_all(measured=way) -> float:  # type: ignore[no-untyped-def]
                await self._switch("DISABLE")
                try:
                    return float(await measured())
                finally:
                    await self._switch("ENABLE")

            ways = {"with row-level security": way, "without": open_to_all}
            await turns(f"row-level security, {title}", ways)

    async def _switch(self, how: str) -> None:
        for table in WALLED:
            await self._admin.execute(f"ALTER TABLE webnova.{table} {how} ROW LEVEL SECURITY")

    async def evidence(self) -> None:
        """Appends while the log is kept up behind them, and with nobody keeping it."""
        while await self._logs.sequence(TENANT, LOGGED):
            continue

        async def logged() -> float:
            keeper = asyncio.create_task(self._keep())
            try:
                return await self._bench.appends(16)
            finally:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)

        ways = {"log kept up beside it": logged, "without": lambda: self._bench.appends(16)}
        await turns("Merkle log, 16 writers", ways)
        began, done = time.perf_counter(), 0
        while count := await self._logs.sequence(TENANT, LOGGED):
            done += count
        if done:
            print(f"  logging alone: {done / (time.perf_counter() - began):.0f} events/s")

    async def _keep(self) -> None:
        while True:
            if await self._logs.sequence(TENANT, LOGGED) < LOGGED:
                await asyncio.sleep(0.2)

    async def rebuilding(self) -> None:
        """Documents of a kind, folded anew from their events."""
        tenant = f"bench-{uuid4().hex[:8]}"
        caller = Caller("bench", tenant, frozenset({"*"}))
        for number in range(DOCUMENTS):
            for change in range(CHANGES):
                wish = SetBudget(name=f"b-{number}", limit=str(change + 1), currency="SAR")
                await self._installation.dispatcher.execute(Call(wish, caller, tenant))
        command = RebuildDocuments(kind="budget", limit=500)
        taken = []
        for _ in range(TURNS):
            began = time.perf_counter()
            done = await self._installation.dispatcher.execute(Call(command, caller, tenant))
            taken.append(time.perf_counter() - began)
            assert answer_as(Rebuilt, done).checked == DOCUMENTS
        median = sorted(taken)[len(taken) // 2]
        print(
            f"\nrebuilding: {DOCUMENTS / median:.0f} documents/s of {CHANGES} events each,"
            f" {DOCUMENTS * CHANGES / median:.0f} events/s"
        )


async def measure(app_url: str, admin_url: str) -> None:
    installation = compose("bench", url=app_url, pool=16)
    admin = await asyncpg.connect(admin_url)
    print("fsync", await admin.fetchval("SHOW fsync"))
    pool = await asyncpg.create_pool(admin_url, min_size=1, max_size=1)
    bench = Bench(installation.streams, pool, admin_url)
    await bench.fill(20_000)
    costs = Costs(installation, admin, bench)
    await costs.walls()
    await costs.evidence()
    await costs.rebuilding()
    await installation.close()
    await pool.close()
    await admin.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        server = EmbeddedPostgres(Path(directory) / "data", Path(directory) / "secrets")
        server.start()
        try:
            urls = prepare_database(server.admin_url, server.secrets_dir)
            admin = server.admin_url.reveal()
            inside = database_url(
                admin,
                user="postgres",
                password=urlsplit(admin).password or "",
                database="webnova",
            )
            asyncio.run(measure(urls.app.reveal(), inside.reveal()))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
