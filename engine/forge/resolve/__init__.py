"""The resolved model: a Blueprint with every decision taken, ready to be laid out as files.

Names, plurals, routes, tables, bounds, defaults and rights are settled here and nowhere else, so
that templates hold layout only and every target and test generator agrees. Values are immutable,
picklable and independent of any target.
"""

from __future__ import annotations

from engine.forge.fields import Filter, Titles
from engine.forge.resolve.model import (
    ADMIN,
    API_PREFIX,
    BASE_FIELDS,
    VERBS,
    ResolvedColumn,
    ResolvedComputed,
    ResolvedEntity,
    ResolvedEnum,
    ResolvedGuard,
    ResolvedIndex,
    ResolvedLifecycle,
    ResolvedPlatform,
    ResolvedRelation,
    ResolvedRole,
    ResolvedTransition,
    ResolvedValue,
    Verb,
)
from engine.forge.resolve.platform import resolve

__all__ = [
    "ADMIN",
    "API_PREFIX",
    "BASE_FIELDS",
    "VERBS",
    "Filter",
    "ResolvedColumn",
    "ResolvedComputed",
    "ResolvedEntity",
    "ResolvedEnum",
    "ResolvedGuard",
    "ResolvedIndex",
    "ResolvedLifecycle",
    "ResolvedPlatform",
    "ResolvedRelation",
    "ResolvedRole",
    "ResolvedTransition",
    "ResolvedValue",
    "Titles",
    "Verb",
    "resolve",
]
