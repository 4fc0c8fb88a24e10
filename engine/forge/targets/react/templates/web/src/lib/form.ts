import type { AnyRecord, Entity, Field } from "@/lib/entity";
import { Problem } from "@/lib/api";
import { textOf } from "@/lib/text";

/** What the controls of a form hold. */
export type Input = string | boolean | string[];
export type Inputs = Record<string, Input>;

export interface Issue {
  message: string;
  params?: Record<string, string | number>;
}

/** What is wrong, by field; the empty key is for what belongs to no field of the form. */
export type Issues = Record<string, Issue>;

export function inputOf(field: Field, value: unknown): Input {
  switch (field.kind) {
    case "boolean":
      return value === true;
    case "relations":
      return Array.isArray(value) ? value.map(String) : [];
    case "instant":
      return typeof value === "string" ? localTime(new Date(value)) : "";
    case "json":
      return value ? JSON.stringify(value, null, 2) : "";
    default:
      return textOf(value);
  }
}

/** The inputs of a form for a record, or for a new one with its defaults. */
export function inputsOf(entity: Entity, record: AnyRecord | undefined): Inputs {
  return Object.fromEntries(
    formFields(entity).map((field) => [
      field.name,
      inputOf(field, record ? record[field.name] : field.default),
    ]),
  );
}

export function formFields(entity: Entity): readonly Field[] {
  return entity.fields.filter((field) => field.kind !== "state" && !field.computed);
}

/** The form of a moment that an input of the type `datetime-local` takes. */
export function localTime(moment: Date): string {
  const shifted = new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, moment.getSeconds() ? 19 : 16);
}

type Checked = { body: Record<string, unknown>; issues?: never } | { body?: never; issues: Issues };

/** The body of a request for these inputs, of the fields in `names` only, or what is wrong. */
export function check(entity: Entity, inputs: Inputs, names: readonly string[]): Checked {
  const result = entity.schema.safeParse(inputs);
  const body: Record<string, unknown> = {};
  if (result.success) {
    for (const name of names) body[name] = result.data[name];
    return { body };
  }
  const issues: Issues = {};
  for (const issue of result.error.issues) {
    const name = String(issue.path[0] ?? "");
    if (!names.includes(name)) continue;
    const params = issue.code === "custom" ? issue.params : undefined;
    issues[name] ??= { message: issue.message, params: (params ?? {}) as Record<string, string> };
  }
  return Object.keys(issues).length > 0
    ? { issues }
    : { issues: { "": { message: "error_form" } } };
}

/** The fields whose input is no longer what it was. */
export function changedFields(before: Inputs, after: Inputs): string[] {
  return Object.keys(after).filter((name) => String(after[name]) !== String(before[name]));
}

/** Where the errors of a problem belong in a form. */
export function issuesOf(problem: Problem, names: readonly string[]): Issues {
  const issues: Issues = {};
  for (const { field, message } of problem.errors) {
    const name = field.split(".")[0] ?? "";
    // The API speaks English: what is known is said in the language of the page.
    const known = problem.status === 409 ? "error_unique" : message;
    if (names.includes(name)) issues[name] ??= { message: known };
  }
  if (Object.keys(issues).length === 0) {
    issues[""] = { message: problem.status === 409 ? "error_conflict" : problem.message };
  }
  return issues;
}
