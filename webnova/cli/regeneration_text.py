"""What people read of a regeneration, and how they name renamed entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.kernel.errors import InvalidInput
from webnova.cli.output import Output

if TYPE_CHECKING:
    from engine.forge.regeneration.outcome import Regeneration

_SHOWN = 20


def pairs_of(words: Sequence[str]) -> dict[str, str]:
    """`OLD=NEW` as pairs. Raises `InvalidInput` for anything else."""
    found: dict[str, str] = {}
    for word in words:
        old, equals, new = word.partition("=")
        if not (old and equals and new) or old in found or new in found.values():
            raise InvalidInput(
                f"{word[:80]!r} does not say which entity is called how now.",
                mend="Write --renamed OLD=NEW, each name once.",
            )
        found[old] = new
    return found


def tell(output: Output, done: Regeneration, *, dry_run: bool = False) -> None:
    """A line for each kind of thing that was done, and all that a person has to do now."""
    if done.recovered:
        output.say("An interrupted generation was finished first.")
    if done.is_empty:
        output.say("Nothing has changed." if not dry_run else "Nothing would change.")
    _list(output, "added", "+", done.added)
    _list(output, "updated", "~", done.updated)
    _list(output, "removed", "-", done.removed)
    for move in done.moved:
        output.say(f"  followed {move.before} → {move.after} (moved by {move.by})")
    if done.kept:
        count = len(done.kept)
        output.say(
            f"  {count} edited {'file keeps its' if count == 1 else 'files keep their'} edits"
        )
    for path in done.changed_meanwhile:
        output.say(f"  ! {path} was changed meanwhile and left as it is", style="yellow")
    for heading, conflicts in (("Conflict", done.conflicts), ("Still open", done.still_open)):
        for conflict in conflicts:
            output.say(f"{heading} in {conflict.path}: {conflict.message}", style="red")
    if done.conflicts:
        output.say(
            "  In marked conflicts the first part is yours and the last generated. Take out the"
            " markers and delete or rename the .generated files, then generate again."
        )
    if done.backup is not None:
        output.say(
            f"  → webnova undo takes it back; git diff {done.backup[:12]} shows it all", style="dim"
        )


def _list(output: Output, verb: str, mark: str, paths: Sequence[str]) -> None:
    if not paths:
        return
    output.say(f"  {len(paths)} {verb}")
    for path in paths[:_SHOWN]:
        output.say(f"    {mark} {path}")
    if len(paths) > _SHOWN:
        output.say(f"    … and {len(paths) - _SHOWN} more")
