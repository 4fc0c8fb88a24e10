"""How large the proofs are: their full size, unless the environment says otherwise."""

from __future__ import annotations

import os


def sized(full: int) -> int:
    """The full size, or the part of it that `WEBNOVA_PROOF_SCALE` names (0.1 is a tenth)."""
    return max(1, round(full * float(os.environ.get("WEBNOVA_PROOF_SCALE") or 1)))
