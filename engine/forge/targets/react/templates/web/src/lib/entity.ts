import type { ZodObject } from "zod";

/** A text in both languages of the platform. */
export interface Text {
  en: string;
  ar: string;
}

export type Verb = "create" | "read" | "update" | "delete";
/** Every record, or only those that the user created. */
export type Scope = "all" | "own";
export type Operator = "eq" | "gte" | "lte" | "contains";

export type FieldKind =
  | "string"
  | "text"
  | "integer"
  | "decimal"
  | "money"
  | "boolean"
  | "date"
  | "time"
  | "instant"
  | "uuid"
  | "email"
  | "phone"
  | "url"
  | "slug"
  | "duration"
  | "json"
  | "enum"
  | "state"
  | "relation"
  | "relations";

export interface Field<Name extends string = string> {
  name: Name;
  kind: FieldKind;
  required?: boolean;
  /** How a list can be narrowed by it. */
  filters?: readonly Operator[];
  sortable?: boolean;
  /** Whether the table of a list has a column for it. */
  column?: boolean;
  /** Accepted, and never given back. */
  writeOnly?: boolean;
  /** Follows from other fields: shown, and never sent. */
  computed?: boolean;
  default?: string | number | boolean;
  enum?: string;
  /** The entity that a relation leads to. */
  target?: string;
  currency?: string;
}

export interface Transition {
  name: string;
  from: readonly string[];
  to: string;
  roles: readonly string[];
}

export interface Lifecycle<Name extends string = string> {
  field: Name;
  enum: string;
  initial: string;
  transitions: readonly Transition[];
}

export interface Titles {
  title: Text;
  plural: Text;
  fields: Readonly<Record<string, Text>>;
  transitions: Readonly<Record<string, Text>>;
}

/** What every record has. */
export interface RecordView {
  id: string;
  owner_id: string;
  created_at: string;
  updated_at: string;
}

/** A record whose kind is only known at run time. */
export type AnyRecord = RecordView & Record<string, unknown>;

export interface Entity<Name extends string = string> {
  name: string;
  /** Its segment in the addresses of the API and of the pages. */
  path: string;
  titles: Titles;
  /** The field that tells a person which record it is. */
  display: Name;
  /** The query parameter by which a list finds words, if there is one. */
  lookup: string | null;
  fields: readonly Field<Name>[];
  lifecycle: Lifecycle<Name> | null;
  /** What each role may do; `admin` isn't listed and may do everything. */
  rights: Readonly<Record<string, Readonly<Partial<Record<Verb, Scope>>>>>;
  schema: ZodObject;
}

/** Checks an entity against the type of its records, then forgets the type. */
export function defineEntity<T extends RecordView>(entity: Entity<keyof T & string>): Entity {
  return entity;
}
