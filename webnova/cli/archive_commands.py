"""archive list: what of the tenant is archived; month, drop, restore, refold: at the stack."""

# ruff: noqa: PLC0415
from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from engine.kernel.errors import InvalidInput, Unavailable
from webnova.cli.command import command, stop
from webnova.cli.exits import ExitCode
from webnova.cli.output import Output
from webnova.cli.sources import connect

if TYPE_CHECKING:
    from engine.kernel.secret import Secret
    from webnova.client.tenancy import ArchivedMonth
    from webnova.compose import Archives
    from webnova.stack.home import Settings

R = TypeVar("R")

MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")

Month = Annotated[str, typer.Argument(help="The month, as 2026-01 (UTC).")]
Directory = Annotated[
    Path | None, typer.Option("--to", help="The directory of the archives; archive in the home.")
]


@command
def list_months(output: Output) -> None:
    """List the tenant's archived months, and how long months stay in the database."""
    found: list[ArchivedMonth] = []
    with connect() as client:
        page = client.archived_months()
        found += page.items
        while page.next is not None:
            page = client.archived_months(page.next)
            found += page.items
    output.value({"items": found, "retention_days": page.retention_days})
    output.table(
        ["month", "events", "in the database", "bytes", "sha256", "verified"],
        [
            [
                each.month,
                str(each.events),
                str(each.stored),
                "" if each.bytes is None else f"{each.bytes:,}",
                each.sha256 or "",
                "" if each.verified_at is None else f"{each.verified_at:%Y-%m-%d %H:%M}",
            ]
            for each in found
        ],
    )
    output.say(f"A month stays in the database for {page.retention_days} days after its end.")


@command
def month(output: Output, month: Month, to: Directory = None) -> None:
    """Write the month's events of every tenant into files, and compare them with the database."""
    wanted = _month(month)
    files = _run(to, lambda archives: archives.archivist.archive(wanted))
    output.value(files)
    output.table(
        ["tenant", "events", "bytes", "file", ""],
        [
            [
                each.tenant,
                str(each.events),
                f"{each.bytes:,}",
                each.file,
                "" if each.written else "was there",
            ]
            for each in files
        ],
    )


@command
def drop(
    output: Output,
    month: Month,
    to: Directory = None,
    days: Annotated[
        int,
        typer.Option(
            min=1,
            envvar="WEBNOVA_RETENTION_DAYS",
            help="Days that must have passed since the month's end.",
        ),
    ] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Really drop them.")] = False,
) -> None:
    """Drop the month's events of every tenant for ever, if their archives stand in for each."""
    wanted = _month(month)
    if not yes:
        raise InvalidInput(
            f"The events of {wanted} would be dropped from the database for ever.",
            mend="Copy the archives to another machine first, then add --yes.",
        )
    done = _run(to, lambda archives: archives.retention.drop(wanted, days=days))
    output.value(done)
    output.say(
        f"{done.events} events of {done.tenants} tenants in {wanted} are dropped; the state of "
        f"{done.bases} documents was kept in their place.",
        style="green",
    )


@command
def restore(output: Output, file: Annotated[Path, typer.Argument(help="An archive.")]) -> None:
    """Bring the events of an archive back into the database, each where it was."""
    done = _run(None, lambda archives: archives.restoration.restore(file))
    output.value(done)
    output.say(
        f"{done.restored} of the {done.events} events of {done.tenant} in {done.month} were "
        "brought back; the others were there.",
        style="green",
    )


@command
def refold(output: Output, to: Directory = None) -> None:
    """Fold anew, from the archives, documents that a newer version of WebNova folds differently.

    The stack does it by itself with the archives of its home.
    """
    done = _run(to, lambda archives: archives.refolding.everything())
    output.value(done)
    output.table(
        ["tenant", "kind", "documents", ""],
        [[each.tenant, each.kind, str(each.documents), each.failure or ""] for each in done],
    )
    if any(each.failure is not None for each in done):
        raise stop(ExitCode.UNAVAILABLE)
    output.say("Every document is as this version folds it.", style="green")


def _month(text: str) -> str:
    if MONTH.fullmatch(text) is None:
        raise InvalidInput(f"{text[:20]!r} is no month.", mend="Write it as 2026-01.")
    return text


def _run(directory: Path | None, work: Callable[[Archives], Awaitable[R]]) -> R:
    from webnova.compose import archives
    from webnova.stack.database import role_urls
    from webnova.stack.home import Settings

    settings = Settings.from_environment()
    urls = role_urls(_administrator(settings), settings.home.secrets)

    async def run() -> R:
        made = archives("webnova-archive", urls, settings.home, directory=directory)
        try:
            return await work(made)
        finally:
            await made.close()

    return asyncio.run(run())


def _administrator(settings: Settings) -> Secret:
    """The administrator's address of the stack's database."""
    from webnova.stack.remains import embedded_postgres
    from webnova.stack.state import load_state

    if settings.database_url is not None:
        return settings.database_url
    state = load_state(settings.home.stack_file)
    if state is None or state.postgres_port is None:
        raise Unavailable(
            "The database of this home does not run.",
            mend="Start it on this machine with `webnova up`.",
        )
    return embedded_postgres(settings.home, state.postgres_port).admin_url
