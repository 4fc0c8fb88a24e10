"""usage, price, statement, forecast: what was consumed and what it costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.kernel.errors import InvalidInput
from webnova.cli.command import command
from webnova.cli.output import Output
from webnova.cli.sources import connect, read_text

if TYPE_CHECKING:
    from webnova.client.models import LedgerEntry, PriceBook, Statement, StatementLine

Month = Annotated[str, typer.Argument(metavar="MONTH", help="A month, such as 2026-05.")]
File = Annotated[Path, typer.Argument(help="A file; - reads standard input.")]
BATCH = 1000


@command
def record_usage(output: Output, file: File) -> None:
    """Record usage events, one JSON object a line. Doing it again changes nothing."""
    events = list(_lines(read_text(file)))
    accepted, duplicates = 0, 0
    with connect() as client:
        for at in range(0, len(events), BATCH):
            found = client.record_usage(events[at : at + BATCH])
            accepted, duplicates = accepted + found.accepted, duplicates + found.duplicates
    output.value({"accepted": accepted, "duplicates": duplicates})
    output.say(f"Recorded {accepted}; {duplicates} had been there before.")


@command
def list_usage(
    output: Output,
    first: Annotated[str | None, typer.Option(help="First month (YYYY-MM).")] = None,
    last: Annotated[str | None, typer.Option(help="Last month, inclusive.")] = None,
    meter: Annotated[str | None, typer.Option(help="Only this meter.")] = None,
    platform: Annotated[str | None, typer.Option(help="Only this platform.")] = None,
    user: Annotated[str | None, typer.Option(help="Only this user.")] = None,
) -> None:
    """Sum up usage by month, meter, platform and user."""
    with connect() as client:
        found = list(
            client.usage(first=first, last=last, meter=meter, platform=platform, user=user)
        )
    output.value([*found])
    if not found:
        output.say("There is no such usage.")
    output.table(
        ["month", "meter", "platform", "user", "quantity", "events"],
        [
            [
                each.period,
                each.meter,
                each.platform or "",
                each.user or "",
                format(each.quantity, "f"),
                str(each.events),
            ]
            for each in found
        ],
    )


@command
def list_unrated(output: Output) -> None:
    """List usage that has no charge yet, and whether it is for want of a price."""
    with connect() as client:
        found = client.unrated_usage()
    output.value([*found])
    if not found:
        output.say("All usage is charged.")
    output.table(
        ["month", "region", "meter", "quantity", "events", "why"],
        [
            [
                each.period,
                each.region,
                each.meter,
                format(each.quantity, "f"),
                str(each.events),
                "no price" if each.price_missing else "not rated yet",
            ]
            for each in found
        ],
    )


@command
def rate(output: Output) -> None:
    """Charge all usage that has a price."""
    charged, entries = 0, []
    missing: dict[tuple[str, str], dict[str, Any]] = {}
    with connect() as client:
        while True:
            found = client.rate_usage()
            charged += found.charged
            entries += found.entries
            for each in found.missing:
                key = (each.region, each.meter)
                before = missing.get(key, {"events": 0})["events"]
                events = before + each.events
                missing[key] = {"region": each.region, "meter": each.meter, "events": events}
            if not found.more:
                break
    rows = list(missing.values())
    output.value({"charged": charged, "missing": rows, "entries": entries, "more": False})
    output.say(f"Charged {charged} usage events.")
    for row in rows:
        words = f"{row['events']} events of {row['meter']} in {row['region']}"
        output.say(f"  no price for {words} → webnova price publish FILE")


@command
def publish_prices(output: Output, file: File) -> None:
    """Publish prices: a JSON object with currency, valid_from, prices and, if any, region."""
    given = _json(read_text(file))
    if not isinstance(given, dict):
        raise InvalidInput("The file holds no JSON object.", mend="See `price publish --help`.")
    try:
        valid_from = datetime.fromisoformat(str(given.get("valid_from")))
    except ValueError:
        raise InvalidInput(
            "`valid_from` is no instant.", mend="Write it like 2026-01-01T00:00:00Z."
        ) from None
    unknown = sorted(set(given) - {"currency", "valid_from", "prices", "region"})
    if unknown or not isinstance(given.get("prices"), dict):
        raise InvalidInput(
            f"The file has fields that are none: {', '.join(unknown)}."
            if unknown
            else "`prices` maps meters to lists of tiers."
        )
    with connect() as client:
        found = client.publish_prices(
            given["prices"],
            currency=str(given.get("currency", "")),
            valid_from=valid_from,
            region=str(given.get("region", "default")),
        )
    output.value(found)
    _tell_book(output, found)


@command
def list_prices(output: Output) -> None:
    """List the price books of all regions."""
    with connect() as client:
        found = list(client.price_books())
    output.value([*found])
    if not found:
        output.say("There are no prices yet. → webnova price publish FILE")
    for book in found:
        _tell_book(output, book)


@command
def show_prices(
    output: Output, region: Annotated[str, typer.Argument(help="The region.")] = "default"
) -> None:
    """Show a region's price book with all its versions."""
    with connect() as client:
        found = client.price_book(region)
    output.value(found)
    _tell_book(output, found)


@command
def show_statement(output: Output, month: Month) -> None:
    """Show what a month costs by platform, user and meter."""
    with connect() as client:
        found = client.statement(month)
    output.value(found)
    _tell_statement(output, found)


@command
def close_month(output: Output, month: Month) -> None:
    """Fix the statement of a month that is over; what comes later is a correction."""
    with connect() as client:
        found = client.close_month(month)
    output.value(found)
    _tell_statement(output, found)


@command
def correct_charge(
    output: Output,
    source: Annotated[str, typer.Argument(help="Source of the usage event.")],
    id: Annotated[str, typer.Argument(help="The source's id of the event.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    amount: Annotated[str, typer.Option(help="What to add; negative for a credit.")],
) -> None:
    """Add to what a usage event was charged, or take off it."""
    with connect() as client:
        found = client.correct_charge(source, id, amount, reason)
    output.value(found)
    _tell_entry(output, found)


@command
def show_entry(
    output: Output, id: Annotated[str, typer.Argument(metavar="ENTRY", help="The entry's id.")]
) -> None:
    """Show an entry of the ledger with its postings."""
    with connect() as client:
        found = client.ledger_entry(id)
    output.value(found)
    _tell_entry(output, found)


@command
def forecast(output: Output) -> None:
    """Show what this month will have cost at its end."""
    with connect() as client:
        found = client.forecast()
    output.value(found)
    output.say(f"{found.period}, by {found.method}", style="bold")
    if not found.currencies:
        output.say("  Nothing has been charged lately.")
    output.table(
        ["currency", "spent", "expected", "from", "to", "days of basis"],
        [
            [
                each.currency,
                format(each.spent, "f"),
                *(_number(number) for number in (each.expected, each.low, each.high)),
                str(each.basis_days),
            ]
            for each in found.currencies
        ],
    )


def _json(content: str) -> Any:
    """Numbers with a point are read as decimals, never as binary fractions."""
    try:
        return json.loads(content, parse_float=Decimal)
    except ValueError:
        raise InvalidInput("The file is not JSON.", mend="Check its syntax.") from None


def _lines(content: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, parse_float=Decimal)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise InvalidInput(f"Line {number} is no JSON object.", mend="One event a line.")
        yield found


def _number(number: Decimal | None) -> str:
    return "unknown" if number is None else format(number, "f")


def _tell_book(output: Output, book: PriceBook) -> None:
    for version in book.versions:
        words = f"{book.region}, version {version.version}, {version.currency}"
        output.say(f"{words}, from {version.valid_from:%Y-%m-%d %H:%M %Z}", style="bold")
        for meter, tiers in version.prices.items():
            for tier in tiers:
                bound = "" if tier.up_to is None else f" up to {format(tier.up_to, 'f')}"
                output.say(f"  {meter}{bound}: {format(tier.unit_price, 'f')} a unit")


def _tell_statement(output: Output, found: Statement) -> None:
    output.say(f"{found.period}  {found.state}", style="bold")
    for each in found.currencies:
        _tell_lines(output, each.currency, each.lines)
        output.say(f"  total {each.total:f} {each.currency}")
        if each.corrections:
            _tell_lines(output, f"{each.currency}, corrections", each.corrections)
            output.say(f"  corrections {each.corrected:f} {each.currency}")
        output.say(f"  due {each.due:f} {each.currency}", style="bold")
    for row in found.unrated:
        output.say(f"  not charged: {row.quantity:f} {row.meter} in {row.region}")


def _tell_lines(output: Output, heading: str, lines: list[StatementLine]) -> None:
    output.say(heading, style="dim")
    output.table(
        ["platform", "user", "meter", "quantity", "amount"],
        [
            [
                line.platform or "",
                line.user or "",
                line.meter,
                format(line.quantity, "f"),
                format(line.amount, "f"),
            ]
            for line in lines
        ],
    )


def _tell_entry(output: Output, found: LedgerEntry) -> None:
    output.say(f"{found.id}  {found.kind}, {found.period}", style="bold")
    output.facts([("corrects", found.corrects), ("reason", found.reason or None)])
    output.table(
        ["account", "currency", "amount"],
        [[each.account, each.currency, f"{each.amount:f}"] for each in found.postings],
    )
