"""Builds many platforms at once and prints what became of each.

Run it on the cluster of a running installation:

    ray job submit --working-dir . -- python examples/jobs/build_many.py --count 20
    webnova job submit examples/jobs/build_many.py -- --count 20

A job only asks: each build is a run that WebNova keeps, so it goes on when the job is stopped. The
same `--key` asks for the same platforms again and starts nothing twice. Ends with code 0 when every
platform runs, 1 when one doesn't, 2 for wrong arguments and 3 when WebNova can't be reached.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from uuid import uuid4

from webnova import AsyncClient, WebNovaError

DESCRIPTIONS = (
    "A dental clinic where patients book appointments with doctors and pay invoices by card.",
    "مدرسة أهلية فيها طلاب ومعلمون وفصول ودرجات وأولياء أمور يتابعون الحضور.",
    "An online shop for spare parts with products, customers, orders and card payments.",
    "مكتب بلدي لرخص البناء: مواطنون يقدمون الطلبات ومفتشون يكتبون التقارير.",
    "A logistics company with shipments, drivers, vehicles and SMS updates for customers.",
    "فندق صغير فيه غرف وحجوزات ونزلاء وفواتير.",
    "A charity that registers donors, campaigns, donations and beneficiaries.",
    "نظام موارد بشرية للموظفين والأقسام وطلبات الإجازة.",
    "A help desk where customers open tickets and agents answer, with priorities.",
    "مكتب عقاري يعرض العقارات للإيجار مع العقود والمستأجرين والخريطة.",
    "A restaurant with a menu, tables, reservations and orders.",
    "مكتبة عامة فيها كتب وأعضاء وإعارات وغرامات.",
    "An events organiser selling tickets for events in several venues.",
    "مركز لياقة فيه أعضاء واشتراكات ومدربون وحصص.",
    "Field service: technicians, work orders, customers and spare parts on a map.",
    "مكتب محاماة يدير القضايا والموكلين والجلسات والأتعاب.",
    "A small invoicing office with customers, products, invoices and payments.",
    "شركة تأجير سيارات فيها سيارات وعملاء وعقود وفروع.",
    "A sales team that tracks leads, companies, deals and activities.",
    "صالون تجميل فيه خدمات ومواعيد وموظفات وعميلات.",
)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one wish. `seconds` counts from asking to the end of the run."""

    name: str
    state: str
    seconds: float
    tests: int
    detail: str


async def build(client: AsyncClient, number: int, key: str, slots: asyncio.Semaphore) -> Result:
    description = DESCRIPTIONS[number % len(DESCRIPTIONS)]
    async with slots:
        began = time.monotonic()
        try:
            accepted = await client.create(description, idempotency_key=f"{key}-{number}")
            run = await client.wait(accepted.run)
            platform = await client.platform(accepted.platform.name)
        except WebNovaError as error:
            return Result(f"#{number + 1}", error.code, time.monotonic() - began, 0, str(error))
        seconds = time.monotonic() - began
    tests = sum(int(step.output.get("passed", 0)) for step in run.steps if step.name == "test")
    state = platform.state if run.state == "succeeded" else run.state
    cause = str((run.cause or {}).get("detail", ""))
    return Result(platform.name, state, seconds, tests, platform.url or cause)


async def build_many(count: int, concurrency: int, tenant: str | None, key: str) -> list[Result]:
    """One result for each wish, in the order in which they ended."""
    slots = asyncio.Semaphore(concurrency)
    results = []
    async with AsyncClient(tenant=tenant) as client:
        await client.health()
        pending = [build(client, number, key, slots) for number in range(count)]
        for ended in asyncio.as_completed(pending):
            result = await ended
            results.append(result)
            print(f"[{len(results)}/{count}] {result.name}: {result.state}", flush=True)
    return results


async def ensure_tenant(name: str, title: str) -> None:
    """Register the tenant unless it exists. Needs a token of the root tenant."""
    async with AsyncClient() as client:
        if name not in [tenant.name async for tenant in client.tenants()]:
            await client.create_tenant(name, title)


def summary(results: list[Result], elapsed: float) -> str:
    rows = [("platform", "state", "seconds", "tests", "address")]
    rows += [
        (each.name, each.state, f"{each.seconds:.1f}", str(each.tests), each.detail)
        for each in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    ]
    running = sum(each.state == "running" for each in results)
    rate = 60 * running / elapsed if elapsed else 0.0
    lines.append(f"{running} of {len(results)} run, after {elapsed:.1f} s ({rate:.1f} a minute).")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build many platforms at once.")
    parser.add_argument("--count", type=positive, default=10, help="how many (default 10)")
    parser.add_argument("--concurrency", type=positive, default=32, help="how many at once")
    parser.add_argument("--tenant", help="act inside this tenant; made when there is none")
    parser.add_argument("--key", default=uuid4().hex, help="the same key starts nothing twice")
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError("it must be from 1 to 10000")
    return number


def main() -> int:
    given = arguments()
    began = time.monotonic()
    try:
        if given.tenant:
            asyncio.run(ensure_tenant(given.tenant, given.tenant))
        results = asyncio.run(build_many(given.count, given.concurrency, given.tenant, given.key))
    except WebNovaError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 3 if error.status == 503 else 1
    print(summary(results, time.monotonic() - began))
    return 0 if all(each.state == "running" for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
