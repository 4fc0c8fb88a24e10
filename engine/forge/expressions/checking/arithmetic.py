"""Intervals: the bounds, scale and currency of what arithmetic gives, and whether it is possible.

The limits are those of the narrowest target. MariaDB computes 65 digits, 38 of them after the
point: a quotient is exact there, after rounding, when its guard digits fit as well.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from engine.forge.expressions.language import QUOTIENT_SCALE
from engine.forge.expressions.types import MAX_DIGITS, MAX_SCALE, Type, number, whole_digits

_GUARD = 38
_WHOLE = 27
_TOO_LONG = (
    "this may need {digits} digits, {scale} of them after the point, and at most"
    f" {MAX_DIGITS} and {MAX_SCALE} are computed: give the fields a `min` and `max`, or use"
    " `round(…, …)`"
)
_QUOTIENT_TOO_LONG = (
    "this quotient may need more digits than are computed: give the fields a `min` and `max`, or"
    " use `round(…, …)` inside"
)


def combine(operator: str, left: Type, right: Type, *, nonzero: bool = False) -> Type | str:
    """The type of `left operator right`, or why it can't be computed.

    `nonzero` says that a divisor is known not to be zero here. A quotient whose divisor may be
    zero may be null.
    """
    currency = _currency(operator, left, right)
    if currency is not None and currency.startswith("!"):
        return currency[1:]
    constant = left.constant and right.constant
    if operator == "/":
        result = _quotient(left, right, nonzero)
        if result is None:
            return _QUOTIENT_TOO_LONG
    elif operator == "*":
        corners = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
        result = number(min(corners), max(corners), left.scale + right.scale)
    elif operator == "+":
        scale = max(left.scale, right.scale)
        result = number(left.low + right.low, left.high + right.high, scale)
    else:
        scale = max(left.scale, right.scale)
        result = number(left.low - right.high, left.high - right.low, scale)
    if result.digits > MAX_DIGITS or result.scale > MAX_SCALE:
        return _TOO_LONG.format(digits=result.digits, scale=result.scale)
    return replace(result, currency=currency, constant=constant)


def rounded(type: Type, digits: int) -> Type:
    """The type after rounding to so many digits after the point."""
    if digits >= type.scale:
        return replace(type, constant=False)
    low, high = _floor(type.low, digits), -_floor(-type.high, digits)
    return replace(type, low=low, high=high, scale=digits, constant=False)


def guard_digits(dividend: Type, divisor: Type, scale: int) -> int:
    """Digits after the point that a quotient needs so that rounding it twice changes nothing.

    A quotient of decimals that is not half-way between two results lies at least
    1 / (2 · units of the divisor · 10^(its scales)) away from there.
    """
    return divisor.digits + dividend.scale + scale + 2


def _currency(operator: str, left: Type, right: Type) -> str | None:
    """The currency of the result; what is wrong begins with `!`."""
    one, other = left.currency, right.currency
    if operator in ("+", "-"):
        if one == other or right.constant:
            return one
        if left.constant:
            return other
        if one and other:
            return f"!`{one}` and `{other}` are different currencies"
        return f"!{left} and {right} don't go together; only a number that is written out fits both"
    if one is not None and other is not None:
        if operator == "/" and one == other:
            return None
        return "!amounts of money can't be multiplied, nor divided by another currency"
    if operator == "/" and other is not None:
        return None if left.constant and left.low == 0 else "!a number can't be divided by money"
    return other if one is None else one


def _quotient(left: Type, right: Type, nonzero: bool) -> Type | None:
    scale = max(QUOTIENT_SCALE, left.scale)
    apart = right.low > 0 or right.high < 0
    if apart:
        corners = [a / b for a in (left.low, left.high) for b in (right.low, right.high)]
    else:
        largest = max(abs(left.low), abs(left.high)) * 10**right.scale
        corners = [-largest, largest]
    low, high = _floor(min(corners), scale), -_floor(-max(corners), scale)
    result = number(low, high, scale)
    too_long = (
        scale > MAX_SCALE
        or guard_digits(left, right, scale) > _GUARD
        or whole_digits(left) > _WHOLE
        or whole_digits(result) > _WHOLE
    )
    if too_long:
        return None
    return result if apart or nonzero else result.optional


def _floor(value: Fraction, digits: int) -> Fraction:
    shifted = value * 10**digits
    return Fraction(shifted.numerator // shifted.denominator, 10**digits)
