"""Regeneration in the repositories that people have: bigger ones, clones, branches, settings."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.forge.generate import MANIFEST
from engine.forge.regeneration.outcome import ConflictKind
from engine.forge.regeneration.regenerate import Wishes, regenerate, undo
from engine.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable
from tests.unit.forge.projects import contents, git, lines, move, project, write
from tests.unit.forge.regeneration_cases import BOTH, CLASH, MINE, NEW, OLD, RIVAL

FIRST = project({"app/a": OLD, "app/b": OLD})
SECOND = project({"app/a": NEW, "app/b": OLD, "app/c": "new\n"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "project"


class TestTheFirstGeneration:
    def test_an_empty_folder_becomes_a_repository_with_one_commit(self, root: Path) -> None:
        root.mkdir()
        done = regenerate(root, FIRST)
        assert sorted(done.added) == sorted(FIRST.files)
        assert git(root, "status", "--porcelain") == ""
        assert git(root, "rev-list", "--count", "HEAD").strip() == "1"
        assert git(root, "symbolic-ref", "--short", "HEAD").strip() == "main"

    def test_the_generated_state_is_exactly_what_the_manifest_says(self, root: Path) -> None:
        regenerate(root, FIRST)
        write(root, {"app/a": MINE})
        regenerate(root, SECOND)
        shown = git(root, "show", f"refs/webnova/generated/root:{MANIFEST}")
        listed = git(root, "ls-tree", "-r", "--name-only", "refs/webnova/generated/root").split()
        assert set(listed) == SECOND.files.keys()
        for path, entry in json.loads(shown)["files"].items():
            blob = git(root, "show", f"refs/webnova/generated/root:{path}").encode()
            assert hashlib.sha256(blob).hexdigest() == entry["sha256"]
        before = git(root, "rev-parse", "refs/webnova/generated/root^").strip()
        assert before == git(root, "rev-parse", "main").strip()

    def test_the_same_contents_give_the_same_commits(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = []
        for name, zone in (("one", "Asia/Riyadh"), ("two", "America/St_Johns")):
            monkeypatch.setenv("TZ", zone)
            monkeypatch.setenv("GIT_AUTHOR_NAME", name)
            regenerate(tmp_path / name, FIRST)
            found.append(regenerate(tmp_path / name, SECOND).generated)
        assert found[0] == found[1]

    def test_a_folder_with_files_is_refused_and_left_alone(self, root: Path) -> None:
        write(root, {"app/a": "mine", "notes": "mine"})
        with pytest.raises(Conflict, match=r"app/a, notes") as refused:
            regenerate(root, FIRST)
        assert "--adopt" in str(refused.value.mend)
        assert contents(root) == {"app/a": b"mine", "notes": b"mine"}
        assert not (root / ".git").exists()

    def test_an_adopted_folder_keeps_its_files(self, root: Path) -> None:
        write(root, {"app/a": "mine\n", "notes": "mine"})
        done = regenerate(root, FIRST, Wishes(adopt=True))
        [conflict] = done.conflicts
        assert (conflict.path, conflict.kind) == ("app/a", ConflictKind.ADDED)
        assert "mine\n" in (root / "app/a").read_text()
        assert OLD in (root / "app/a").read_text()
        assert (root / "app/b").read_text() == OLD
        assert git(root, "show", "HEAD:app/a") == "mine\n"

    def test_a_repository_without_commits_is_an_empty_folder(self, root: Path) -> None:
        root.mkdir()
        git(root, "init", "-q", "-b", "trunk")
        regenerate(root, FIRST)
        assert git(root, "status", "--porcelain") == ""
        assert git(root, "symbolic-ref", "--short", "HEAD").strip() == "trunk"

    def test_a_repository_with_longer_object_ids(self, root: Path) -> None:
        root.mkdir()
        git(root, "init", "-q", "--object-format=sha256")
        regenerate(root, FIRST)
        write(root, {"app/a": MINE})
        (root / "app/b").unlink()
        regenerate(root, SECOND)
        assert contents(root) == {"app/a": BOTH.encode(), "app/c": b"new\n"}

    def test_what_is_staged_stays_so(self, root: Path) -> None:
        root.mkdir()
        git(root, "init", "-q")
        write(root, {"x": "staged"})
        git(root, "add", "x")
        (root / "x").unlink()
        regenerate(root, FIRST)
        assert git(root, "show", ":x") == "staged"

    def test_a_preview_makes_nothing(self, root: Path) -> None:
        assert sorted(regenerate(root, FIRST, Wishes(dry_run=True)).added) == sorted(FIRST.files)
        assert not root.exists()


class TestBiggerRepositories:
    def test_a_part_of_a_repository_is_all_that_changes(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q", "-b", "main")
        write(tmp_path, {"services/other/x": "x", "README": "whole"})
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", "ours")
        head = git(tmp_path, "rev-parse", "HEAD")
        root = tmp_path / "services" / "clinic"
        regenerate(root, FIRST)
        assert not (root / ".git").exists()
        assert git(tmp_path, "rev-parse", "HEAD") == head
        write(root, {"app/a": MINE, "own": "mine"})
        done = regenerate(root, SECOND)
        assert contents(root)["app/a"] == BOTH.encode() and contents(root)["own"] == b"mine"
        kept = git(tmp_path, "ls-tree", "-r", "--name-only", str(done.backup)).split()
        assert set(kept) == {
            "README", "services/other/x",
            *(f"services/clinic/{path}" for path in ("app/a", "app/b", "own", MANIFEST)),
        }  # fmt: skip
        assert git(tmp_path, "show", f"{done.backup}:services/clinic/app/a") == MINE

    def test_two_projects_of_one_repository_do_not_meet(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q", "-b", "main")
        for name in ("one", "two"):
            regenerate(tmp_path / name, FIRST)
        write(tmp_path / "one", {"app/a": MINE})
        regenerate(tmp_path / "two", SECOND)
        assert contents(tmp_path / "one")["app/a"] == MINE.encode()
        regenerate(tmp_path / "one", SECOND)
        assert contents(tmp_path / "one")["app/a"] == BOTH.encode()
        undo(tmp_path / "two")
        assert contents(tmp_path / "one")["app/a"] == BOTH.encode()

    def test_a_project_that_was_moved_within_its_repository(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q", "-b", "main")
        regenerate(tmp_path / "one", FIRST)
        write(tmp_path / "one", {"app/a": MINE})
        shutil.move(tmp_path / "one", tmp_path / "elsewhere")
        assert not regenerate(tmp_path / "elsewhere", SECOND).conflicts
        assert contents(tmp_path / "elsewhere")["app/a"] == BOTH.encode()

    def test_a_folder_that_its_repository_ignores_gets_one_of_its_own(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q", "-b", "main")
        write(tmp_path, {".gitignore": "build/\n"})
        regenerate(tmp_path / "build" / "x", FIRST)
        assert (tmp_path / "build" / "x" / ".git").is_dir()
        assert git(tmp_path, "for-each-ref", "refs/webnova") == ""

    def test_what_belongs_to_git_is_no_place_for_a_project(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q")
        with pytest.raises(InvalidInput, match="Git itself"):
            regenerate(tmp_path / ".git" / "x", FIRST)

    def test_a_repository_within_the_project_is_left_alone(self, root: Path) -> None:
        regenerate(root, FIRST)
        write(root / "app/c", {"x": "mine"})
        git(root / "app/c", "init", "-q")
        done = regenerate(root, SECOND)
        assert [(each.path, each.kind) for each in done.conflicts] == [("app/c", "type")]
        assert (root / "app/c/x").read_text() == "mine"
        assert (root / "app/c.generated").read_text() == "new\n"


class TestWhereTheBaseIsFound:
    def test_each_branch_has_its_own(self, root: Path) -> None:
        regenerate(root, FIRST)
        git(root, "checkout", "-qb", "feature")
        regenerate(root, SECOND)
        git(root, "add", "-A")
        git(root, "commit", "-qm", "feature")
        git(root, "checkout", "-q", "main")
        write(root, {"app/a": MINE})
        regenerate(root, SECOND)
        assert contents(root) == {"app/a": BOTH.encode(), "app/b": OLD.encode(), "app/c": b"new\n"}
        assert git(root, "rev-list", "--count", "refs/webnova/generated/root").strip() == "2"

    def test_a_fresh_clone_finds_it_in_the_history(self, root: Path, tmp_path: Path) -> None:
        regenerate(root, FIRST)
        write(root, {"app/a": MINE})
        git(root, "commit", "-qam", "mine")
        git(tmp_path, "clone", "-q", str(root), "clone")
        assert git(tmp_path / "clone", "for-each-ref", "refs/webnova") == ""
        assert not regenerate(tmp_path / "clone", SECOND).conflicts
        assert contents(tmp_path / "clone")["app/a"] == BOTH.encode()

    def test_a_copy_without_git_loses_nothing(self, root: Path, tmp_path: Path) -> None:
        regenerate(root, FIRST)
        write(root, {"app/a": MINE})
        shutil.rmtree(root / ".git")
        done = regenerate(root, SECOND)
        [conflict] = done.conflicts
        assert conflict.path == "app/a"
        text = contents(root)["app/a"].decode()
        assert "mine" in text and "generated" in text
        assert contents(root)["app/c"] == b"new\n"
        assert git(root, "show", "HEAD:app/a") == MINE

    def test_a_manifest_of_an_older_version_names_no_ids(self, root: Path) -> None:
        regenerate(root, FIRST)
        write(root, {"app/a": MINE})
        manifest = json.loads((root / MANIFEST).read_text())
        for entry in manifest["files"].values():
            del entry["id"]
        write(root, {MANIFEST: json.dumps(manifest)})
        assert not regenerate(root, SECOND).conflicts
        assert contents(root)["app/a"] == BOTH.encode()

    def test_a_manifest_that_two_branches_made_is_used_entry_by_entry(self, root: Path) -> None:
        regenerate(root, FIRST)
        regenerate(root, SECOND)
        mixed = json.loads((root / MANIFEST).read_text())
        old = json.loads(FIRST.files[MANIFEST])
        mixed["files"]["app/a"] = old["files"]["app/a"]
        write(root, {MANIFEST: json.dumps(mixed), "app/a": MINE})
        assert not regenerate(root, SECOND).conflicts
        assert contents(root)["app/a"] == BOTH.encode()

    def test_branches_that_were_generated_apart_are_merged(self, root: Path) -> None:
        """As the guide says: either side of the manifest, and then generate from both."""
        regenerate(root, project({"a": OLD}))
        git(root, "checkout", "-qb", "feature")
        regenerate(root, project({"a": lines(l1="feature")}))
        write(root, {"a": lines(l1="feature", l5="mine")})
        git(root, "commit", "-qam", "feature")
        git(root, "checkout", "-q", "main")
        regenerate(root, project({"a": NEW}))
        git(root, "commit", "-qam", "main")
        git(root, "merge", "-q", "-X", "ours", "feature")
        git(root, "checkout", "feature", "--", MANIFEST)
        done = regenerate(root, project({"a": lines(l1="feature", l8="generated")}))
        assert not done.conflicts
        assert contents(root)["a"] == lines(l1="feature", l5="mine", l8="generated").encode()

    @pytest.mark.parametrize("text", ["<<<<<<< HEAD\n{}\n", "[]", '{"files": {"a": 1}}', "\0"])
    def test_a_manifest_that_is_none_is_told(self, root: Path, text: str) -> None:
        regenerate(root, FIRST)
        write(root, {MANIFEST: text})
        before = contents(root)
        with pytest.raises(InvalidInput, match="can't be read") as refused:
            regenerate(root, SECOND)
        assert "one side" in str(refused.value.mend)
        assert contents(root) == before

    def test_a_manifest_cannot_name_what_lies_outside(self, root: Path, tmp_path: Path) -> None:
        regenerate(root, FIRST)
        write(tmp_path, {"victim": "1"})
        manifest = json.loads((root / MANIFEST).read_text())
        digest = hashlib.sha256(b"1").hexdigest()
        for path in ("../victim", str(tmp_path / "victim"), ".git/config", "a//b"):
            manifest["files"][path] = {"sha256": digest, "id": path}
        write(root, {MANIFEST: json.dumps(manifest)})
        regenerate(root, SECOND)
        assert (tmp_path / "victim").read_text() == "1"
        assert (root / ".git" / "config").exists()


class TestSettingsOfThePerson:
    def test_none_of_them_takes_part(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trap = tmp_path / "trap"
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\ntouch '{trap}'\ncat\n")
        program.chmod(0o755)
        regenerate(root, FIRST)
        for name, value in {
            "core.autocrlf": "true",
            "core.fsmonitor": str(program),
            "core.hooksPath": str(tmp_path / "hooks"),
            "filter.x.clean": str(program),
            "filter.x.smudge": str(program),
            "merge.default": "union",
            "merge.conflictStyle": "merge",
            "diff.external": str(program),
            "diff.renames": "false",
            "commit.gpgSign": "true",
            "gpg.program": str(program),
            "user.useConfigOnly": "true",
        }.items():
            git(root, "config", name, value)
        (tmp_path / "hooks").mkdir()
        for hook in ("pre-commit", "post-checkout", "reference-transaction", "post-index-change"):
            shutil.copy(program, tmp_path / "hooks" / hook)
        write(root, {".gitattributes": "* merge=union filter=x text eol=crlf\n"})
        move("app/b", "src/b")(root)
        write(root, {"app/a": RIVAL})
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
        new = project({"app/a": NEW, "app/b": NEW, "app/n": "new\n"})
        done = regenerate(root, new)
        monkeypatch.undo()
        assert contents(root)["app/a"] == CLASH.encode()
        assert contents(root)["src/b"] == NEW.encode()
        assert [each.path for each in done.conflicts] == ["app/a"]
        assert not trap.exists()
        assert git(root, "ls-files", "app/n") == "app/n\n"
        assert git(root, "cat-file", "blob", f"{done.backup}:app/a") == RIVAL

    def test_git_diff_shows_exactly_what_was_done(self, root: Path) -> None:
        regenerate(root, FIRST)
        regenerate(root, SECOND)
        shown = set(git(root, "diff", "--name-only").split())
        assert shown == {"app/a", "app/c", MANIFEST}
        undo(root)
        assert git(root, "status", "--porcelain") == ""
        undo(root)
        git(root, "add", "-A")
        undo(root)
        assert git(root, "show", ":app/c") == "new\n"

    @pytest.mark.parametrize("found", [None, "git version 2.30.1"])
    def test_without_a_git_that_can_do_it(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str | None
    ) -> None:
        programs = tmp_path / "bin"
        programs.mkdir()
        if found is not None:
            (programs / "git").write_text(f"#!/bin/sh\necho '{found}'\n")
            (programs / "git").chmod(0o755)
        monkeypatch.setenv("PATH", str(programs))
        with pytest.raises(Unavailable, match=r"2\.30" if found else "not installed") as refused:
            regenerate(root, FIRST)
        assert "2.38" in str(refused.value.mend)

    def test_files_that_are_ignored_are_seen_where_they_matter(self, root: Path) -> None:
        regenerate(root, FIRST)
        write(root, {".gitignore": "app/\n*.log\n", "app/c": "mine\n", "x.log": "log"})
        git(root, "rm", "-rq", "--cached", "app")
        write(root, {"app/a": MINE})
        done = regenerate(root, SECOND)
        assert contents(root)["app/a"] == BOTH.encode()
        assert [each.path for each in done.conflicts] == ["app/c"]
        assert b"mine\n" in contents(root)["app/c"]
        assert git(root, "show", f"{done.backup}:app/c") == "mine\n"


class TestConflicts:
    def test_an_open_one_is_told_again_and_stops_the_next_merge(self, root: Path) -> None:
        regenerate(root, FIRST)
        write(root, {"app/a": RIVAL})
        assert [each.path for each in regenerate(root, SECOND).conflicts] == ["app/a"]
        again = regenerate(root, SECOND)
        assert again.is_empty and [each.path for each in again.still_open] == ["app/a"]
        third = project({"app/a": lines(l8="third"), "app/b": OLD, "app/c": "new\n"})
        with pytest.raises(Conflict, match="app/a"):
            regenerate(root, third)
        assert contents(root)["app/a"] == CLASH.encode()
        write(root, {"app/a": lines(l8="mine and generated")})
        resolved = regenerate(root, SECOND)
        assert resolved.is_empty and not resolved.still_open
        assert [each.path for each in regenerate(root, third).conflicts] == ["app/a"]

    def test_a_version_that_lies_beside_is_open_until_it_is_gone(self, root: Path) -> None:
        regenerate(root, FIRST)
        (root / "app/a").unlink()
        regenerate(root, SECOND)
        third = project({"app/a": lines(l1="third"), "app/b": OLD, "app/c": "new\n"})
        with pytest.raises(Conflict):
            regenerate(root, third)
        (root / "app/a.generated").rename(root / "app/a")
        assert not regenerate(root, third).conflicts
        assert contents(root)["app/a"] == lines(l1="third").encode()

    def test_giving_up_half_way_loses_neither_state(self, root: Path) -> None:
        regenerate(root, FIRST)
        write(root, {"app/a": RIVAL})
        regenerate(root, SECOND)
        write(root, {"app/a": "half resolved"})
        done = undo(root)
        assert contents(root) == {"app/a": RIVAL.encode(), "app/b": OLD.encode()}
        assert git(root, "show", f"{done.backup}:app/a") == "half resolved"
        assert regenerate(root, FIRST).is_empty

    def test_a_move_is_remembered_when_the_file_has_become_another(self, root: Path) -> None:
        regenerate(root, FIRST)
        move("app/a", "src/x")(root)
        regenerate(root, SECOND)
        write(root, {"src/x": "mine\n" * 20 + lines(l8="generated")[:14]})
        third = project({"app/a": NEW + "third\n", "app/b": OLD, "app/c": "new\n"})
        [moved] = regenerate(root, third).moved
        assert (moved.before, moved.after) == ("app/a", "src/x")

    def test_a_generation_of_another_branch_is_not_undone_here(self, root: Path) -> None:
        regenerate(root, FIRST)
        git(root, "checkout", "-qb", "feature")
        regenerate(root, SECOND)
        git(root, "add", "-A")
        git(root, "commit", "-qm", "feature")
        git(root, "checkout", "-q", "main")
        with pytest.raises(Conflict, match="another generation"):
            undo(root)
        assert contents(root) == {"app/a": OLD.encode(), "app/b": OLD.encode()}
        git(root, "checkout", "-q", "feature")
        undo(root)
        assert contents(root) == {"app/a": OLD.encode(), "app/b": OLD.encode()}

    def test_there_is_nothing_to_undo(self, root: Path) -> None:
        for prepare in (lambda: None, root.mkdir, lambda: git(root, "init", "-q")):
            prepare()
            with pytest.raises(NotFound, match="taken back"):
                undo(root)


class TestHostileDirectories:
    def test_nothing_is_written_through_a_link(self, root: Path, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        write(outside, {"a": OLD})
        regenerate(root, FIRST)
        shutil.rmtree(root / "app")
        (root / "app").symlink_to(outside)
        regenerate(root, SECOND)
        assert contents(outside) == {"a": OLD.encode()}
        assert (root / "app.generated/a").read_text() == NEW

    def test_a_link_in_the_place_of_the_manifest(self, root: Path, tmp_path: Path) -> None:
        regenerate(root, FIRST)
        shutil.move(root / ".webnova", tmp_path / "outside")
        (root / ".webnova").symlink_to(tmp_path / "outside")
        with pytest.raises(InvalidInput, match=r"\.webnova"):
            regenerate(root, SECOND)

    def test_names_that_are_no_text_are_left_alone(self, root: Path) -> None:
        regenerate(root, FIRST)
        strange = os.fsdecode(b"\xff\xfe\n")
        (root / "app/a").rename(root / strange)
        write(root, {os.fsdecode(b"own/\xff"): "mine"})
        done = regenerate(root, SECOND)
        assert [each.kind for each in done.conflicts] == ["deleted"]
        assert (root / strange).read_text() == OLD
        assert (root / "app/a.generated").read_text() == NEW
        shown = subprocess.run(
            ["git", "show", os.fsencode(f"{done.backup}:{strange}")], cwd=root, capture_output=True
        )
        assert shown.stdout == OLD.encode()

    def test_long_names(self, root: Path) -> None:
        name = "ع" * 120
        regenerate(root, project({name: OLD}))
        regenerate(root, project({name: NEW}))
        assert (root / name).read_text() == NEW

    def test_devices_are_no_files(self, root: Path) -> None:
        regenerate(root, FIRST)
        (root / "app/a").unlink()
        os.mkfifo(root / "app/a")
        done = regenerate(root, SECOND)
        assert [(each.path, each.kind) for each in done.conflicts] == [("app/a", "type")]
        assert (root / "app/a.generated").read_text() == NEW

    def test_a_disk_that_is_full(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        regenerate(root, FIRST)
        write(root, {"app/b": MINE})
        really = os.replace

        def replace(source: Path, target: Path) -> None:
            if Path(target).name == "c":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            really(source, target)

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(InvalidInput, match="can't be written: No space") as told:
            regenerate(root, SECOND)
        assert "goes on where it stopped" in str(told.value.mend)
        monkeypatch.undo()
        assert regenerate(root, SECOND).recovered
        assert contents(root) == {"app/a": NEW.encode(), "app/b": MINE.encode(), "app/c": b"new\n"}

    def test_two_at_once(self, root: Path) -> None:
        regenerate(root, FIRST)
        with (
            (root / ".git/webnova/root/lock").open() as file,
            pytest.raises(Conflict, match="under way"),
        ):
            fcntl.flock(file, fcntl.LOCK_EX)
            regenerate(root, SECOND)

    def test_a_place_that_is_a_file(self, root: Path) -> None:
        root.write_text("mine")
        with pytest.raises(InvalidInput, match="no directory"):
            regenerate(root, FIRST)
