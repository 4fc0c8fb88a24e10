from __future__ import annotations

import secrets
import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.kernel.errors import InvalidInput
from engine.runtime.processes import Address, ProcessSpec, RestartPolicy, RotatingLog
from engine.runtime.processes.spec import LONGEST_SOCKET_PATH
from engine.runtime.sandbox.scratch import remove_abandoned, scratch_directory


def test_addresses_are_read_as_they_are_written() -> None:
    for text in ("unix:/run/a b/x.sock", "http://127.0.0.1:8080"):
        assert str(Address.parse(text)) == text
    assert Address.parse("unix:/x.sock").socket == Path("/x.sock")
    assert Address.parse("http://127.0.0.1:1").port == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unix:relative.sock",
        "http://127.0.0.1",
        "http://example.org:80",
        "http://localhost:80",
        "https://127.0.0.1:80",
        "http://127.0.0.1:99999",
        "/x.sock",
    ],
)
def test_refuses_addresses_that_are_not_on_this_machine(text: str) -> None:
    with pytest.raises(InvalidInput):
        Address.parse(text)


def test_the_bound_of_a_sockets_path_is_the_kernels() -> None:
    for length, fits in ((LONGEST_SOCKET_PATH, True), (LONGEST_SOCKET_PATH + 1, False)):
        path = "/tmp/" + secrets.token_hex(8) + "x" * (length - 21)
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.bind(path)
                Path(path).unlink()
                bound = True
            except OSError:
                bound = False
        assert bound == fits


def test_pauses_between_restarts_grow_to_a_bound() -> None:
    policy = RestartPolicy(first_delay_s=1, factor=3, longest_delay_s=10)
    assert [policy.delay(crashes) for crashes in (1, 2, 3, 4)] == [1, 3, 9, 10]


@pytest.mark.parametrize(
    "change",
    [{"name": "a/b"}, {"health_url_path": "//evil"}, {"health_url_path": "x"}, {"argv": ()}],
)
def test_refuses_specs_that_can_not_work(change: dict[str, object]) -> None:
    values: dict[str, object] = {
        "name": "a",
        "argv": ("x",),
        "cwd": Path("/w"),
        "log_path": Path("/l"),
    }
    ProcessSpec.model_validate(values)
    with pytest.raises(ValidationError):
        ProcessSpec.model_validate(values | change)


def test_variables_are_not_shown_with_a_spec() -> None:
    spec = ProcessSpec(
        name="a", argv=("x",), cwd=Path("/w"), log_path=Path("/l"), env={"KEY": "hush"}
    )
    assert "hush" not in repr(spec)


def written(directory: Path) -> str:
    """All that is kept, oldest first."""
    files = sorted(directory.iterdir(), key=lambda path: path.name, reverse=True)
    return "".join(path.read_text() for path in files)


def test_a_log_is_rotated_between_lines_and_bounded(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "log", max_bytes=4096, backups=2)
    lines = [f"line {number:05}" for number in range(3000)]
    everything = "\n".join(lines).encode() + b"\n"
    for start in range(0, len(everything), 777):
        log.write(everything[start : start + 777])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    for path in tmp_path.iterdir():
        assert path.stat().st_size <= 4096 + 777
        assert path.read_text().startswith("line ")
    assert "\n".join(lines[-600:]) in written(tmp_path)
    assert log.tail(500) == lines[-500:]
    assert log.tail(2) == lines[-2:]
    assert log.tail(0) == []


def test_a_log_without_backups_starts_anew(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "log", max_bytes=4096, backups=0)
    for number in range(1000):
        log.write(b"%06d\n" % number)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert log.tail(1) == ["000999"]


def test_a_log_takes_a_line_longer_than_a_file(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "log", max_bytes=4096, backups=9)
    log.write(b"start\n" + b"x" * 20_000 + b"\nend\n")
    assert written(tmp_path) == "start\n" + "x" * 20_000 + "\nend\n"
    assert log.tail(1) == ["end"]


def test_a_log_is_continued_after_a_restart_of_the_platform(tmp_path: Path) -> None:
    first = RotatingLog(tmp_path / "log", max_bytes=4096, backups=1)
    first.write(b"one\n")
    first.close()
    second = RotatingLog(tmp_path / "log", max_bytes=4096, backups=1)
    second.write(b"two\nhalf")
    assert second.tail(10) == ["one", "two", "half"]


def test_only_directories_of_dead_supervisors_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, mine, other = tmp_path / "wn-999999999-ab", tmp_path / "wn-1-ab", tmp_path / "wn-x-ab"
    for directory in (dead, mine, other):
        directory.mkdir()
    ours = scratch_directory()
    remove_abandoned()
    assert (dead.exists(), mine.exists(), other.exists()) == (False, True, True)
    assert ours.parent == tmp_path and ours.stat().st_mode & 0o777 == 0o700
