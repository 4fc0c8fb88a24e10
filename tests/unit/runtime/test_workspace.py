from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kernel.errors import InvalidInput, TooLarge
from engine.runtime import workspace
from engine.runtime.workspace import Bundle, check_path

names = st.text("abcdeféش-_0", min_size=1, max_size=6)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as written:
        for entry, content in entries:
            entry.size = len(content)
            written.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue())


def entry(name: str, **values: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a//b",
        "./a",
        "a/",
        "a\\b",
        "c:/a",
        "a:stream",
        "nul",
        "src/CON.txt",
        "com1",
        "LPT9.log",
        "com¹",
        "ends.",
        "ends ",
        "a/ends./b",
        "tab\tname",
        "nul\0byte",
        "what?",
        "e\u0301",
        "\udc80",
        "x" * 256,
        "ش" * 128,
        "/".join(["d" * 100] * 11),
    ],
)
def test_refuses_paths_that_lead_out_or_mean_something_elsewhere(path: str) -> None:
    with pytest.raises(InvalidInput):
        check_path(path)
    with pytest.raises(InvalidInput):
        Bundle({path: b""})


@pytest.mark.parametrize(
    "path", ["a", ".env", "src/app.py", "صفحات/رئيسية.html", "a b.txt", "con/x".replace("con", "c")]
)
def test_takes_ordinary_paths(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "files", [{"a": b"", "A": b""}, {"a": b"", "a/b": b""}, {"d/x": b"", "D/y": b""}]
)
def test_refuses_two_names_that_some_file_system_takes_for_one(files: dict[str, bytes]) -> None:
    with pytest.raises(InvalidInput, match="two things"):
        Bundle(files)


@given(st.dictionaries(paths, st.binary(max_size=300), max_size=6), st.randoms())
def test_packing_and_unpacking_give_the_same(files: dict[str, bytes], random: Any) -> None:
    executable = frozenset(path for path in files if len(path) % 2)
    try:
        bundle = Bundle(files, executable)
    except InvalidInput:
        return
    shuffled = list(files.items())
    random.shuffle(shuffled)
    packed = bundle.pack()
    assert Bundle(dict(shuffled), executable).pack() == packed
    assert Bundle.unpack(packed) == bundle
    assert Bundle.unpack(packed).digest == bundle.digest


def test_a_pack_holds_no_time_no_owner_and_no_mask() -> None:
    packed = Bundle({"b/run": b"#!", "a": b"1"}, frozenset({"b/run"})).pack()
    assert packed[4:8] == b"\0\0\0\0"
    with tarfile.open(fileobj=io.BytesIO(packed)) as read:
        found = [
            (each.name, each.mode, each.mtime, each.uid, each.gid, each.uname, each.gname)
            for each in read
        ]
    assert found == [("a", 0o644, 0, 0, 0, "", ""), ("b/run", 0o755, 0, 0, 0, "", "")]


def test_the_digest_tells_contents_names_and_modes_apart() -> None:
    bundles = [
        Bundle({"a": b"1"}),
        Bundle({"a": b"2"}),
        Bundle({"b": b"1"}),
        Bundle({"a": b"1"}, frozenset({"a"})),
        Bundle({}),
    ]
    assert len({bundle.digest for bundle in bundles}) == len(bundles)


def test_a_bundle_does_not_change_with_its_source() -> None:
    files = {"a": b"1"}
    bundle = Bundle(files)
    files["../out"] = b"2"
    assert dict(bundle.files) == {"a": b"1"}


@pytest.mark.parametrize(
    "hostile",
    [
        entry("../escape"),
        entry("/absolute"),
        entry("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry("hard", type=tarfile.LNKTYPE, linkname="../x"),
        entry("pipe", type=tarfile.FIFOTYPE),
        entry("device", type=tarfile.CHRTYPE),
    ],
    ids=lambda each: each.name,
)
def test_refuses_hostile_archives(hostile: tarfile.TarInfo) -> None:
    with pytest.raises(InvalidInput):
        Bundle.unpack(archive((hostile, b"")))


def test_refuses_a_name_that_comes_twice() -> None:
    with pytest.raises(InvalidInput, match="twice"):
        Bundle.unpack(archive((entry("a"), b"1"), (entry("a"), b"2")))


def test_takes_directories_and_dotted_names_of_other_programs() -> None:
    packed = archive((entry("./", type=tarfile.DIRTYPE), b""), (entry("./a"), b"1"))
    assert Bundle.unpack(packed).files == {"a": b"1"}


@pytest.mark.parametrize("data", [b"", b"nonsense", gzip.compress(b"x" * 2000), b"\x1f\x8b"])
def test_refuses_what_is_no_archive(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        Bundle.unpack(data)


def test_refuses_a_truncated_archive() -> None:
    packed = Bundle({"a": os.urandom(5000)}).pack()
    with pytest.raises(InvalidInput):
        Bundle.unpack(packed[:-2000])


def test_refuses_what_unpacks_to_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = Bundle({"a": b"0" * 300_000}).pack()
    assert len(packed) < 2000
    monkeypatch.setattr(workspace, "MOST_BYTES", 10_000)
    monkeypatch.setattr(workspace, "MOST_FILES", 4)
    with pytest.raises(TooLarge):
        Bundle.unpack(packed)
    with pytest.raises(TooLarge):
        Bundle({str(number): b"" for number in range(5)})


def test_writes_exactly_the_files(tmp_path: Path) -> None:
    bundle = Bundle({"a/b.txt": b"1", "run": b"#!/bin/sh\n"}, frozenset({"run"}))
    bundle.write_to(tmp_path / "out")
    assert Bundle.read_from(tmp_path / "out") == bundle
    assert os.access(tmp_path / "out" / "run", os.X_OK)
    assert not os.access(tmp_path / "out" / "a" / "b.txt", os.X_OK)


def test_replaces_the_whole_directory_in_one_step(tmp_path: Path) -> None:
    target = tmp_path / "out"
    Bundle({"old": b"1", "both": b"1"}).write_to(target)
    opened = os.open(target, os.O_RDONLY)
    Bundle({"new": b"2", "both": b"2"}).write_to(target)
    assert Bundle.read_from(target).files == {"new": b"2", "both": b"2"}
    # Whoever had the old directory never saw a mixture: it went away as a whole.
    assert os.listdir(opened) == []
    os.close(opened)
    assert os.listdir(tmp_path) == ["out"]


def test_a_failed_write_leaves_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    Bundle({"old": b"1"}).write_to(target)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workspace, "_swap", full)
    with pytest.raises(OSError, match="space"):
        Bundle({"new": b"2"}).write_to(target)
    assert Bundle.read_from(target).files == {"old": b"1"}
    assert os.listdir(tmp_path) == ["out"]


def test_does_not_write_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput):
        Bundle({"a": b"1"}).write_to(tmp_path / "out")
    assert os.listdir(tmp_path / "elsewhere") == []


def test_does_not_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInput, match="plain file"):
        Bundle.read_from(tmp_path / "in")
