"""Exact amounts of money.

Amounts are decimals and are computed without any rounding: an operation whose result would not be
exact raises. Rounding happens in one place, `Money.rounded`, half to even, to the minor unit of the
currency (ISO 4217, from the table that ISO's maintenance agency publishes, by the package
`iso4217`). Amounts of different currencies never meet in one operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import (
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from functools import cache
from typing import Annotated, Any

from iso4217 import Currency as Iso4217
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from engine.kernel.contracts import Message
from engine.kernel.errors import CurrencyMismatch, InvalidInput

EXACT = Context(
    prec=400,
    rounding=ROUND_HALF_EVEN,
    traps=[Inexact, InvalidOperation, Overflow, DivisionByZero],
)
"""Arithmetic that raises rather than rounds; ample for a year of the largest amounts allowed."""

_ROUNDING = Context(prec=400, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])


@cache
def minor_units(currency: str) -> int:
    """How many decimal places the currency has (ISO 4217): JPY 0, SAR 2, KWD 3.

    Raises `InvalidInput` for what is no currency that payments are made in.
    """
    try:
        places = Iso4217(currency).exponent
    except ValueError:
        places = None
    if places is None:
        raise InvalidInput(
            f"{currency[:10]!r} is not a currency.",
            mend="Use an alphabetic code of ISO 4217, such as SAR, USD or EUR.",
        )
    return int(places)


def _known_currency(code: str) -> str:
    try:
        minor_units(code)
    except InvalidInput as error:
        raise ValueError(error.detail.rstrip(".")) from None
    return code


def _no_float(value: Any) -> Any:
    if isinstance(value, float | bool):
        raise ValueError("send the number as text, so that it is exact, such as '0.10'")
    return value


def plain(value: Decimal) -> str:
    """The decimal written out, without an exponent and without needless zeros."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def exact_decimal(*, signed: bool, digits: int, places: int) -> Any:
    """The constraints of a decimal with up to `digits` digits before the point and `places` behind.

    Taken from text or whole numbers, never from binary fractions; written as text.
    """
    bound = Decimal(10) ** digits
    low = {"gt": -bound} if signed else {"ge": 0}
    sign = "-?" if signed else ""
    schema = {
        "type": "string",
        "pattern": f"^{sign}[0-9]{{1,{digits}}}(\\.[0-9]{{1,{places}}})?$",
        "examples": ["12.5"],
    }
    return (
        BeforeValidator(_no_float),
        Field(lt=bound, decimal_places=places, allow_inf_nan=False, **low),
        PlainSerializer(plain, return_type=str, when_used="json"),
        WithJsonSchema(schema),
    )


CurrencyCode = Annotated[
    str, Field(pattern=r"^[A-Z]{3}$", examples=["SAR"]), AfterValidator(_known_currency)
]
Amount = Annotated[Decimal, *exact_decimal(signed=False, digits=18, places=9)]
"""An amount of money or of a meter that can't be negative."""
SignedAmount = Annotated[Decimal, *exact_decimal(signed=True, digits=18, places=9)]
UnitPrice = Annotated[Decimal, *exact_decimal(signed=False, digits=9, places=12)]
Quantity = Annotated[Decimal, *exact_decimal(signed=False, digits=18, places=9)]
Sum = Annotated[Decimal, PlainSerializer(plain, return_type=str, when_used="json")]
"""A decimal that was computed: it has no bound of its own."""


class Money(Message):
    """An exact amount in one currency."""

    amount: Sum
    currency: CurrencyCode

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(amount=EXACT.add(self.amount, other.amount), currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(amount=EXACT.subtract(self.amount, other.amount), currency=self.currency)

    def __neg__(self) -> Money:
        return Money(amount=EXACT.minus(self.amount), currency=self.currency)

    def times(self, factor: Decimal) -> Money:
        return Money(amount=EXACT.multiply(self.amount, factor), currency=self.currency)

    def rounded(self) -> Money:
        """To the currency's minor unit, half to even."""
        amount = round_half_even(self.amount, minor_units(self.currency))
        return Money(amount=amount, currency=self.currency)

    def allocated(self, weights: Sequence[Decimal]) -> list[Money]:
        """The amount in parts proportional to the weights, of whole minor units, none lost.

        Largest remainder, ties to the earlier part. The weights must be zero or more and not all
        zero, and the amount must itself be of whole minor units; `InvalidInput` otherwise.
        """
        places = minor_units(self.currency)
        whole = _minor(self.amount, places)
        total = total_of(weights)
        if total <= 0 or any(weight < 0 for weight in weights):
            raise InvalidInput("An amount is divided by weights that are positive.")
        scale = max((-_exponent(weight) for weight in weights), default=0)
        shares = [_minor(weight, max(scale, 0)) for weight in weights]
        over = sum(shares)
        parts = [whole * share // over for share in shares]
        rests = [whole * share % over for share in shares]
        _hand_out(parts, rests, whole - sum(parts))
        return [Money(amount=_major(part, places), currency=self.currency) for part in parts]

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(
                f"{self.currency} and {other.currency} can't be added.",
                mend="Keep the amounts of each currency apart.",
            )


def total_of(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def round_half_even(amount: Decimal, places: int) -> Decimal:
    return _ROUNDING.quantize(amount, Decimal(1).scaleb(-places))


def rounded_lines(amounts: Sequence[Decimal], places: int) -> list[Decimal]:
    """The amounts rounded so that they sum to their exact total rounded half to even.

    Each is first rounded down; the minor units that are still missing go one each to the amounts
    with the largest remainders, ties to the earlier one. So no line is a whole unit off.
    """
    total = _minor(round_half_even(total_of(amounts), places), places)
    unit = Decimal(1).scaleb(-places)
    floors = [_FLOOR.quantize(amount, unit) for amount in amounts]
    rests = [EXACT.subtract(a, floor) for a, floor in zip(amounts, floors, strict=True)]
    parts = [_minor(floor, places) for floor in floors]
    _hand_out(parts, rests, total - sum(parts))
    return [_major(part, places) for part in parts]


_FLOOR = Context(prec=400, rounding=ROUND_FLOOR, traps=[InvalidOperation, Overflow])


def _hand_out(parts: list[int], rests: Sequence[Any], missing: int) -> None:
    """Give one unit each to the `missing` parts whose remainders are largest."""
    order = sorted(range(len(parts)), key=lambda at: (-rests[at], at))
    for at in order[:missing]:
        parts[at] += 1


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    return exponent


def _minor(amount: Decimal, places: int) -> int:
    scaled = EXACT.scaleb(amount, places)
    if scaled != EXACT.to_integral_value(scaled):
        raise InvalidInput(f"{plain(amount)} has more than {places} decimal places.")
    return int(scaled)


def _major(units: int, places: int) -> Decimal:
    return EXACT.scaleb(Decimal(units), -places)
