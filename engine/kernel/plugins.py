"""One registry for everything that can be plugged in.

A *kind* of adapter is named by its entry-point group, `webnova.<kind>` (for example
`webnova.backend_targets`). Built-in adapters register under the same groups as third-party ones,
and every kind has one contract suite in `tests/contracts/` that each adapter must pass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from engine.kernel.errors import NotFound, Unavailable

A = TypeVar("A")


class Registry(Generic[A]):
    """The adapters of one kind, loaded on first use and at most once.

    `allowed` narrows the registry to the names that a tenant may use; None means all of them.
    """

    def __init__(
        self, kind: str, contract: type[A], *, allowed: Collection[str] | None = None
    ) -> None:
        self.kind = kind
        self._contract = contract
        self._loaded: dict[str, A] = {}
        self._points: dict[str, EntryPoint] = {}
        for point in entry_points(group=f"webnova.{kind}"):
            if point.name in self._points and self._points[point.name].value != point.value:
                raise ValueError(f"two plugins call themselves {point.name!r} of {kind}")
            if allowed is None or point.name in allowed:
                self._points[point.name] = point

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._points))

    def get(self, name: str) -> A:
        """The adapter of that name.

        Raises `NotFound` (naming those there are) when none is registered or allowed, and
        `Unavailable` when the plugin can't be imported or does not keep the contract.
        """
        if name not in self._loaded:
            if name not in self._points:
                known = ", ".join(self) or "none"
                raise NotFound(f"There is no {self.kind} adapter {name!r}; known: {known}.")
            self._loaded[name] = self._load(self._points[name])
        return self._loaded[name]

    def _load(self, point: EntryPoint) -> A:
        try:
            made = point.load()
            adapter = made() if isinstance(made, type) else made
        except (ImportError, AttributeError, TypeError) as error:
            raise Unavailable(
                f"The {self.kind} adapter {point.name!r} can't be loaded: {error}",
                mend="Reinstall or remove the package that provides it.",
            ) from error
        if not isinstance(adapter, self._contract):
            raise Unavailable(
                f"The {self.kind} adapter {point.name!r} does not keep the contract "
                f"{self._contract.__name__}.",
                mend="Use a version of the plugin made for this WebNova.",
            )
        return adapter
