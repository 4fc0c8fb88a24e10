import { entities } from "@/entities";
import { enums } from "@/enums";
import type { Entity } from "@/lib/entity";

/** The entity of this name, which the Blueprint is known to have. */
export function findEntity(name: string | undefined): Entity {
  const entity = entities.find((each) => each.name === name);
  if (!entity) throw new Error(`There is no entity ${name ?? ""}.`);
  return entity;
}

export function entityAt(path: string | undefined): Entity | undefined {
  return entities.find((each) => each.path === path);
}

const choices: Readonly<Record<string, readonly string[]>> = enums;

/** The values of an enum, in the order of the Blueprint. */
export function valuesOf(name: string | undefined): readonly string[] {
  return (name && choices[name]) || [];
}
