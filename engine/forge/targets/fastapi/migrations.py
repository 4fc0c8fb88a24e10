"""Migrations: how the database grows from one version of a platform to the next.

Tables only ever widen. What a version no longer uses stays and accepts rows without it, so that
the version before still works on the same database: while both run side by side, and after a
rollback. (One thing it then meets: a field that has become required is asked for.) What can't be
had that way, such as a required field without a default on records that exist or a type that means
something else, is refused with an error that says what to change.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine.forge.resolve import ResolvedPlatform
from engine.forge.targets.fastapi.tables import Column, Index, Key, Table, tables
from engine.kernel.errors import InvalidInput

_TEXT_LENGTH = re.compile(r"sa\.String\((\d+)\)")
_DECIMAL = re.compile(r"ExactDecimal\((\d+), (\d+)\)")


@dataclass(frozen=True, slots=True)
class Migration:
    """One revision; `created` are new tables and `steps` the statements that change others."""

    number: int
    revision: str
    before: str | None
    created: tuple[Table, ...]
    steps: tuple[str, ...]

    @property
    def file_name(self) -> str:
        return f"{self.number:04d}_{'changes' if self.before else 'initial'}.py"


def migrations(
    history: Sequence[ResolvedPlatform], platform: ResolvedPlatform
) -> tuple[Migration, ...]:
    """The revisions that lead from an empty database through `history`, oldest first, to the
    platform. A version that changes no table has none.

    Equal beginnings of a history give equal revisions. Raises `InvalidInput` for a change that
    the version before, or the records that exist, would not survive.
    """
    found: list[Migration] = []
    state: dict[str, Table] = {}
    for version in (*history, platform):
        wanted = tables(version)
        created = tuple(table for table in wanted if table.name not in state)
        steps: list[str] = []
        for table in wanted:
            if table.name in state:
                widening = _Widening(state[table.name], table)
                state[table.name] = widening.result()
                steps += widening.steps()
            else:
                state[table.name] = table
        if created or steps:
            found.append(_migration(found, created, tuple(steps)))
    return tuple(found)


def _migration(
    earlier: Sequence[Migration], created: tuple[Table, ...], steps: tuple[str, ...]
) -> Migration:
    before = earlier[-1].revision if earlier else None
    number = len(earlier) + 1
    # The identifier follows from all that was done so far, so that a database made in another way
    # is recognised instead of being taken for this one.
    digest = hashlib.sha256(repr((before, created, steps)).encode()).hexdigest()
    return Migration(number, f"{number:04d}_{digest[:8]}", before, created, steps)


class _Widening:
    """One table on its way from what it is to what also serves the next version."""

    def __init__(self, old: Table, new: Table) -> None:
        self._old = old
        self._new = new
        self._statements: list[str] = []
        self._batch: list[str] = []

    def result(self) -> Table:
        """The table afterwards. Collects the steps on the way."""
        columns = [self._column(column) for column in self._old.columns]
        columns += [
            self._added(column)
            for column in self._new.columns
            if self._old.column(column.name) is None
        ]
        keys = [self._key(key) for key in (*self._old.keys, *self._old.later)]
        keys += [
            key for key in (*self._new.keys, *self._new.later) if self._old.key(key.column) is None
        ]
        return replace(
            self._old,
            columns=tuple(columns),
            keys=tuple(keys),
            later=(),
            indexes=tuple(self._indexes()),
        )

    def steps(self) -> Iterator[str]:
        yield from self._statements
        if self._batch:
            lines = "".join(f"\n    {line}" for line in self._batch)
            yield f'with op.batch_alter_table("{self._old.name}") as batch:{lines}'

    def _column(self, old: Column) -> Column:
        new = self._new.column(old.name)
        if new is None:
            if old.required:
                self._batch.append(f'batch.alter_column("{old.name}", nullable=True)')
            return replace(old, required=False)
        self._require_choices(old, new)
        kind = self._wider_type(old, new)
        changes = [] if kind == old.type else [f"type_={kind}"]
        if new.required and not old.required:
            self._fill(new)
            changes.append("nullable=False")
        elif old.required and not new.required:
            changes.append("nullable=True")
        if changes:
            self._batch.append(f'batch.alter_column("{old.name}", {", ".join(changes)})')
        return replace(new, type=kind)

    def _require_choices(self, old: Column, new: Column) -> None:
        gone = [choice for choice in old.choices if choice not in new.choices]
        if gone and new.choices:
            listed = ", ".join(f'"{choice}"' for choice in gone)
            self._statements.append(f'require_unused("{self._old.name}", "{old.name}", [{listed}])')

    def _fill(self, column: Column) -> None:
        if column.value is None:
            raise self._refusal(
                column.name,
                "can't become required: records that exist may be without it",
                "Give it a default, which those records then get.",
            )
        self._statements.append(
            f'op.execute(sa.update(sa.table("{self._old.name}", sa.column("{column.name}",'
            f' {column.type}))).where(sa.column("{column.name}").is_(None))'
            f".values({column.name}={column.value}))"
        )

    def _added(self, column: Column) -> Column:
        parts = [f'"{column.name}"', column.type]
        if column.required and column.stored is None:
            raise self._refusal(
                column.name,
                "can't be required from the start: records that exist are without it",
                "Make it optional or give it a default.",
            )
        parts.append(f"nullable={not column.required}")
        if column.stored is not None:
            parts.append(f"server_default={column.stored}")
        self._statements.append(f'op.add_column("{self._old.name}", sa.Column({", ".join(parts)}))')
        key = self._new.key(column.name)
        if key is not None:
            self._create_key(key)
        return column

    def _create_key(self, key: Key) -> None:
        self._batch.append(
            f'batch.create_foreign_key("{key.name}", "{key.target}", ["{key.column}"], ["id"],'
            f' ondelete="{key.on_delete}")'
        )

    def _key(self, old: Key) -> Key:
        new = self._new.key(old.column)
        if new is None or new == old:
            return old
        if new.target != old.target:
            raise self._refusal(
                old.column,
                "can't refer to another entity: records that exist refer to the first",
                "Add a relation under another name.",
            )
        self._batch.append(f'batch.drop_constraint("{old.name}", type_="foreignkey")')
        self._create_key(new)
        return new

    def _indexes(self) -> Iterator[Index]:
        for old in self._old.indexes:
            gone = self._new.index(old.name) is None
            if gone and old.unique:
                if old.constraint:
                    self._batch.append(f'batch.drop_constraint("{old.name}", type_="unique")')
                else:
                    self._statements.append(
                        f'op.drop_index("{old.name}", table_name="{self._old.name}")'
                    )
            else:
                yield old
        for new in self._new.indexes:
            if self._old.index(new.name) is None:
                unique = ", unique=True" if new.unique else ""
                self._statements.append(
                    f'op.create_index("{new.name}", "{self._old.name}", [{new.listed}]{unique})'
                )
                yield replace(new, constraint=False)

    def _wider_type(self, old: Column, new: Column) -> str:
        """The type that holds the values of both versions."""
        if old.type == new.type:
            return old.type
        lengths = [_TEXT_LENGTH.fullmatch(kind) for kind in (old.type, new.type)]
        if lengths[0] and lengths[1]:
            return max((old.type, new.type), key=lambda kind: int(kind[10:-1]))
        if {old.type, new.type} <= {"sa.Text()", *(one.group() for one in lengths if one)}:
            return "sa.Text()"
        decimals = [_DECIMAL.fullmatch(kind) for kind in (old.type, new.type)]
        if decimals[0] and decimals[1] and decimals[0].group(2) == decimals[1].group(2):
            return max((old.type, new.type), key=lambda kind: int(kind[13:].split(",")[0]))
        raise self._refusal(
            old.name,
            "can't change its type: records that exist hold the other one",
            "Add a field under another name.",
        )

    def _refusal(self, column: str, why: str, mend: str) -> InvalidInput:
        detail = f"The column {column!r} of the table {self._old.name!r} {why}."
        return InvalidInput(detail, mend=mend, table=self._old.name, column=column)
