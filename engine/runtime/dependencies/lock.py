"""Locks of Python dependencies: one exact version per line, read strictly."""

from __future__ import annotations

import re

from engine.kernel.errors import InvalidInput

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"(?P<extras>\[[A-Za-z0-9._, -]+\])?"
    r"==(?P<version>[0-9A-Za-z][0-9A-Za-z.!+_-]*)"
    r"(?:\s*;\s*(?P<marker>(?:(?!--)[A-Za-z0-9_.'\"<>=!~() ,+-])+?))?"
    r"(?P<hashes>(?:\s+--hash=sha256:[0-9a-f]{64})*)\s*"
)
_MOST_CHARACTERS = 4 << 20


class Lock:
    """A normalised lock.

    `text` has one requirement per line, sorted by name, with names as in PEP 503, sorted hashes and
    no comments: two locks that mean the same have the same text. `hashed` tells whether every
    requirement names its hashes (PEP 508 has no word for them; the form is pip's `--hash`).
    """

    def __init__(self, source: str) -> None:
        """Raises `InvalidInput` with the line for anything but `name==version`: options, URLs and
        paths could fetch and run code from anywhere."""
        if len(source) > _MOST_CHARACTERS:
            raise InvalidInput("The lock is too long.", mend=f"Keep it below {_MOST_CHARACTERS}.")
        lines: dict[str, str] = {}
        with_hashes: set[bool] = set()
        for number, line in _logical_lines(source):
            match = _REQUIREMENT.fullmatch(line)
            if match is None:
                raise InvalidInput(
                    f"Line {number} of the lock is not of the form `name==version`.",
                    mend="Lock exact versions from the registry, without options, URLs or paths.",
                    line=number,
                )
            name, text = _normalised(match)
            key = f"{name};{match['marker'] or ''}"
            if lines.setdefault(key, text) != text:
                raise InvalidInput(
                    f"Line {number} of the lock names {name} a second time.",
                    mend="Keep one version of each package.",
                    line=number,
                )
            with_hashes.add(bool(match["hashes"]))
        if len(with_hashes) > 1:
            raise InvalidInput(
                "Some requirements of the lock have hashes and some have none.",
                mend="Give hashes for all of them.",
            )
        self.text = "".join(f"{lines[key]}\n" for key in sorted(lines))
        self.hashed = with_hashes == {True}


def _logical_lines(source: str) -> list[tuple[int, str]]:
    """Numbered lines without comments, continued ones joined and empty ones left out."""
    found: list[tuple[int, str]] = []
    start, held = 0, ""
    for number, line in enumerate(source.replace("\r\n", "\n").split("\n"), 1):
        start = start if held else number
        content = re.sub(r"(?:^|\s)#.*$", "", line).rstrip()
        if content.endswith("\\"):
            held += content[:-1] + " "
            continue
        if text := (held + content).strip():
            found.append((start, text))
        held = ""
    if held.strip():
        found.append((start, held.strip()))
    return found


def _normalised(match: re.Match[str]) -> tuple[str, str]:
    name = re.sub(r"[-_.]+", "-", match["name"]).lower()
    text = name
    if match["extras"]:
        extras = sorted({extra.strip().lower() for extra in match["extras"][1:-1].split(",")})
        text += f"[{','.join(extras)}]"
    text += f"=={match['version']}"
    if match["marker"]:
        text += f" ; {match['marker'].strip()}"
    for digest in sorted(set(match["hashes"].split())):
        text += f" {digest}"
    return name, text
