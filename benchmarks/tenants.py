"""Memory of the idle stack, and what ten thousand registered tenants add to it.

    python -m benchmarks tenants

Proportional set size (PSS) of every process of the stack, so that shared pages count once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import psutil

from engine.kernel.contracts import Call
from engine.kernel.dispatch import ROOT_TENANT
from engine.trust.tenants import CreateTenant
from webnova.compose import compose
from webnova.first_token import OPERATOR
from webnova.stack.database import role_urls
from webnova.stack.home import Home, Settings
from webnova.stack.local import Stack
from webnova.stack.postgres import EmbeddedPostgres
from webnova.stack.state import load_state

TENANTS = 10_000


def memory(home: Home) -> Counter[str]:
    """PSS in bytes of the stack's processes, by what they are."""
    state = load_state(home.stack_file)
    if state is None:
        raise SystemExit("the stack does not run; start it with `make up`")
    found: Counter[str] = Counter()
    supervisor = psutil.Process(state.supervisor.pid)
    for process in [supervisor, *supervisor.children(recursive=True)]:
        try:
            line = process.cmdline()
            name = line[0].split(" ")[0].rsplit("/", 1)[-1] if line else process.name()
            found[name[:40]] += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


async def register(home: Home) -> None:
    state = load_state(home.stack_file)
    assert state is not None
    server = EmbeddedPostgres(home.postgres_data, home.secrets, port=state.postgres_port)
    urls = role_urls(server.admin_url, home.secrets)
    installation = compose("bench", pool=8, url=urls.app.reveal())
    stamp = int(time.time())
    gate = asyncio.Semaphore(8)

    async def create(number: int) -> None:
        async with gate:
            command = CreateTenant(name=f"t{stamp}-{number}", title=f"Tenant {number}")
            await installation.dispatcher.execute(Call(command, OPERATOR, ROOT_TENANT))

    began = time.perf_counter()
    await asyncio.gather(*(create(number) for number in range(TENANTS)))
    spent = time.perf_counter() - began
    print(f"{TENANTS} tenants registered in {spent:.1f} s ({TENANTS / spent:.0f} commands/s)")
    await installation.close()


def main() -> None:
    settings = Settings.from_environment()
    Stack(settings.home).up()
    before = memory(settings.home)
    print(f"idle stack: {before.total() / 1e6:.0f} MB")
    for name, size in before.most_common(8):
        print(f"  {name:40} {size / 1e6:7.0f} MB")
    asyncio.run(register(settings.home))
    time.sleep(3)
    added = memory(settings.home).total() - before.total()
    print(f"with them: {added / 1e6:+.1f} MB, {added / TENANTS / 1000:+.2f} kB per tenant")
    print("(target: at most 10 kB)")


if __name__ == "__main__":
    main()
