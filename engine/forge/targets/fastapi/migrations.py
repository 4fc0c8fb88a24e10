"""Migrations: how the database grows from one version of a platform to the next.

Tables only ever widen. What a version no longer uses stays and accepts rows without it, so that
the version before still works on the same database: while both run side by side, and after a
rollback. What can't be had that way (a required field without a default on records that exist, a
type that means something else) is refused with an error that says what to change.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from engine.forge.resolve import ResolvedPlatform
from engine.forge.targets.fastapi.tables import Column, Key, Table, tables
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


@dataclass(slots=True)
class _Change:
    """What is to be done to one table: plain statements first, then those of one batch."""

    statements: list[str] = field(default_factory=list)
    batch: list[str] = field(default_factory=list)

    def steps(self, table: str) -> Iterator[str]:
        yield from self.statements
        if self.batch:
            lines = "\n".join(f"    {line}" for line in self.batch)
            yield f'with op.batch_alter_table("{table}") as batch:\n{lines}'


def migrations(
    history: Sequence[ResolvedPlatform], platform: ResolvedPlatform
) -> tuple[Migration, ...]:
    """The revisions that lead from an empty database through `history`, oldest first, to the
    platform. A version that changes no table has none.

    Equal beginnings of a history give equal revisions. Raises `InvalidInput` for a change that
    would make the version before, or the records that exist, unusable.
    """
    found: list[Migration] = []
    state: dict[str, Table] = {}
    for version in (*history, platform):
        created: list[Table] = []
        steps: list[str] = []
        for table in tables(version):
            if table.name in state:
                change, state[table.name] = _widened(state[table.name], table)
                steps += change.steps(table.name)
            else:
                created.append(table)
                state[table.name] = table
        for name in state.keys() - {table.name for table in tables(version)}:
            raise_if_needed = _abandoned(state[name])
            change, state[name] = raise_if_needed
            steps += change.steps(name)
        if created or steps:
            found.append(_migration(found, created, steps))
    return tuple(found)


def _migration(
    earlier: Sequence[Migration], created: Sequence[Table], steps: Sequence[str]
) -> Migration:
    before = earlier[-1].revision if earlier else None
    number = len(earlier) + 1
    # The identifier follows from all that was done so far, so that a database made in another way
    # is recognised instead of being taken for this one.
    digest = hashlib.sha256(repr((before, tuple(created), tuple(steps))).encode()).hexdigest()
    return Migration(number, f"{number:04d}_{digest[:8]}", before, tuple(created), tuple(steps))
