"""CHECK constraints that a field of the language can say: bounds, lengths, patterns, choices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from sqlglot import exp

from engine.forge.blueprint.model import FieldType
from engine.forge.formats.draft import Draft, DraftEntity, DraftEnum, DraftField, DraftValue
from engine.forge.formats.importers.sql.types import bare, literal
from engine.forge.formats.report import Place

_FLIPPED: dict[type[exp.Expression], type[exp.Expression]] = {
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}
_LENGTHS = (exp.Length,)
_DECLARED = "Declare it as a constraint of the field."


def take_check(draft: Draft, entity: DraftEntity, node: Any, place: Place, name: str) -> None:
    """Carry a check over as far as fields can say it; account for each of its parts."""
    for part in _parts(bare(node)):
        where = place
        what = f"{entity.name}: {part.sql()[:120]}"
        field, applied = _apply(draft, entity, part)
        if field is not None and applied:
            draft.tell("carried", ("check", what), where)
        else:
            reason = "no constraint of a single field says this"
            draft.drop("check", what, where, reason, "Check it where the records are written.")


def _parts(node: exp.Expression | None) -> Iterator[exp.Expression]:
    """The conditions that all hold, without recursion: a chain may be long."""
    stack = [node]
    while stack:
        each = bare(stack.pop())
        if isinstance(each, exp.And):
            stack += [each.expression, each.this]
        elif each is not None:
            yield each


def _apply(
    draft: Draft, entity: DraftEntity, node: exp.Expression
) -> tuple[DraftField | None, bool]:
    if isinstance(node, exp.Between):
        low = _comparison(draft, entity, exp.GTE, node.this, node.args.get("low"))
        high = _comparison(draft, entity, exp.LTE, node.this, node.args.get("high"))
        return low[0], low[1] and high[1]
    if isinstance(node, exp.In):
        values = [literal(each) for each in node.expressions]
        return _choice(draft, entity, node.this, values)
    if isinstance(node, exp.EQ) and isinstance(node.expression, exp.Any):
        array = bare(node.expression.this)
        items = array.expressions if isinstance(array, exp.Array) else []
        return _choice(draft, entity, node.this, [literal(each) for each in items])
    if isinstance(node, exp.RegexpLike):
        return _pattern(entity, node.this, node.expression)
    if type(node) in _FLIPPED:
        left, right = bare(node.this), bare(node.expression)
        if literal(left) is not None:
            return _comparison(draft, entity, _FLIPPED[type(node)], right, left)
        return _comparison(draft, entity, type(node), left, right)
    return None, False


def _field(entity: DraftEntity, node: Any) -> DraftField | None:
    inner = bare(node)
    if not isinstance(inner, exp.Column):
        return None
    wanted = inner.name.lower()
    return next((each for each in entity.fields if each.name.lower() == wanted), None)


def _comparison(
    draft: Draft, entity: DraftEntity, kind: type[exp.Expression], left: Any, right: Any
) -> tuple[DraftField | None, bool]:
    value = literal(right)
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,9})?", value):
        return None, False
    inner = bare(left)
    if isinstance(inner, _LENGTHS):
        field = _field(entity, inner.this)
        if field is None or "." in value or field.type in (FieldType.ENUM, FieldType.UUID):
            return field, False
        return field, _set_bound(field, kind, int(value), ("min_length", "max_length"))
    field = _field(entity, inner)
    if field is None or field.type not in (FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY):
        return field, False
    number: int | float = float(value) if "." in value else int(value)
    if field.type is not FieldType.INTEGER and kind in (exp.GT, exp.LT):
        step = 10.0 ** -int(field.constraints.get("scale") or 2)
        number = round(number + (step if kind is exp.GT else -step), 9)
        kind = exp.GTE if kind is exp.GT else exp.LTE
    return field, _set_bound(field, kind, number, ("min", "max"))


def _set_bound(
    field: DraftField, kind: type[exp.Expression], number: int | float, names: tuple[str, str]
) -> bool:
    """Narrow one of the two bounds; whole numbers know their neighbours."""
    if kind in (exp.GT, exp.LT):
        number += 1 if kind is exp.GT else -1
    lower = kind in (exp.GT, exp.GTE)
    name = names[0] if lower else names[1]
    if name == "max_length" and number < 1:
        return False
    if name == "min_length" and number < 0:
        return True
    narrower: Callable[..., int | float] = max if lower else min
    held = field.constraints.get(name)
    field.constraints[name] = number if held is None else narrower(held, number)
    return True


def _choice(
    draft: Draft, entity: DraftEntity, left: Any, values: list[Any]
) -> tuple[DraftField | None, bool]:
    """`column IN (…)` over texts is an enum."""
    field = _field(entity, left)
    texts = [value for value in values if isinstance(value, str) and value]
    if field is None or field.type not in (FieldType.STRING, FieldType.TEXT):
        return field, False
    if not texts or len(texts) != len(values):
        return field, False
    add_enum(draft, entity, field, texts)
    return field, True


def add_enum(draft: Draft, entity: DraftEntity, field: DraftField, values: list[str]) -> None:
    """Give a field an enum of its own."""
    name = f"{entity.name}_{field.name}"
    draft.add_enum(
        DraftEnum(name, [DraftValue(value, field.place) for value in values], field.place)
    )
    field.type, field.enum = FieldType.ENUM, name
    field.constraints.clear()
    field.notes = [each for each in field.notes if "characters" not in each.reason]


def _pattern(entity: DraftEntity, left: Any, right: Any) -> tuple[DraftField | None, bool]:
    """`column ~ '^…$'`: only a pattern of the whole text means the same in the language."""
    field = _field(entity, left)
    pattern = literal(right)
    if field is None or field.type not in (FieldType.STRING, FieldType.TEXT):
        return field, False
    if not isinstance(pattern, str) or not re.fullmatch(r"\^[^|]*(?<!\\)\$", pattern):
        return field, False
    field.constraints["pattern"] = pattern[1:-1]
    return field, True
