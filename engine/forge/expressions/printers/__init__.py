"""Printers: a checked expression as source of a target, with the meaning that `evaluate` gives it.

Each needs a small module beside the generated code, which `runtime` gives: a target's templates
put it there. `Names` says how the target calls what an expression reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from engine.forge.expressions.syntax import Path


@dataclass(frozen=True, slots=True)
class Names:
    """The source of what is read.

    `value` gives that of a path, `rows` that of the records behind a to-many relation (for
    SQLAlchemy: the arguments `class, condition` that select them).
    """

    value: Callable[[Path], str]
    rows: Callable[[str], str]


Runtime = Literal["values.py", "queries.py", "values.ts"]


def runtime(name: Runtime) -> str:
    """The module that printed source needs: `values.py` for Python, `queries.py` for SQLAlchemy
    (beside `values.py`) and `values.ts` for TypeScript."""
    folder = files("engine.forge.expressions.printers") / "runtime"
    return (folder / f"{name}.txt").read_text(encoding="utf-8")
