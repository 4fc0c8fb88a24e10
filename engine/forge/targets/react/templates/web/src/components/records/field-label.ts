import { useI18n } from "@/i18n/context";
import { fieldTitle } from "@/i18n/titles";
import type { Entity } from "@/lib/entity";

/** A function that gives the label of a field of this entity. */
export function useFieldLabel(entity: Entity): (name: string) => string {
  const { t, say } = useI18n();
  return (name) => {
    const title = fieldTitle(entity, name);
    return typeof title === "string" ? t(title) : say(title);
  };
}
