"""What the templates of the whole project show."""

from __future__ import annotations

from typing import Any, Literal

from engine.forge.blueprint.model import Scope
from engine.forge.fields import (
    DURATION_PATTERN,
    EMAIL_PATTERN,
    PHONE_PATTERN,
    SLUG_PATTERN,
    URL_PATTERN,
)
from engine.forge.resolve import ADMIN, VERBS, ResolvedEntity, ResolvedPlatform, Verb
from engine.forge.targets.fastapi import expressions as write
from engine.forge.targets.fastapi.expressions import prose


def project_view(platform: ResolvedPlatform) -> dict[str, Any]:
    """The context for everything that doesn't belong to one entity."""
    by_name = sorted(platform.entities, key=lambda entity: entity.module)
    modules = {"auth", "health", "users", *(entity.module for entity in platform.entities)}
    return {
        "platform": platform,
        "has_pages": platform.frontend != "none",
        "entities": [_entity(platform, entity) for entity in platform.entities],
        "model_names": sorted({"User", *(entity.class_name for entity in by_name)}),
        "route_modules": ", ".join(sorted(modules)),
        "self_registration": ", ".join(
            write.literal(role.name) for role in platform.self_registration_roles
        ),
        "email_pattern": write.raw_literal(EMAIL_PATTERN),
        "slug_pattern": write.raw_literal(SLUG_PATTERN),
        "duration_pattern": write.raw_literal(DURATION_PATTERN),
        "phone_pattern": write.raw_literal(PHONE_PATTERN),
        "url_pattern": write.raw_literal(URL_PATTERN),
    }


def _entity(platform: ResolvedPlatform, entity: ResolvedEntity) -> dict[str, Any]:
    return {
        "class_name": entity.class_name,
        "module": entity.module,
        "route": entity.route,
        "titles": entity.titles,
        "plural_titles": entity.plural_titles,
        "seed_file": f"{entity.plural_snake}.json",
        "who_en": _who(platform, entity, "en"),
        "who_ar": _who(platform, entity, "ar"),
        "rights": [
            {"member": role.member, "rights": rights}
            for role in platform.roles
            if role.name != ADMIN and (rights := _rights(entity, role.name))
        ],
    }


_VERBS_AR: dict[Verb, str] = {
    "create": "إنشاء",
    "read": "قراءة",
    "update": "تعديل",
    "delete": "حذف",
}


def _who(platform: ResolvedPlatform, entity: ResolvedEntity, language: Literal["en", "ar"]) -> str:
    """The rights of every role in one line of prose."""
    english = language == "en"
    parts = []
    for role in platform.roles[1:]:
        verbs = []
        for verb in VERBS:
            scope = entity.scope(role.name, verb)
            if scope is not None:
                own = " (own)" if english else " (سجلاته)"
                word = verb if english else _VERBS_AR[verb]
                verbs.append(word + (own if scope is Scope.OWN else ""))
        if verbs:
            name = prose(role.titles.en if english else role.titles.ar)
            parts.append(f"{name}: {(', ' if english else '، ').join(verbs)}")
    return "; ".join(parts) if english else "؛ ".join(parts)


def _rights(entity: ResolvedEntity, role: str) -> list[dict[str, str]]:
    return [
        {"verb": verb.upper(), "scope": scope.value.upper()}
        for verb in VERBS
        if (scope := entity.scope(role, verb)) is not None
    ]
