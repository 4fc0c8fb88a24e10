"""What the executor counts, for Ray's metrics endpoint and dashboards.

No label names a tenant or a platform: their number has no bound.
"""

from __future__ import annotations

from ray.util.metrics import Counter, Gauge, Histogram

_STEPS = Histogram(
    "webnova_step_seconds",
    description="How long steps of runs take, by step and outcome.",
    boundaries=[0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    tag_keys=("step", "outcome"),
)
_DRIVES = Counter(
    "webnova_drives_total",
    description="Drives of runs that ended, by how the run stood afterwards.",
    tag_keys=("state",),
)
_RUNNING = Gauge(
    "webnova_runs_running", description="Runs under a live lease, as a shard last saw it."
)


def step_ended(step: str, outcome: str, seconds: float) -> None:
    _STEPS.observe(seconds, tags={"step": step, "outcome": outcome})


def drive_ended(state: str | None) -> None:
    _DRIVES.inc(tags={"state": state or "lost"})


def runs_running(count: int) -> None:
    _RUNNING.set(count)
