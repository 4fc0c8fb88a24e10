"""From the sentence to the running platform, by step; and many at once.

    python -m benchmarks builds

Uses the running stack (`make up`). The first build after a fresh start makes the environment and
starts workers, so it is the cold one.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

from webnova import Client
from webnova.stack.home import Settings
from webnova.stack.local import Stack

DESCRIPTION = "A clinic where patients book appointments with doctors and pay with mada"
MANY = [int(each) for each in os.environ.get("BENCH_PLATFORMS", "1,10").split(",")]


def one(client: Client, title: str) -> None:
    began = time.perf_counter()
    accepted = client.create(DESCRIPTION)
    run = client.wait(accepted.run, timeout=600)
    spent = time.perf_counter() - began
    if run.state != "succeeded":
        raise SystemExit(f"the run failed: {run.cause}")
    print(f"\n{title}: {spent:.1f} s from the sentence to the running platform")
    steps = 0.0
    for step in run.steps:
        steps += step.duration_s or 0
        print(f"  {step.name:10} {step.duration_s:7.2f} s")
    print(f"  {'between':10} {spent - steps:7.2f} s (waiting, leasing, starting the driver)")


def many(client: Client, count: int) -> None:
    began = time.perf_counter()
    accepted = [client.create(f"{DESCRIPTION} ({number})") for number in range(count)]
    with ThreadPoolExecutor(16) as pool:
        runs = list(pool.map(lambda each: client.wait(each.run, timeout=7200), accepted))
    spent = time.perf_counter() - began
    good = sum(run.state == "succeeded" for run in runs)
    print(f"\n{count} at once: {spent:.1f} s, {spent / count:.1f} s each, {good} succeeded")


def main() -> None:
    settings = Settings.from_environment()
    began = time.perf_counter()
    status = Stack(settings.home).up()
    print(f"stack up after {time.perf_counter() - began:.1f} s; {os.cpu_count()} cores")
    token = settings.home.first_token_file.read_text(encoding="utf-8").strip()
    with Client(status.url, token) as client:
        one(client, "first")
        for number in range(3):
            one(client, f"warm {number + 1}")
        for count in MANY:
            many(client, count)


if __name__ == "__main__":
    main()
