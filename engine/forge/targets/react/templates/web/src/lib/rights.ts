import type { AnyRecord, Entity, Scope, Transition, Verb } from "@/lib/entity";

export interface User {
  id: string;
  email: string;
  role: string;
  active: boolean;
  created_at: string;
  updated_at: string;
}

/** How far a right of the user reaches, or null where there is none. */
export function scopeOf(user: User, entity: Entity, verb: Verb): Scope | null {
  return user.role === "admin" ? "all" : (entity.rights[user.role]?.[verb] ?? null);
}

export function may(user: User, entity: Entity, verb: Verb, record?: AnyRecord): boolean {
  const scope = scopeOf(user, entity, verb);
  return scope === "all" || (scope === "own" && (!record || record.owner_id === user.id));
}

/** The moves that the user may make with this record in its present state. */
export function openTransitions(
  user: User,
  entity: Entity,
  record: AnyRecord,
): readonly Transition[] {
  const { lifecycle } = entity;
  if (!lifecycle || !may(user, entity, "read", record)) return [];
  const state = record[lifecycle.field];
  return lifecycle.transitions.filter(
    (move) => move.roles.includes(user.role) && move.from.some((source) => source === state),
  );
}
