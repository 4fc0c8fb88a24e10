"""What a lock of packages may say, before anything is fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.kernel.errors import InvalidInput, StepFailed, Unavailable, WebNovaError
from engine.runtime.dependencies import npm
from engine.runtime.dependencies.npm import check_lock
from engine.runtime.pages import wants_pages

LOCK = (
    Path(__file__).parents[3] / "engine/forge/targets/react/templates/web/package-lock.json"
).read_bytes()
GOOD = {"version": "1.0.0", "integrity": "sha512-AAAA"}


def lock(**package: object) -> bytes:
    return json.dumps({"packages": {"": {}, "node_modules/a": package}}).encode()


def test_the_lock_of_generated_pages_is_accepted() -> None:
    check_lock(LOCK)
    check_lock(lock(**GOOD))
    check_lock(lock(version="1.0.0", inBundle=True))


@pytest.mark.parametrize(
    "package",
    [
        {"version": "1.0.0"},
        {"version": "1.0.0", "integrity": "sha1-AAAA"},
        {**GOOD, "resolved": "file:../outside"},
        {**GOOD, "resolved": "git+ssh://example.org/a.git"},
        {**GOOD, "link": True},
        {"version": "1.0.0", "inBundle": "yes"},
    ],
)
def test_what_could_come_from_anywhere_is_refused(package: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="node_modules/a"):
        check_lock(lock(**package))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"packages": 1}', b'{"packages": {"a": 1}}']
)
def test_what_is_no_lock_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match="can't be read"):
        check_lock(content)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "npm error code ENOTFOUND\nnpm error network request to https://x.example failed",
            Unavailable,
        ),
        ("npm error code E503", Unavailable),
        ("npm error code ENOSPC no space left on device", Unavailable),
        ("npm error code EINTEGRITY sha512-a expected", InvalidInput),
        ("npm error code ETARGET No matching version", InvalidInput),
        ("npm error something else", StepFailed),
    ],
)
def test_a_refusal_says_whether_it_may_pass(said: str, kind: type[WebNovaError]) -> None:
    error = npm._refusal(said)
    assert type(error) is kind
    assert "x.example" not in str(error.fields)


def test_pages_are_built_once() -> None:
    assert wants_pages({"web/package-lock.json": b""})
    assert not wants_pages({"web/package-lock.json": b"", "web/dist/index.html": b""})
    assert not wants_pages({"requirements.lock": b""})
