"""`python -m benchmarks [NAME …]`: runs the named measurements, or all of them."""

from __future__ import annotations

import sys

from benchmarks import api, builds, costs, generation, ledger, regeneration, tenants

ALL = {
    "generation": generation.main,
    "regeneration": regeneration.main,
    "ledger": ledger.main,
    "costs": costs.main,
    "builds": builds.main,
    "tenants": tenants.main,
    "api": api.main,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"There is no measurement {unknown[0]!r}; there are: {', '.join(ALL)}.")
        return 2
    for name in names or ALL:
        print(f"\n== {name}")
        ALL[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
