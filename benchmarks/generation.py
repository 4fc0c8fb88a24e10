"""How long the pure generation of a platform with ten entities takes, in one process.

The first figure is that of a cold process (imports left out), the others of the same work again.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from engine.forge.blueprint.source import load_data
from engine.forge.generate import generate_project

ROUNDS = 7


def blueprint(entities: int) -> dict[str, Any]:
    names = [f"Item{chr(ord('A') + number)}" for number in range(entities)]
    return {
        "name": "bench",
        "roles": {"clerk": {}},
        "entities": {
            name: {
                "fields": {
                    "title": {"type": "string", "required": True, "max_length": 80},
                    "count": {"type": "integer", "min": 0, "max": 1000},
                    "price": {"type": "money", "currency": "SAR"},
                    "due_on": {"type": "date"},
                },
                "relations": {"parent": {"to": names[number - 1]}} if number else {},
                "access": {"clerk": {"create": "all", "read": "all", "update": "own"}},
            }
            for number, name in enumerate(names)
        },
    }


def main() -> None:
    document = load_data(blueprint(10))
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        bundle = generate_project(document)
        times.append(time.perf_counter() - began)
    print(f"10 entities, {len(bundle.files)} files, app and tests: first {times[0]:.2f} s,")
    print(f"then median {statistics.median(times[1:]):.2f} s (target: at most 0.5 s)")


if __name__ == "__main__":
    main()
