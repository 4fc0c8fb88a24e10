import type { MessageKey } from "@/i18n/en";
import type { Entity, Text } from "@/lib/entity";
import { textOf } from "@/lib/text";
import texts from "@/texts.json";

const enums: Record<string, Record<string, Text>> = texts.enums;
const roles: Record<string, Text> = texts.roles;

export function enumTitle(name: string | undefined, value: unknown): Text {
  const text = textOf(value);
  return (name && enums[name]?.[text]) || { en: text, ar: text };
}

export function roleTitle(role: string): Text {
  return roles[role] ?? { en: role, ar: role };
}

const BASE_FIELDS: Record<string, MessageKey> = {
  created_at: "created_at",
  updated_at: "updated_at",
};

/** The label of a field: the Blueprint's, or that of a field that every record has. */
export function fieldTitle(entity: Entity, field: string): Text | MessageKey {
  return entity.titles.fields[field] ?? BASE_FIELDS[field] ?? { en: field, ar: field };
}
