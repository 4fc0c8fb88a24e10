"""What can happen to a file between two generations, and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.forge.regeneration.outcome import ConflictKind as Kind
from tests.unit.forge.projects import (
    Deed,
    Text,
    edit,
    lines,
    link,
    make_executable,
    move,
    remove,
)

OLD, NEW = lines(), lines(l8="generated")
MINE, BOTH = lines(l2="mine"), lines(l2="mine", l8="generated")
RIVAL = lines(l8="mine")
CLASH = (
    lines(7)
    + "<<<<<<< yours\nmine\n||||||| before\nline 8\n=======\ngenerated\n>>>>>>> generated\nline 9\n"
)
OTHER = "something else altogether\nthat is much shorter\n"


@dataclass(frozen=True)
class Case:
    """`base` is generated, `deeds` are done, `new` is generated; then the directory is `expected`.

    `ids` and `new_ids` say what files are where it isn't their path.
    """

    name: str
    base: Mapping[str, Text]
    deeds: tuple[Deed, ...]
    new: Mapping[str, Text]
    expected: Mapping[str, Text]
    conflicts: tuple[tuple[str, Kind], ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)
    new_ids: Mapping[str, str] = field(default_factory=dict)


def _windows(text: str) -> str:
    return text.replace("\n", "\r\n")


A = {"a": OLD}
IDS = {"ids": {"a": "x/a"}, "new_ids": {"b": "x/a"}}
BIN, BIN_MINE, BIN_NEW = b"\0\1" * 9, b"\0\2" * 9, b"\0\3" * 9
STRANGE = "weird\n=======\nname\n" + lines()

CASES = (
    Case("nobody changed it", A, (), A, A),
    Case("only the generator changed it", A, (), {"a": NEW}, {"a": NEW}),
    Case("only the person edited it", A, (edit("a", MINE),), A, {"a": MINE}),
    Case("edits of different lines", A, (edit("a", MINE),), {"a": NEW}, {"a": BOTH}),
    Case("the same edit on both sides", A, (edit("a", NEW),), {"a": NEW}, {"a": NEW}),
    Case("edits of one line", A, (edit("a", RIVAL),), {"a": NEW}, {"a": CLASH},
         (("a", Kind.CONTENT),)),
    Case("neighbouring edits are not merged by guess", A, (edit("a", lines(l7="mine")),),
         {"a": NEW}, {"a": lines(6) + "<<<<<<< yours\nmine\nline 8\n||||||| before\nline 7\n"
         "line 8\n=======\nline 7\ngenerated\n>>>>>>> generated\nline 9\n"},
         (("a", Kind.CONTENT),)),
    Case("an edit without a last line's end", A, (edit("a", MINE.rstrip("\n")),), {"a": NEW},
         {"a": lines(l2="mine")[: -len("line 8\nline 9\n")]
          + "<<<<<<< yours\nline 8\nline 9\n||||||| before\nline 8\nline 9\n=======\n"
          "generated\nline 9\n>>>>>>> generated\n"},
         (("a", Kind.CONTENT),)),
    Case("markers are longer than what looks like one", {"a": STRANGE},
         (edit("a", STRANGE.replace("line 5", "mine")),),
         {"a": STRANGE.replace("line 5", "generated")},
         {"a": STRANGE.replace("line 5\n", "<<<<<<<<< yours\nmine\n||||||||| before\nline 5\n"
                               "=========\ngenerated\n>>>>>>>>> generated\n")},
         (("a", Kind.CONTENT),)),
    Case("an editor made its lines end as on Windows", A, (edit("a", _windows(MINE)),),
         {"a": NEW}, {"a": _windows(BOTH)}),
    Case("line ends alone are no edit of what goes", A, (edit("a", _windows(OLD)),), {}, {}),
    Case("it is emptied", A, (edit("a", ""),), A, {"a": ""}),
    Case("a new file", A, (), {**A, "b": NEW}, {**A, "b": NEW}),
    Case("a new file where the same already is", A, (edit("b", NEW),), {**A, "b": NEW},
         {**A, "b": NEW}),
    Case("a new file where another is", A, (edit("b", "1\nmine\n3\n"),),
         {**A, "b": "1\ngenerated\n3\n"},
         {**A, "b": "1\n<<<<<<< yours\nmine\n=======\ngenerated\n>>>>>>> generated\n3\n"},
         (("b", Kind.ADDED),)),
    Case("a new file where a binary one is", A, (edit("b", BIN),), {**A, "b": NEW},
         {**A, "b": BIN, "b.generated": NEW}, (("b", Kind.BINARY),)),
    Case("the person's own file", A, (edit("own/x", "mine"),), {"a": NEW},
         {"a": NEW, "own/x": "mine"}),
    Case("generated no more, untouched", {**A, "d/b": OLD}, (), A, A),
    Case("generated no more, edited", {**A, "b": OLD}, (edit("b", MINE),), A, {**A, "b": MINE},
         (("b", Kind.REMOVED),)),
    Case("generated no more, moved", {**A, "b": OLD.upper()}, (move("b", "c"),), A,
         {**A, "c": OLD.upper()}, (("c", Kind.REMOVED),)),
    Case("generated no more, deleted", {**A, "b": OLD}, (remove("b"),), A, A),
    Case("deleted, and generated as before", {**A, "b": OLD}, (remove("b"),), {"a": NEW, "b": OLD},
         {"a": NEW}),
    Case("deleted, and generated otherwise", {**A, "b": OLD}, (remove("b"),), {**A, "b": NEW},
         {**A, "b.generated": NEW}, (("b", Kind.DELETED),)),
    Case("deleted, and moved by the generator", A, (remove("a"),), {"b": OLD}, {}, (), **IDS),
    Case("the person moved it", A, (move("a", "src/c"),), {"a": NEW}, {"src/c": NEW}),
    Case("the person moved and edited it", A, (move("a", "src/c", MINE),), {"a": NEW},
         {"src/c": BOTH}),
    Case("the person moved it and edited the same line", A, (move("a", "c", RIVAL),), {"a": NEW},
         {"c": CLASH}, (("c", Kind.CONTENT),)),
    Case("the person moved a whole directory", {"d/a": OLD, "d/b": MINE},
         (move("d/a", "e/a"), move("d/b", "e/b")), {"d/a": NEW, "d/b": BOTH},
         {"e/a": NEW, "e/b": BOTH}),
    Case("the person swapped two files", {"a": OLD, "b": OTHER},
         (move("a", "t"), move("b", "a"), move("t", "b")), {"a": OLD, "b": OTHER},
         {"a": OTHER, "b": OLD}),
    Case("the generator moved it", A, (), {"b": NEW}, {"b": NEW}, (), **IDS),
    Case("the generator moved it, and it was edited", A, (edit("a", MINE),), {"b": NEW},
         {"b": BOTH}, (), **IDS),
    Case("the generator moved it and wrote it anew", A, (edit("a", MINE),), {"b": OTHER},
         {"b": "<<<<<<< yours\n" + MINE + "||||||| before\n" + OLD + "=======\n" + OTHER
          + ">>>>>>> generated\n"}, (("b", Kind.CONTENT),), **IDS),
    Case("the generator moved it where something stands", A,
         (edit("a", MINE), edit("b", "own\n")), {"b": NEW},
         {"a": BOTH, "b": "own\n", "b.generated": NEW}, (("a", Kind.TAKEN),), **IDS),
    Case("both moved it to one place", A, (move("a", "b", MINE),), {"b": NEW}, {"b": BOTH}, (),
         **IDS),
    Case("both moved it to different places", A, (move("a", "c", MINE),), {"b": NEW},
         {"c": BOTH, "b.generated": NEW}, (("c", Kind.MOVED),), **IDS),
    Case("the generator swapped two files", {"a": OLD, "b": OTHER},
         (edit("a", MINE), edit("b", OTHER + "mine\n")), {"b": NEW, "a": OTHER},
         {"b": BOTH, "a": OTHER + "mine\n"}, (), {"a": "x/1", "b": "x/2"},
         {"b": "x/1", "a": "x/2"}),
    Case("another file takes the place of one that was moved", A, (edit("a", MINE),),
         {"b": NEW, "a": OTHER}, {"b": BOTH, "a": OTHER}, (), {"a": "x/1"},
         {"b": "x/1", "a": "x/2"}),
    Case("what has to stay stands in the way of what is moved to its place",
         {"a": OLD, "b": OTHER, "c": OLD.upper()}, (edit("a", MINE), edit("c", "own\n")),
         {"b": OLD, "c": OTHER},
         {"a": MINE, "b": OTHER, "c": "own\n", "b.generated": OLD, "c.generated": OTHER},
         (("a", Kind.TAKEN), ("b", Kind.TAKEN), ("c", Kind.REMOVED)),
         {"a": "x/1", "b": "x/2", "c": "x/3"}, {"b": "x/1", "c": "x/2"}),
    Case("one file goes and one like it comes", A, (edit("a", MINE),), {"b": OLD},
         {"a": MINE, "b": OLD}, (("a", Kind.REMOVED),)),
    Case("a new file where the person moved another", {**A, "b": OTHER},
         (move("b", "c"),), {**A, "b": OTHER + "new\n", "c": NEW},
         {**A, "c": OTHER + "new\n", "c.generated": NEW}, (("c", Kind.TAKEN),)),
    Case("a binary file, edited by the generator", {"a": BIN}, (), {"a": BIN_NEW}, {"a": BIN_NEW}),
    Case("a binary file, edited by the person", {"a": BIN}, (edit("a", BIN_MINE),), {"a": BIN},
         {"a": BIN_MINE}),
    Case("a binary file, edited by both", {"a": BIN}, (edit("a", BIN_MINE),), {"a": BIN_NEW},
         {"a": BIN_MINE, "a.generated": BIN_NEW}, (("a", Kind.BINARY),)),
    Case("the place beside it is taken", {"a": BIN},
         (edit("a", BIN_MINE), edit("a.generated", "mine")), {"a": BIN_NEW},
         {"a": BIN_MINE, "a.generated": "mine", "a.generated.2": BIN_NEW}, (("a", Kind.BINARY),)),
    Case("made a program, and generated otherwise", A, (make_executable("a"),), {"a": NEW},
         {"a": NEW}),
    Case("a link in its place, generated as before", A, (edit("t", "x"), link("a", "t")), A,
         {"a": "t", "t": "x"}),
    Case("a link in its place, generated otherwise", A, (edit("t", "x"), link("a", "t")),
         {"a": NEW}, {"a": "t", "t": "x", "a.generated": NEW}, (("a", Kind.TYPE),)),
    Case("a link in the place of its directory", {"d/a": OLD},
         (remove("d/a"), lambda root: (root / "d").rmdir(), link("d", "elsewhere")),
         {"d/a": NEW}, {"d": "elsewhere", "d.generated/a": NEW}, (("d/a", Kind.DELETED),)),
    Case("a file where a directory is generated", A, (edit("d", "mine"),), {**A, "d/b": NEW},
         {**A, "d": "mine", "d.generated/b": NEW}, (("d/b", Kind.TAKEN),)),
    Case("a directory where a file is generated", A, (edit("d/x", "mine"),), {**A, "d": NEW},
         {**A, "d/x": "mine", "d.generated": NEW}, (("d", Kind.TAKEN),)),
    Case("the generator makes a directory of a file", {"d": OLD}, (), {"d/a": NEW}, {"d/a": NEW}),
    Case("the generator makes a directory of an edited file", {"d": OLD}, (edit("d", MINE),),
         {"d/a": NEW}, {"d": MINE, "d.generated/a": NEW},
         (("d", Kind.REMOVED), ("d/a", Kind.TAKEN))),
    Case("the generator makes a file of a directory", {"d/a": OLD}, (), {"d": NEW}, {"d": NEW}),
    Case("the person made a directory of a file", {"d": OLD},
         (move("d", "t"), move("t", "d/index")), {"d": NEW}, {"d/index": NEW}),
    Case("names that are hard to write", {"ä é/日本 - [a]": OLD, "-f": OLD},
         (edit("ä é/日本 - [a]", MINE), edit(' \t\'"\\*\n', "mine")),
         {"ä é/日本 - [a]": NEW, "-f": NEW},
         {"ä é/日本 - [a]": BOTH, "-f": NEW, ' \t\'"\\*\n': "mine"}),
    Case("an edit of a line that the generator takes out", A, (edit("a", RIVAL),),
         {"a": OLD.replace("line 8\n", "")},
         {"a": lines(7) + "<<<<<<< yours\nmine\n||||||| before\nline 8\n=======\n"
          ">>>>>>> generated\nline 9\n"}, (("a", Kind.CONTENT),)),
    Case("both append", A, (edit("a", OLD + "mine\n"),), {"a": OLD + "generated\n"},
         {"a": OLD + "<<<<<<< yours\nmine\n||||||| before\n=======\ngenerated\n"
          ">>>>>>> generated\n"}, (("a", Kind.CONTENT),)),
)  # fmt: skip
