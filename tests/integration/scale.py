"""How large the proofs are: a part of their full size, unless the environment says otherwise."""

from __future__ import annotations

import os


def sized(full: int, part: float) -> int:
    """`part` of the full size, or what `WEBNOVA_PROOF_SCALE` says (1 is the full size)."""
    return max(1, round(full * float(os.environ.get("WEBNOVA_PROOF_SCALE") or part)))
