"""The files that know the platform as a whole: its entities, enums, roles and titles."""

from __future__ import annotations

from engine.forge.fields import (
    DURATION_PATTERN,
    EMAIL_PATTERN,
    PHONE_PATTERN,
    SLUG_PATTERN,
    URL_PATTERN,
)
from engine.forge.resolve import ResolvedPlatform
from engine.forge.targets.react.entity_view import both
from engine.forge.targets.react.typescript import WIDTH, Code, Value, constant, json_text, layout

_PATTERNS = {
    "emailPattern": EMAIL_PATTERN,
    "phonePattern": PHONE_PATTERN,
    "urlPattern": URL_PATTERN,
    "slugPattern": SLUG_PATTERN,
    "durationPattern": DURATION_PATTERN,
}


def project_files(platform: ResolvedPlatform) -> dict[str, str]:
    """The files by their path under `web/src`."""
    return {
        "entities.ts": _entities(platform),
        "enums.ts": _enums(platform),
        "patterns.ts": _patterns(),
        "platform.ts": _platform(platform),
        "texts.json": json_text(_texts(platform)),
    }


def _entities(platform: ResolvedPlatform) -> str:
    named = [
        (f"{entity.class_name[0].lower()}{entity.class_name[1:]}", entity)
        for entity in platform.entities
    ]
    imports = "".join(
        f'import {{ entity as {name}Entity }} from "@/features/{entity.route}/entity";\n'
        for name, entity in sorted(named, key=lambda each: each[1].route)
    )
    head = "export const entities: readonly Entity[] = "
    listed: Value = [Code(f"{name}Entity") for name, _ in named]
    return (
        f'{imports}import type {{ Entity }} from "@/lib/entity";\n\n'
        "/** Every kind of record of the platform, each after those that it refers to. */\n"
        f"{head}{layout(listed, 0, len(head))};\n"
    )


def _enums(platform: ResolvedPlatform) -> str:
    text = "/** The values that a field with a fixed choice, or a state, may take. */\n"
    if not platform.enums:
        return f"{text}export const enums = {{}} as const;\n"
    lines = ""
    types = ""
    for enum in platform.enums:
        values: Value = [value.name for value in enum.values]
        lines += f"  {enum.class_name}: {layout(values, 2, len(enum.class_name) + 4)},\n"
        head, value_type = f"export type {enum.class_name} =", f"(typeof enums.{enum.class_name})"
        line = f"{head} {value_type}[number];"
        types += line if len(line) <= WIDTH else f"{head}\n  {value_type}[number];"
        types += "\n"
    return f"{text}export const enums = {{\n{lines}}} as const;\n\n{types}"


def _patterns() -> str:
    constants = "".join(constant(name, pattern) for name, pattern in _PATTERNS.items())
    return f"// The forms of texts, as the API checks them too.\n\n{constants}"


def _platform(platform: ResolvedPlatform) -> str:
    roles: Value = [role.name for role in platform.roles]
    open_roles: Value = [role.name for role in platform.self_registration_roles]
    role_list = "export const roles: readonly string[] = "
    open_list = "const openRoles: readonly string[] = "
    return (
        'import texts from "@/texts.json";\n\n'
        "/** What users can be to the platform. */\n"
        f"{role_list}{layout(roles, 0, len(role_list))};\n\n"
        "/** The roles with which people may sign up. */\n"
        f"{open_list}{layout(open_roles, 0, len(open_list))};\n\n"
        "export const platform = { title: texts.title, openRoles };\n"
    )


def _texts(platform: ResolvedPlatform) -> dict[str, object]:
    return {
        "title": both(platform.titles),
        "roles": {role.name: both(role.titles) for role in platform.roles},
        "enums": {
            enum.class_name: {value.name: both(value.titles) for value in enum.values}
            for enum in platform.enums
        },
    }
