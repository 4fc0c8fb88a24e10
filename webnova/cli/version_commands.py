"""history list, show, diff, blame: documents through time."""

# ruff: noqa: PLC0415
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webnova.cli.command import command
from webnova.cli.output import Output, isolated
from webnova.cli.sources import connect

if TYPE_CHECKING:
    from webnova.client.models import Authorship

Kind = Annotated[str, typer.Argument(help="Kind of the document: blueprint, platform, run …")]
Id = Annotated[str, typer.Argument(help="Its name or id.")]
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_LONGEST = 60


@command
def list_versions(output: Output, kind: Kind, id: Id) -> None:
    """List the versions of a document: when each was made, by what, by whom."""
    from webnova.client.models import VersionList

    items: list[Authorship] = []
    after: int | None = 0
    with connect() as client:
        while after is not None:
            page = client.versions(kind, id, after=after)
            items += page.items
            after = page.next
    output.value(VersionList(items=items, archived=page.archived))
    if page.archived:
        output.say(f"Versions up to {page.archived} are in archives, unless they are listed here.")
    for each in items:
        output.say(f"{_line(each)}  {each.type}")


@command
def show(
    output: Output, kind: Kind, id: Id, version: Annotated[int, typer.Argument(min=1)]
) -> None:
    """Print a document as it was at a version."""
    with connect() as client:
        found = client.version(kind, id, version)
    output.value(found)
    output.say(json.dumps(found.data, indent=2, ensure_ascii=False))


@command
def find(
    output: Output,
    kind: Kind,
    where: Annotated[
        list[str] | None,
        typer.Option(help="field:value, field:a|b, field:low..high or field:prefix*."),
    ] = None,
    order: Annotated[str | None, typer.Option(help="An indexed field; -field: descending.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
) -> None:
    """Find documents of a kind by its indexed fields."""
    from webnova.client import eventing

    with connect() as client:
        found = client.do(eventing.documents(kind, limit=limit, where=where or [], order=order))
    output.value([*found.items])
    for each in found.items:
        text = json.dumps(each.data, ensure_ascii=False)
        output.say(f"{each.id}@{each.version} {isolated(text[: _LONGEST * 2])}")


@command
def rebuild(
    output: Output,
    kind: Kind,
    id: Annotated[str | None, typer.Argument(help="One document; else all of the kind.")] = None,
) -> None:
    """Fold documents anew from their events, and say which were not what these give."""
    from webnova.client import eventing
    from webnova.client.eventing_models import Rebuilt

    checked, changed, after = 0, list[str](), None
    with connect() as client:
        while True:
            done = client.do(eventing.rebuild_documents(kind, id=id, after=after))
            checked += done.checked
            changed += done.changed
            after = done.next
            if after is None:
                break
    output.value(Rebuilt(kind=kind, checked=checked, changed=changed, next=None))
    output.say(f"{checked} documents folded anew, {len(changed)} of them were not what they ought.")
    for each in changed:
        output.say(f"  {each}")


@command
def restore(
    output: Output, kind: Kind, id: Id, version: Annotated[int, typer.Argument(min=1)]
) -> None:
    """Make a document what it was at a version."""
    from webnova.client import eventing

    with connect() as client:
        found = client.do(eventing.restore_version(kind, id, version))
    output.value(found)
    output.say(f"{kind} {id} is at version {found.version} and as it was at version {version}.")


@command
def causes(
    output: Output, event_id: Annotated[str, typer.Argument(metavar="EVENT", help="Its id.")]
) -> None:
    """Show why an event happened, what happened with it, and what came of it."""
    from webnova.client import eventing

    with connect() as client:
        found = client.do(eventing.event_links(event_id))
    output.value(found)
    for heading, events in {
        "because of": found.causes,
        "the event": [found.event],
        "together with": found.siblings,
        "led to": found.effects,
    }.items():
        if events:
            output.say(heading, style="bold")
        for each in events:
            output.say(f"  {each.at:%Y-%m-%d %H:%M:%S} {each.type} {each.kind}/{each.id}")


@command
def diff(
    output: Output,
    kind: Kind,
    id: Id,
    old: Annotated[int | None, typer.Argument(min=0, help="The one before NEW by default.")] = None,
    new: Annotated[int | None, typer.Argument(min=1, help="The newest by default.")] = None,
) -> None:
    """Compare two versions of a document, value by value."""
    with connect() as client:
        found = client.differences(kind, id, old, new)
    output.value(found)
    for each in found.items:
        values = {
            "added": _short(each.after),
            "removed": _short(each.before),
            "changed": f"{_short(each.before)} → {_short(each.after)}",
        }
        output.say(f"{_SIGNS[each.change]} {each.path or '/'}  {values[each.change]}")
    if not found.items:
        output.say(f"Versions {found.old} and {found.new} are the same.")


@command
def blame(output: Output, kind: Kind, id: Id) -> None:
    """Tell for each value of a document which change gave it its present form."""
    with connect() as client:
        found = client.blame(kind, id)
    output.value(found)
    for each in found.items:
        output.say(f"{_line(each.by)}  {each.path}  {_short(each.value)}")


def _line(by: Authorship) -> str:
    return f"{by.version:>5}  {by.at.isoformat(timespec='seconds')}  {by.caller}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return isolated(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
