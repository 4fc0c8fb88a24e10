"""create, build, rollback, cancel, list, show, open: platforms and their runs."""

# ruff: noqa: PLC0415
from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.kernel.errors import Conflict, NotFound
from webnova.cli.command import command, stop
from webnova.cli.exits import ExitCode
from webnova.cli.output import Output, isolated, place_line, seconds
from webnova.cli.sources import connect, read_text

if TYPE_CHECKING:
    from webnova.client.models import Platform, PlatformAccepted, Run
    from webnova.client.synchronous import Client

Name = Annotated[str, typer.Argument(help="The platform's name.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="Return when the run is accepted; don't follow it.")
]


@command
def create(
    output: Output,
    description: Annotated[
        str,
        typer.Argument(help="What the platform shall do, in Arabic or English; - reads it."),
    ],
    name: Annotated[
        str | None, typer.Option(help="The platform's name; derived when left out.")
    ] = None,
    detach: Detach = False,
) -> None:
    """Create a platform from a description and show how it comes to life."""
    text = read_text(Path("-")) if description == "-" else description
    with connect() as client:
        accepted = client.create(text, name=name)
        finish(output, client, accepted, detach)


@command
def build(
    output: Output,
    file: Annotated[Path, typer.Argument(help="A Blueprint in YAML or JSON; - reads it.")],
    detach: Detach = False,
) -> None:
    """Build the platform of a Blueprint: a new one, or the next version of a running one."""
    from engine.forge.blueprint.source import load

    text = read_text(file)
    name = load(text, filename=file.name).blueprint.name
    with connect() as client:
        try:
            client.platform(name)
        except NotFound:
            accepted = client.create(blueprint_text=text)
        else:
            accepted = client.build(name, blueprint_text=text)
        finish(output, client, accepted, detach)


@command
def rollback(
    output: Output,
    name: Name,
    version: Annotated[
        int | None, typer.Option(help="The release to bring back; the one before by default.")
    ] = None,
    detach: Detach = False,
) -> None:
    """Put an earlier release of a platform back into service."""
    with connect() as client:
        finish(output, client, client.rollback(name, version), detach)


@command
def cancel(output: Output, run: RunId) -> None:
    """Cancel a run and wait until it has ended."""
    with connect() as client:
        client.cancel(run)
        ended = client.wait(run)
    output.value(ended)
    output.say(f"The run {ended.id} of {ended.platform} is {ended.state}.")


@command
def run(
    output: Output,
    id: RunId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay until it ends.")] = False,
    log: Annotated[
        bool, typer.Option("--log", help="Print the full account of its failure.")
    ] = False,
) -> None:
    """Show a run: its steps, their durations, and why it failed."""
    from webnova.cli.following import follow as follow_run

    with connect() as client:
        if log:
            text = client.run_log(id)
            output.value({"log": text})
            output.say(text)
            return
        found = follow_run(output, client, id) if follow else client.run(id)
    output.value(found)
    if not follow:
        output.table(
            ["step", "state", "attempts", "duration"],
            [[s.name, s.state, str(s.attempts), seconds(s.duration_s)] for s in found.steps],
        )
    output.say(f"{found.platform}, {found.kind}: {found.state}")
    _tell_cause(output, found)


@command
def list_platforms(output: Output) -> None:
    """List the platforms."""
    with connect() as client:
        found = list(client.platforms())
    output.value([*found])
    if not found:
        output.say('There is no platform yet. → webnova create "…"')
        return
    output.table(
        ["name", "state", "version", "title", "address"],
        [
            [each.name, state(each), str(each.version or ""), title(each), each.url or ""]
            for each in found
        ],
    )


@command
def show(
    output: Output,
    name: Name,
    credentials: Annotated[
        bool, typer.Option("--credentials", help="Print the first administrator's password too.")
    ] = False,
) -> None:
    """Show a platform: its state, address and releases."""
    from webnova.cli.output import plain

    with connect() as client:
        found = client.platform(name)
        secret = client.credentials(name) if credentials else None
    output.value({**plain(found), **({"credentials": plain(secret)} if secret else {})})
    output.say(f"{found.name}  {state(found)}", style="bold")
    output.facts(
        [
            ("title", title(found)),
            ("version", str(found.version) if found.version else None),
            ("address", found.url),
            ("API docs", found.docs_url),
            ("last run", found.run),
            ("detail", found.detail),
            ("description", isolated(found.description) if found.description else None),
            ("admin", secret.admin_email if secret else None),
            ("password", secret.admin_password if secret else None),
        ]
    )
    for release in reversed(found.releases):
        mark = "→" if release.version == found.version else " "
        output.say(f"  {mark} version {release.version}, {release.at:%Y-%m-%d %H:%M:%S %Z}")


@command
def open_platform(output: Output, name: Name) -> None:
    """Open a platform in the browser; where there is none, print its address."""
    with connect() as client:
        found = client.platform(name)
    if found.url is None:
        raise Conflict(
            f"The platform {name!r} has no release yet.",
            mend=f"`webnova show {name}` says what it waits for.",
        )
    output.value(found)
    output.say(found.docs_url or found.url)
    has_desktop = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if has_desktop and not output.as_json:
        webbrowser.open(found.docs_url or found.url)


def finish(output: Output, client: Client, accepted: PlatformAccepted, detach: bool) -> Platform:
    """Follow an accepted run to its end and tell the outcome; ends with code 1 on a failure."""
    from webnova.cli.following import follow
    from webnova.cli.output import plain

    if detach:
        ended = client.run(accepted.run)
    else:
        output.say(f"{accepted.platform.name}  ({accepted.run})", style="bold")
        try:
            ended = follow(output, client, accepted.run)
        except KeyboardInterrupt:
            output.say(f"The run goes on without you. → webnova run {accepted.run} --follow")
            output.say(f"                            → webnova cancel {accepted.run}")
            raise
    platform = client.platform(accepted.platform.name)
    output.value({**plain(platform), "outcome": plain(ended)})
    if detach:
        output.say(f"Accepted. → webnova run {accepted.run} --follow")
        return platform
    _tell_outcome(output, platform, ended)
    if ended.state != "succeeded":
        raise stop(ExitCode.FAILED)
    return platform


def _tell_outcome(output: Output, platform: Platform, run: Run) -> None:
    if run.state != "succeeded":
        output.say(f"The {run.kind} of {platform.name} {_ended(run)}.", style="bold red")
        _tell_cause(output, run)
        return
    took = (run.ended_at - run.requested_at).total_seconds() if run.ended_at else None
    words = f"{platform.name} is {platform.state}: version {platform.version}"
    output.say(f"{words}, after {seconds(took)}.", style="bold green")
    for step in run.steps:
        for assumed in step.output.get("assumptions") or []:
            output.say(f"  assumed  {isolated(_assumption(assumed))}", style="dim")
    output.facts(
        [
            ("platform", platform.url),
            ("API docs", platform.docs_url),
            ("administrator", f"webnova show {platform.name} --credentials"),
        ]
    )
    output.say("Next:")
    output.say(f"  webnova open {platform.name}")
    output.say(f"  webnova logs {platform.name} --follow")
    output.say(
        f"  webnova blueprint show {platform.name} > {platform.name}.yaml"
        f" && webnova build {platform.name}.yaml"
    )


def _assumption(assumed: object) -> str:
    if isinstance(assumed, dict):
        return ": ".join(str(part) for part in assumed.values() if part)
    return str(assumed)


def _ended(run: Run) -> str:
    return "was cancelled" if run.state == "cancelled" else "failed"


def _tell_cause(output: Output, run: Run) -> None:
    cause = run.cause
    if not cause:
        return
    output.say(f"  {cause.get('detail', '')}")
    for failure in list(cause.get("failures") or [])[:5]:
        output.say(f"  ✗ {failure.get('test', '')}: {isolated(str(failure.get('message', '')))}")
    for error in list(cause.get("errors") or [])[:10]:
        output.say(f"  at {place_line(error)}")
    if cause.get("mend"):
        output.say(f"  → {cause['mend']}")
    if run.log:
        output.say(f"  → webnova run {run.id} --log")


def state(platform: Platform) -> str:
    """The state for people: a running platform may be building its next version."""
    busy = platform.building and platform.state != "building"
    return f"{platform.state}, building" if busy else platform.state


def title(platform: Platform) -> str:
    """The title in the language of the terminal, or in any."""
    wished = "ar" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("ar") else "en"
    chosen = platform.title.get(wished) or next(iter(platform.title.values()), "")
    return isolated(chosen)
