"""Regeneration of a project in a directory: what is generated now is merged with what people made
of what was generated before, and everything that changes was kept first.

The base of the merge is named by the manifest in the directory, not by the newest generated state:
so it is right on every branch, after a reset and in a fresh clone.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.forge.generate import MANIFEST
from engine.forge.regeneration.files import File, GeneratedState, files_of, parents
from engine.forge.regeneration.git import Git
from engine.forge.regeneration.journal import Journal, Notes, apply, meanwhile, plan_steps
from engine.forge.regeneration.manifest import Entry, entries_of, ids_of
from engine.forge.regeneration.merging import Plan, merge, pairs
from engine.forge.regeneration.outcome import Regeneration
from engine.forge.regeneration.repository import Repository
from engine.forge.regeneration.scratch import Scratch
from engine.forge.regeneration.working import WorkingState, everything, look
from engine.kernel.errors import Conflict, InvalidInput, NotFound
from engine.runtime.workspace import Bundle

_SHOWN = 10
_LARGEST_KEPT = 64 << 20
"""A larger file (bytes) is backed up only when it is about to change."""


@dataclass(frozen=True)
class Wishes:
    """How to regenerate.

    `adopt` allows a directory that holds files and was never generated into. `dry_run` changes
    nothing. `renamed` maps names of entities to their new ones, so that their files are followed.
    """

    adopt: bool = False
    dry_run: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Base:
    """What was generated before: the manifest's entries, its files, and the commit of both."""

    state: GeneratedState
    commit: str | None = None


def regenerate(root: Path, bundle: Bundle, wishes: Wishes | None = None) -> Regeneration:
    """Make the project in `root` what `bundle` and the work of people there give together.

    Guarantees: a file that nobody edited becomes as generated; an edit stays, or stands in a marked
    conflict beside what was generated; a file that can't hold both stays, with the generated
    version beside it; nothing else is touched. Before anything changes, the directory is kept as a
    commit, and an interrupted run is finished by the next. Without a change of the bundle nothing
    is written at all. Raises `Conflict` when conflicts of the last generation are still open and
    there is something to merge, or when `root` holds files and was never generated into;
    `InvalidInput` for what can't be read or written; `Unavailable` without Git.
    """
    wishes = wishes or Wishes()
    root = root.resolve()
    if root.exists() and not root.is_dir():
        raise InvalidInput("The place for the project is no directory.", mend="Choose one.")
    if not root.is_dir():
        if wishes.dry_run:
            Git.find(Path(tempfile.gettempdir()))
            return Regeneration(added=sorted(bundle.files))
        _make(root)
    git = Git.find(root)
    repository = Repository.find(git, root)
    if wishes.dry_run:
        return _Run(git, root, repository, files_of(bundle), wishes).preview()
    began = None
    if repository is None:
        _check_adoption(set(everything(root)), wishes)
        began = _found_state(root)
        repository = Repository.create(git, root)
    with repository.locked():
        return _Run(git, root, repository, files_of(bundle), wishes).perform(began)


def undo(root: Path) -> Regeneration:
    """Give the directory back the files that the last generation changed, as they were before it.

    What they hold now is kept first, so this can be taken back by the same call. Raises `NotFound`
    when there is nothing to take back, `Conflict` when the directory holds another generation, as
    on another branch.
    """
    root = root.resolve()
    repository = Repository.find(Git.find(root), root) if root.is_dir() else None
    if repository is None:
        raise _nothing()
    with repository.locked():
        notes = Notes(repository.state)
        journal = notes.pending()
        if journal is None or not journal.overwrite:
            journal = _backed_up_undo(repository, root, journal, notes.last())
            notes.begin(journal)
        changed = apply(repository.git, root, journal)
        repository.withdraw([step.path for step in journal.steps if step.after is None])
        notes.finish(journal)
    there = {step.path: (step.before is not None, step.after is not None) for step in journal.steps}
    return Regeneration(
        added=sorted(path for path, state in there.items() if state == (False, True)),
        updated=sorted(path for path, state in there.items() if state == (True, True)),
        removed=sorted(path for path, state in there.items() if state == (True, False)),
        still_open=notes.open_conflicts(root),
        changed_meanwhile=changed,
        backup=journal.backup,
    )


class _Run:
    """One regeneration. Without a repository it can only look."""

    def __init__(
        self,
        git: Git,
        root: Path,
        repository: Repository | None,
        files: Mapping[str, File],
        wishes: Wishes,
    ) -> None:
        self._git, self._root, self._repository = git, root, repository
        self._files, self._wishes = files, wishes
        entries = entries_of(files[MANIFEST].content)
        self._new = GeneratedState(
            {path: file for path, file in files.items() if path != MANIFEST},
            {path: file.digest for path, file in files.items()},
            ids_of(entries),
        )
        self._notes = Notes(repository.state) if repository is not None else None

    def preview(self) -> Regeneration:
        """What would be done."""
        if self._notes is not None and self._notes.pending() is not None:
            raise Conflict(
                "The last generation was interrupted.",
                mend="Generate without --dry-run first: it is finished then. Or `webnova undo`.",
            )
        work, base = self._look()
        return self._told(self._plan(work, base), work)

    def perform(self, began: bool | None) -> Regeneration:
        """Do it. `began` says of a repository that was just made whether it found files there."""
        repository, notes = self._repository, self._notes
        assert repository is not None and notes is not None
        recovered = self._recover()
        work, base = self._look()
        if began:
            found = repository.commit_of(repository.listed(), "The project as found", [])
            repository.begin_branch(found)
        plan = self._plan(work, base)
        told = self._told(plan, work).model_copy(update={"recovered": recovered is not None})
        if told.is_empty:
            repository.keep_generated(self._files, base.commit)
            return self._with_leftovers(told, recovered)
        if told.still_open:
            raise _still_open(told)
        commit = repository.keep_generated(self._files, base.commit)
        touched = plan.writes.keys() | plan.deletes
        backup = repository.back_up(_worth_keeping(work, touched), "Before a generation")
        first = not (repository.head or work.paths or repository.prefix or repository.listed())
        journal = self._journal(plan, work).model_copy(
            update={"backup": backup, "begin": commit if first else None}
        )
        notes.begin(journal)
        changed = self._finish(journal)
        finished = told.model_copy(
            update={"backup": backup, "generated": commit, "changed_meanwhile": changed}
        )
        return self._with_leftovers(finished, recovered)

    def _look(self) -> tuple[WorkingState, _Base]:
        manifest = look(self._root, MANIFEST)
        entries = entries_of(manifest.content) if manifest is not None else {}
        listed = self._repository.listed() if self._repository else everything(self._root)
        named = [*listed, *entries, *self._new.files, MANIFEST]
        work = WorkingState(self._root, named)
        if blocked := work.paths & set(parents(MANIFEST)):
            raise InvalidInput(
                f"{min(blocked)!r} is no directory of the project's own.",
                mend="Remove the link or the file, or choose another directory.",
            )
        if manifest is None:
            _check_adoption(work.paths, self._wishes)
            return work, _Base(GeneratedState())
        return work, self._base(manifest.content, entries, work)

    def _base(self, manifest: bytes, entries: Mapping[str, Entry], work: WorkingState) -> _Base:
        """What the manifest speaks of, as far as its contents are found anywhere."""
        ids = ids_of(entries)
        digests = {path: entry.digest for path, entry in entries.items()}
        commit = self._repository.state_with(manifest) if self._repository else None
        stored = self._repository.files(commit) if self._repository and commit else {}
        files: dict[str, File | None] = {}
        for path, digest in digests.items():
            known = [stored.get(path), work.read(path) if path in work.paths else None]
            known += [known[1].with_unix_lines() if known[1] else None, self._new.files.get(path)]
            files[path] = next((each for each in known if each and each.digest == digest), None)
        unknown = {path: digests[path] for path, file in files.items() if file is None}
        if unknown and self._repository is not None:
            for path, content in self._repository.contents(unknown).items():
                files[path] = File(content)
        return _Base(GeneratedState(files, digests, ids), commit)

    def _plan(self, work: WorkingState, base: _Base) -> Plan:
        renamed = _owners_renamed(self._wishes.renamed, base.state, self._new)
        same = pairs(base.state, self._new, renamed)
        known = self._notes.moves() if self._notes is not None else {}
        with _scratch(self._git) as scratch:
            wanted = any(
                path not in work.paths
                and (after != path or self._new.digests[path] != base.state.digests[path])
                for path, after in same.items()
            )
            moves = scratch.moves(base.state, work, known) if wanted else {}
            plan = merge(base.state, _Without(work), self._new, same, (moves, scratch))
        manifest = self._files[MANIFEST]
        if look(self._root, MANIFEST) != manifest:
            plan.writes[MANIFEST] = manifest
        return plan

    def _told(self, plan: Plan, work: WorkingState) -> Regeneration:
        moved = {each.before: each.after for each in plan.moved if each.by == "generator"}
        fresh = plan.writes.keys() - work.paths
        return Regeneration(
            added=sorted(fresh - set(moved.values())),
            updated=sorted(plan.writes.keys() - fresh),
            removed=sorted(plan.deletes - moved.keys()),
            kept=sorted(plan.kept),
            moved=sorted(plan.moved, key=lambda each: each.before),
            conflicts=plan.conflicts,
            still_open=self._notes.open_conflicts(self._root) if self._notes else [],
        )

    def _journal(self, plan: Plan, work: WorkingState) -> Journal:
        assert self._repository is not None and self._notes is not None
        after: dict[str, File | None] = {**plan.writes, **dict.fromkeys(plan.deletes)}
        before = {path: work.read(path) if path in work.paths else None for path in after}
        return Journal(
            token=secrets.token_hex(6),
            steps=plan_steps(self._repository.git, before, after),
            conflicts=plan.conflicts,
            conflicts_before=self._notes.open_conflicts(self._root),
            moves={each.before: each.after for each in plan.moved if each.by == "you"},
        )

    def _recover(self) -> list[str] | None:
        """Finish what was interrupted; the paths that were changed since, None without any."""
        assert self._notes is not None
        journal = self._notes.pending()
        return self._finish(journal) if journal is not None else None

    def _finish(self, journal: Journal) -> list[str]:
        assert self._repository is not None and self._notes is not None
        changed = apply(self._repository.git, self._root, journal)
        if journal.begin is not None and self._repository.head in (None, journal.begin):
            self._repository.begin_branch(journal.begin)
        else:
            new = {step.path for step in journal.steps if step.before is None and step.after}
            self._repository.announce(new - {each.generated for each in journal.conflicts})
        conflicts = [*journal.conflicts, *meanwhile(changed)]
        self._notes.finish(journal.model_copy(update={"conflicts": conflicts}))
        return changed

    def _with_leftovers(self, told: Regeneration, recovered: list[str] | None) -> Regeneration:
        if not recovered:
            return told
        changed = sorted({*told.changed_meanwhile, *recovered})
        return told.model_copy(update={"changed_meanwhile": changed})


class _Without:
    """The working state without the manifest, which is written and never merged."""

    def __init__(self, work: WorkingState) -> None:
        self._work = work
        self.paths = work.paths - {MANIFEST}

    def read(self, path: str) -> File:
        return self._work.read(path)


@contextmanager
def _scratch(git: Git) -> Iterator[Scratch]:
    with tempfile.TemporaryDirectory(prefix="webnova-merge-") as folder:
        yield Scratch(git, Path(folder))


def _backed_up_undo(
    repository: Repository, root: Path, interrupted: Journal | None, last: Journal | None
) -> Journal:
    """The way back from the change that was made last, with what is there now kept."""
    journal = interrupted or last
    if journal is None:
        raise _nothing()
    here = look(root, MANIFEST)
    made = next((step.after for step in journal.steps if step.path == MANIFEST), None)
    if interrupted is None and made is not None and not made.is_of(here):
        raise Conflict(
            "The directory holds another generation than the last one that was made here.",
            mend="Check out the branch on which that was made, or restore single files from a"
            " commit of `git for-each-ref refs/webnova/backup`.",
        )
    touched = [step.path for step in journal.steps]
    work = WorkingState(root, [*repository.listed(), *touched])
    backup = repository.back_up(_worth_keeping(work, touched), "Before an undo")
    return journal.reversed().model_copy(update={"backup": backup})


def _nothing() -> NotFound:
    return NotFound(
        "Nothing was generated there that could be taken back.",
        mend="Name the directory that `webnova generate` wrote.",
    )


def _worth_keeping(work: WorkingState, touched: set[str] | list[str]) -> list[str]:
    """What a backup holds: all but large files that are not about to change."""
    must = set(touched)
    return [
        path
        for path in sorted(work.paths)
        if path in must or (work.root / path).lstat().st_size <= _LARGEST_KEPT
    ]


def _make(root: Path) -> None:
    try:
        root.mkdir(parents=True)
    except OSError as error:
        raise InvalidInput(
            f"The directory can't be made: {error.strerror}.",
            mend="Choose a directory that you may write to.",
        ) from error


def _found_state(root: Path) -> bool:
    return any(root.iterdir())


def _check_adoption(paths: set[str], wishes: Wishes) -> None:
    """Refuse a directory that holds somebody's files and was never generated into."""
    if paths and MANIFEST not in paths and not wishes.adopt:
        shown = sorted(paths)
        more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        raise Conflict(
            "The directory holds files and was never generated into:"
            f" {', '.join(shown[:_SHOWN])}{more}.",
            mend="Choose an empty directory, or add --adopt: your files stay, and what is generated"
            " under the same name is merged with them, marked.",
            files=shown[:_SHOWN],
        )


def _owners_renamed(
    names: Mapping[str, str], base: GeneratedState, new: GeneratedState
) -> dict[str, str]:
    """Renamed entities as the first parts of ids. One that was renamed before is no error."""
    before, after = ({id.partition("/")[0] for id in state.ids.values()} for state in (base, new))
    found = {f"entities.{old}": f"entities.{name}" for old, name in names.items()}
    for old, name in found.items():
        if name not in after or old in after or (base.files and not {old, name} & before):
            raise InvalidInput(
                f"{old.partition('.')[2]!r} was not renamed to {name.partition('.')[2]!r}: before"
                " there must be only the one, now only the other.",
                mend="Check both names against the two Blueprints.",
            )
    return found


def _still_open(told: Regeneration) -> Conflict:
    paths = sorted({each.path for each in told.still_open})
    return Conflict(
        f"Conflicts of the last generation are not resolved yet: {', '.join(paths[:_SHOWN])}"
        + (f" and {len(paths) - _SHOWN} more." if len(paths) > _SHOWN else "."),
        mend="Take out the markers, and delete or rename the .generated files, then generate"
        " again; or take the last generation back with `webnova undo`.",
        files=paths,
    )
