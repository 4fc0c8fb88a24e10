"""What changed between two Blueprints, in the words of the language."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.problems import Path, dotted

Kind = Literal["added", "removed", "changed", "renamed"]


class Change(BaseModel):
    """One change. `old` and `new` are JSON values; the one that does not exist is `None`. Of what
    was renamed they are the names, and `path` is the new place.

    `breaking` is true if stored records may not fit any more, or if somebody who used the platform
    may find something gone, refused or meaning something else.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    kind: Kind
    old: JsonValue = None
    new: JsonValue = None
    breaking: bool
    summary: str


_SETS = frozenset({"compliance", "methods", "from", "roles"})
_WIDER_TYPES = {("string", "text"), ("integer", "decimal"), ("email", "string"), ("url", "string"),
                ("phone", "string"), ("email", "text"), ("url", "text"), ("phone", "text"),
                ("enum", "string")}  # fmt: skip
_NARROWER: dict[str, Callable[[Any, Any], bool]] = {
    "min": lambda old, new: new is not None and (old is None or new > old),
    "max": lambda old, new: new is not None and (old is None or new < old),
    "min_length": lambda old, new: (new or 0) > (old or 0),
    "max_length": lambda old, new: new is not None and (old is None or new < old),
    "pattern": lambda old, new: new is not None,
    "precision": lambda old, new: new is not None and (old is None or new < old),
    "scale": lambda old, new: old != new,
    "required": lambda old, new: bool(new),
    "unique": lambda old, new: bool(new),
    "type": lambda old, new: (old, new) not in _WIDER_TYPES,
    "currency": lambda old, new: old is not None,
    "enum": lambda old, new: True,
    "to": lambda old, new: True,
    "kind": lambda old, new: True,
    "field": lambda old, new: True,
    "self_registration": lambda old, new: not new,
    "guard": lambda old, new: new is not None,
    "from": lambda old, new: not set(old or ()) <= set(new or ()),
    "roles": lambda old, new: not set(old or ()) <= set(new or ()),
}
_SCOPES = {None: 0, "own": 1, "all": 2}
_NOUNS = {
    "entities": "Entity",
    "enums": "Enum",
    "roles": "Role",
    "integrations": "Integration",
    "environments": "Environment",
}
_VERBS = ("create", "read", "update", "delete")


@dataclass(frozen=True, slots=True)
class _Step:
    """One place where the two differ; a missing side is `None`."""

    path: Path
    kind: Kind
    old: Any
    new: Any


def diff(old: Blueprint, new: Blueprint) -> list[Change]:
    """Changes from `old` to `new`, in the order of declaration; empty if they mean the same.

    A part that came or went is one change. The order of names, and of lists whose order means
    nothing, is not a change. A part that says what it is stored as was renamed when a part went
    that is stored there; otherwise a renamed part is one that went and one that came.
    """
    steps = _compare((), _dump(old), _dump(new))
    return [_of_answers(change, step, new) for step in steps for change in _changes(step)]


def _of_answers(change: Change, step: _Step, new: Blueprint) -> Change:
    """A computed field is only ever read: whatever its new type is, readers expect the old one."""
    if len(step.path) != 5 or step.path[2] != "fields" or step.path[4] != "type":
        return change
    field = new.entities[str(step.path[1])].fields[str(step.path[3])]
    return change.model_copy(update={"breaking": True}) if field.computed else change


def _dump(blueprint: Blueprint) -> Any:
    return blueprint.model_dump(mode="json", by_alias=True)


def _compare(path: Path, old: Any, new: Any) -> Iterator[_Step]:
    if isinstance(old, dict) and isinstance(new, dict) and not _whole(path):
        former = _renamed(path, old, new)
        for key, before in former.items():
            yield _Step((*path, key), "renamed", before, key)
            yield from _compare((*path, key), _unplaced(old[before]), _unplaced(new[key]))
        old = {key: value for key, value in old.items() if key not in former.values()}
        new = {key: value for key, value in new.items() if key not in former}
        for key in [*old, *(key for key in new if key not in old)]:
            at = (*path, key)
            if key not in old:
                yield _Step(at, "added", None, new[key])
            elif key not in new:
                yield _Step(at, "removed", old[key], None)
            else:
                yield from _compare(at, old[key], new[key])
    elif _form(path, old) != _form(path, new):
        kind: Kind = "changed"
        if path[-1] == "lifecycle":
            kind = "added" if old is None else "removed" if new is None else "changed"
        yield _Step(path, kind, old, new)


def _renamed(path: Path, old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """For each part that came, the one that went and was stored in the same place."""
    if path != ("entities",) and not (len(path) == 3 and path[2] in ("fields", "relations")):
        return {}
    gone = {old[key]["stored_as"] or key: key for key in old if key not in new}
    came = {key: value["stored_as"] or key for key, value in new.items() if key not in old}
    return {key: gone[stored] for key, stored in came.items() if stored in gone}


def _unplaced(part: dict[str, Any]) -> dict[str, Any]:
    return part | {"stored_as": None}


def _whole(path: Path) -> bool:
    """Texts are compared as a whole: both languages are one change."""
    return bool(path) and (
        path[-1] in ("title", "plural", "purpose")
        or (path[-1] == "description" and len(path) > 1)
        or (len(path) == 4 and path[0] == "enums" and path[2] == "values")
    ) and not _is_name(path)  # fmt: skip


def _is_name(path: Path) -> bool:
    """Whether the last part of the path is a name given by the author."""
    if len(path) == 2:
        return path[0] in ("roles", "enums", "entities", "integrations", "environments")
    if len(path) == 4:
        return path[2] in ("fields", "relations", "access")
    return len(path) == 5 and path[3] in ("states", "transitions")


def _form(path: Path, value: Any) -> Any:
    if isinstance(value, list) and path[-1] in _SETS:
        return sorted(value)
    if isinstance(value, list) and path[-1] == "unique":
        return sorted(sorted(members) for members in value)
    if isinstance(value, list) and path[-1] == "indexes":
        return sorted(value)
    # `1`, `1.0` and `true` are equal to Python but not to a reader of the document.
    return (isinstance(value, bool), value)


def _changes(step: _Step) -> Iterator[Change]:
    verbs = step.path[2:3] == ("access",)
    if verbs and len(step.path) == 4:
        for verb in _VERBS:
            before, after = (step.old or {}).get(verb), (step.new or {}).get(verb)
            if before != after:
                yield _access(_Step((*step.path, verb), step.kind, before, after))
    elif verbs:
        yield _access(step)
    else:
        breaking, summary = _judge(step)
        yield _change(step, breaking, summary)


def _change(step: _Step, breaking: bool, summary: str) -> Change:
    return Change(
        path=dotted(step.path),
        kind=step.kind,
        old=step.old,
        new=step.new,
        breaking=breaking,
        summary=summary,
    )


def _access(step: _Step) -> Change:
    entity, role, verb = step.path[1], step.path[3], step.path[4]
    narrower = _SCOPES[step.new] < _SCOPES[step.old]
    if step.new is None:
        summary = f"{role} may no longer {verb} {entity}"
    elif step.new == "own":
        summary = f"{role} may {'only ' if narrower else 'now '}{verb} own {entity} records"
    else:
        summary = f"{role} may now {verb} {'every ' if step.old else ''}{entity}"
    return _change(step, narrower, summary)


def _judge(step: _Step) -> tuple[bool, str]:
    if step.kind == "renamed":
        what = _NOUNS["entities"] if len(step.path) == 2 else f"{step.path[1]}."
        joint = " " if len(step.path) == 2 else ""
        return True, f"{what}{joint}{step.old} was renamed to {step.new}; its data stays"
    if step.kind != "changed":
        return _came_or_went(step)
    owner, key = _owner(step.path), str(step.path[-1])
    if len(step.path) == 4 and step.path[0] == "enums":
        return False, f"{owner}: the text of value {key} changed"
    if len(step.path) == 3 and key in ("unique", "indexes"):
        return _sets(owner, key, step.old, step.new)
    breaking = _breaks(step.path, key, step.old, step.new)
    if key == "computed":
        return True, _computed(owner, step.old, step.new)
    if key in ("required", "unique"):
        word = key if step.new else {"required": "optional", "unique": "not unique"}[key]
        return breaking, f"{owner} became {word}"
    if key == "self_registration":
        word = "may now" if step.new else "may no longer"
        return breaking, f"{owner}: people {word} sign up with it"
    if key in ("title", "plural", "purpose", "description", "assumptions"):
        return breaking, f"{owner}: {key} changed"
    if step.old is None:
        return breaking, f"{owner}: {key} was set to {_shown(step.new)}"
    if step.new is None:
        return breaking, f"{owner}: {key} {_shown(step.old)} was removed"
    return breaking, f"{owner}: {key} changed from {_shown(step.old)} to {_shown(step.new)}"


def _computed(owner: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"{owner} is now computed as {_shown(new)}; what was stored in it goes"
    if new is None:
        return f"{owner} is no longer computed; it is stored, and empty until it is sent"
    return f"{owner}: computed changed from {_shown(old)} to {_shown(new)}; no stored data changes"


def _sets(owner: str, key: str, old: list[list[str]], new: list[list[str]]) -> tuple[bool, str]:
    before, after = ({tuple(sorted(members)) for members in sets} for sets in (old, new))
    came, went = sorted(after - before), sorted(before - after)
    what = "unique sets" if key == "unique" else "indexes"
    parts = [f"without {', '.join('+'.join(one) for one in went)}"] if went else []
    parts += [f"with {', '.join('+'.join(one) for one in came)}"] if came else []
    said = " and ".join(reversed(parts)) or "in another order"
    return key == "unique" and bool(came), f"{owner}: {what} now {said}"


def _breaks(path: Path, key: str, old: Any, new: Any) -> bool:
    if len(path) == 1:
        return key == "name"
    if path[0] == "stack":
        return key != "frontend" or new == "none"
    if path[0] in ("integrations", "environments"):
        return path[0] == "integrations" and key == "kind"
    return key in _NARROWER and _NARROWER[key](old, new)


def _came_or_went(step: _Step) -> tuple[bool, str]:
    path, key = step.path, str(step.path[-1])
    gone = step.kind == "removed"
    verb = f"was {step.kind}"
    if len(path) == 2:
        return gone and path[0] != "environments", f"{_NOUNS[str(path[0])]} {key} {verb}"
    if path[0] == "enums":
        return gone, f"Enum {path[1]}: value {key} {verb}"
    if key == "lifecycle" and len(path) == 3:
        return gone, f"{path[1]}: the lifecycle {verb}"
    if len(path) == 5:
        return gone, f"{path[1]}: {str(path[3])[:-1]} {key} {verb}"
    part = step.old if gone else step.new
    needed = bool(part.get("required")) and part.get("default") is None
    extra = " and is required" if needed and not gone else ""
    return gone or needed, f"{path[1]}.{key} {verb}{extra}"


def _owner(path: Path) -> str:
    """The thing whose part changed, as a person calls it."""
    if len(path) == 1:
        return "The platform"
    if path[0] == "stack":
        return "Stack"
    if path[0] == "entities":
        name = str(path[1])
        if path[2] in ("fields", "relations"):
            return f"{name}.{path[3]}"
        if path[2] == "lifecycle":
            inner = f" {str(path[3])[:-1]} {path[4]}" if len(path) > 5 else " lifecycle"
            return name + inner
        return name
    return f"{_NOUNS[str(path[0])]} {path[1]}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "nothing"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if len(str(value)) <= 60 else f"{str(value)[:60]}…"
