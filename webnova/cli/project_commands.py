"""generate, test: from a file, with nothing running. demo: everything once."""

# ruff: noqa: PLC0415
from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.kernel.errors import InvalidInput
from webnova.cli.command import command, stop
from webnova.cli.exits import ExitCode
from webnova.cli.output import Output, isolated, seconds
from webnova.cli.sources import connect, existing_directory, read_bytes, read_text

if TYPE_CHECKING:
    from engine.forge.blueprint.model import Blueprint
    from webnova.cli.shapes import TestReport

_NOT_TESTED = (".git", ".venv", "venv", "__pycache__", ".pytest_cache", ".mypy_cache")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "description.en.txt"


@command
def generate(
    output: Output,
    file: Annotated[
        Path | None,
        typer.Argument(help="A Blueprint; - reads it. Without one, blueprint.yaml in --out."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The directory for the project.")] = Path(
        "."
    ),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")
    ] = False,
    frontend: Annotated[
        str | None,
        typer.Option("--frontend", help="The pages: react or none; left out, the Blueprint's."),
    ] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Generate beside files that were there before.")
    ] = False,
    renamed: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="An entity that has another name now; repeatable."),
    ] = None,
) -> None:
    """Write the project of a Blueprint, or bring it up to date with it: the backend, the pages
    that it asks for, its tests, its Dockerfile and README.

    What you edited stays: changes are merged with it. Where you and the generator changed the same
    lines, both are marked in the file and the command ends with code 6. `webnova undo` takes
    everything back.
    """
    from engine.forge.generate import BLUEPRINT, generate_project
    from engine.forge.regeneration.regenerate import Wishes, regenerate
    from webnova.cli.regeneration_text import pairs_of, tell

    began = time.monotonic()
    blueprint = _blueprint(file or existing_directory(out) / BLUEPRINT, frontend)
    bundle = generate_project(blueprint)
    wishes = Wishes(adopt=adopt, dry_run=dry_run, renamed=pairs_of(renamed or []))
    done = regenerate(out, bundle, wishes)
    took = time.monotonic() - began
    output.value(
        {
            "name": blueprint.name,
            "out": str(out),
            "files": len(bundle.files),
            "bytes": sum(map(len, bundle.files.values())),
            "written": len(done.added) + len(done.updated),
            "digest": bundle.digest,
            "duration_s": round(took, 3),
            "dry_run": dry_run,
            **done.model_dump(mode="json"),
        }
    )
    output.say(f"{blueprint.name}: {len(bundle.files)} files in {out}, {seconds(took)}.")
    tell(output, done, dry_run=dry_run)
    if done.conflicts or done.still_open:
        raise stop(ExitCode.CONFLICTS)
    if not dry_run:
        output.say(f"  → webnova test {out}")


def _blueprint(source: Path, frontend: str | None) -> Blueprint:
    from engine.forge.blueprint.source import load
    from engine.forge.generate import with_frontend

    blueprint = load(read_bytes(source), filename=source.name).blueprint
    return blueprint if frontend is None else with_frontend(blueprint, frontend)


@command
def undo(
    output: Output,
    directory: Annotated[Path, typer.Argument(help="What `webnova generate` wrote.")],
) -> None:
    """Take the last `webnova generate` of a directory back. Once more brings it back again.

    What the files hold now is kept as a commit first.
    """
    from engine.forge.regeneration.regenerate import undo as take_back
    from webnova.cli.regeneration_text import tell

    done = take_back(existing_directory(directory))
    output.value(done)
    tell(output, done)


@command
def test(
    output: Output,
    directory: Annotated[Path, typer.Argument(help="What `webnova generate` wrote.")],
    log: Annotated[bool, typer.Option("--log", help="Print what the tests printed too.")] = False,
) -> None:
    """Run the suites of a generated project in the sandbox. Ends with code 1 unless all pass."""
    import asyncio

    project = existing_directory(directory)
    output.say("Running the suites in the sandbox…", style="dim")
    report, account = asyncio.run(_checked(project))
    output.value(report)
    if log or report.failed:
        output.say(account.rstrip("\n"))
    for failure in report.failures:
        output.say(f"✗ {failure.test}: {isolated(failure.message)}", style="red")
    walls = report.driver if report.isolated else f"{report.driver}, unisolated"
    output.say(
        f"{report.passed} passed, {report.failed} failed, {report.skipped} skipped in"
        f" {seconds(report.duration_s)} ({walls})",
        style="red" if report.failed or not report.passed else "green",
    )
    if report.failed or not report.passed:
        raise stop(ExitCode.FAILED)


async def _checked(project: Path) -> tuple[TestReport, str]:
    """Test a copy of the project, so that it stays as it is whatever its tests do."""
    from engine.conductor.checking import check
    from engine.forge.blueprint.source import load
    from engine.forge.generate import BLUEPRINT
    from engine.forge.resolve import resolve
    from engine.forge.testing import suites
    from engine.runtime.dependencies import DependencyCache
    from engine.runtime.sandbox import choose_driver
    from webnova.cli.shapes import TestReport
    from webnova.client.location import home_of

    source = project / BLUEPRINT
    if not source.is_file():
        raise InvalidInput(
            f"{str(project)!r} is no generated project: it has no {BLUEPRINT}.",
            mend="Name the directory that `webnova generate` wrote.",
        )
    platform = resolve(load(read_bytes(source), filename=BLUEPRINT).blueprint)
    cache = DependencyCache(home_of().create().cache / "environments")
    with tempfile.TemporaryDirectory(prefix="webnova-test-") as temporary:
        copy = Path(temporary) / "platform"
        shutil.copytree(project, copy, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_TESTED))
        whole, parts = await check(copy, suites(platform), cache, await choose_driver())
    report = TestReport.model_validate(
        {
            **whole.model_dump(),
            "driver": parts[0].driver,
            "isolated": all(part.isolated for part in parts),
        }
    )
    return report, "\n".join(part.log for part in parts)


@command
def demo(
    output: Output,
    description: Annotated[
        str | None,
        typer.Argument(
            envvar="WEBNOVA_PROMPT", help="What the platform shall do; an example when left out."
        ),
    ] = None,
) -> None:
    """Start the stack and create a platform from a description: everything once.

    Ctrl-C stops the stack too when this command started it.
    """
    from webnova.cli.platform_commands import finish
    from webnova.cli.stack_commands import show_addresses, start
    from webnova.client.location import home_of
    from webnova.stack.local import Stack

    text = (description or "").strip() or read_text(EXAMPLE).strip()
    stack = Stack(home_of())
    found_running = stack.status().state == "running"
    try:
        status = start(output)
        output.say(isolated(text), style="italic")
        with connect() as client:
            finish(output, client, client.create(text), detach=False)
    except KeyboardInterrupt:
        if not found_running:
            output.say("Stopping the stack that this demo started…")
            stack.down()
        raise
    show_addresses(output, status)


@command
def shapes(output: Output) -> None:
    """Print the JSON Schema of what each command prints with --json."""
    import json

    from webnova.cli.shapes import SHAPES

    schemas = {name: model.model_json_schema() for name, model in SHAPES.items()}
    output.value(schemas)
    output.say(json.dumps(schemas, ensure_ascii=False, indent=2))
