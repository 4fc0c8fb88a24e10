"""What a regeneration did, or would do."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class ConflictKind(StrEnum):
    """Why two versions of a file can't become one without a person."""

    CONTENT = "content"
    """Both changed the same lines."""
    ADDED = "added"
    """Both have a new file of this path."""
    BINARY = "binary"
    """Both changed a file that has no lines."""
    REMOVED = "removed"
    """It is generated no more, and was edited or moved."""
    DELETED = "deleted"
    """It was deleted, and is generated otherwise now."""
    MOVED = "moved"
    """Both moved it, to different places."""
    TYPE = "type"
    """A link, a nested repository or a device stands where a file is generated."""
    TAKEN = "taken"
    """Another file or directory of the person's stands where it is to go."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MergeConflict(_Model):
    """One conflict. Both versions are on disk, unless one of them is that there is no file."""

    path: str = Field(description="The file that holds your version, or both of them, marked.")
    kind: ConflictKind
    message: str
    generated: str | None = Field(None, description="Where the generated version was put.")
    marker: str | None = Field(None, description="The line that begins each marked conflict.")


class Move(_Model):
    """A file that was followed to another path."""

    before: str
    after: str
    by: str = Field(description="`generator` or `you`.")


class Regeneration(_Model):
    """Paths are relative to the project. What is neither listed nor new was not touched."""

    added: list[str] = []
    updated: list[str] = Field([], description="Files that were there and have another content.")
    removed: list[str] = Field([], description="Files that were left as generated, and are gone.")
    kept: list[str] = Field([], description="Files with edits of yours, which they still have.")
    moved: list[Move] = []
    conflicts: list[MergeConflict] = []
    still_open: list[MergeConflict] = Field(
        [], description="Conflicts of an earlier generation that nobody has resolved yet."
    )
    changed_meanwhile: list[str] = Field(
        [], description="Files that were changed while this ran, and left as they were."
    )
    backup: str | None = Field(None, description="The commit that holds the state before.")
    generated: str | None = Field(None, description="The commit of what the generator wrote.")
    recovered: bool = Field(False, description="Whether an interrupted run was finished first.")

    @property
    def is_empty(self) -> bool:
        """Whether not one file is other than before."""
        return not (self.added or self.updated or self.removed or self.conflicts)
