"""A Blueprint as an entity-relationship diagram of Mermaid."""

from __future__ import annotations

from engine.forge.blueprint.model import Blueprint, RelationKind
from engine.forge.resolve import ResolvedEntity, ResolvedRelation, resolve

_BASE = (("uuid", "id", "PK"), ("uuid", "owner_id", "FK"), ("instant", "created_at", ""),
         ("instant", "updated_at", ""))  # fmt: skip


class MermaidExporter:
    """`erDiagram`: entities with their columns, and one line for each relation."""

    name = "mermaid"
    suffix = ".mmd"
    media_type = "text/vnd.mermaid"

    def write(self, blueprint: Blueprint) -> str:
        platform = resolve(blueprint)
        lines = ["erDiagram"]
        for entity in platform.entities:
            lines += _entity(entity)
        for entity in platform.entities:
            lines += [_relation(entity, relation) for relation in entity.relations]
        return "\n".join(lines) + "\n"


def _entity(entity: ResolvedEntity) -> list[str]:
    lines = [f"    {entity.name} {{"]
    rows = [(kind, name, key, "") for kind, name, key in _BASE]
    for column in entity.columns:
        title = column.titles.ar if column.titles.ar != column.titles.en else ""
        unique = "UK" if column.unique else ""
        rows.append((column.type.value, column.name, unique, title))
    for relation in entity.to_one:
        rows.append(("uuid", relation.field, "FK", ""))
    if entity.lifecycle is not None:
        rows.append(("enum", entity.lifecycle.field, "", ""))
    for kind, name, key, title in rows:
        comment = '"' + _plain(title) + '"' if title else ""
        lines.append("        " + " ".join(each for each in (kind, name, key, comment) if each))
    return [*lines, "    }"]


def _relation(entity: ResolvedEntity, relation: ResolvedRelation) -> str:
    if relation.kind is RelationKind.MANY_TO_MANY:
        line = "}o--|{" if relation.required else "}o--o{"
    else:
        own = "|o" if relation.kind is RelationKind.ONE_TO_ONE else "}o"
        line = f"{own}--{'||' if relation.required else 'o|'}"
    return f'    {entity.name} {line} {relation.target} : "{relation.attribute}"'


def _plain(text: str) -> str:
    return text.replace('"', "'")
