import { z } from "zod";

import { emailPattern, phonePattern, slugPattern, urlPattern, durationPattern } from "@/patterns";

/*
 * What the inputs of a form hold, turned into what the API takes: each function gives the schema
 * of one field. An empty input is null. The messages of issues are keys of the dictionary.
 */

interface Presence {
  required?: boolean;
}

interface TextLimits extends Presence {
  minLength?: number;
  maxLength?: number;
  pattern?: string;
}

interface NumberLimits extends Presence {
  minimum?: string;
  maximum?: string;
}

type Params = Record<string, string | number>;
type Parsed<T> = { value: T } | { problem: string; params?: Params };

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function field<T>(limits: Presence, parse: (input: string) => Parsed<T>) {
  return z.string().transform((input, context): T | null => {
    if (input === "") {
      if (limits.required) context.addIssue({ code: "custom", message: "error_required" });
      return null;
    }
    const parsed = parse(input);
    if ("value" in parsed) return parsed.value;
    const { problem, params = {} } = parsed;
    context.addIssue({ code: "custom", message: problem, params });
    return z.NEVER;
  });
}

function checkText(input: string, limits: TextLimits, problem: string): Parsed<string> {
  // The API counts characters, and so not the halves that a string of JavaScript is made of.
  const length = Array.from(input).length;
  const { minLength = 0, maxLength = Infinity, pattern } = limits;
  if (length < minLength) return { problem: "error_too_short", params: { count: minLength } };
  if (length > maxLength) return { problem: "error_too_long", params: { count: maxLength } };
  return pattern === undefined || matches(pattern, input) ? { value: input } : { problem };
}

function matches(pattern: string, input: string): boolean {
  try {
    return new RegExp(pattern, "u").test(input);
  } catch {
    // Not a pattern of this language: only the API can tell.
    return true;
  }
}

export const text = (limits: TextLimits) =>
  field(limits, (input) => checkText(input, limits, "error_pattern"));

export const email = (limits: TextLimits) =>
  field(limits, (input) =>
    checkText(input.trim(), { pattern: emailPattern, ...limits }, "error_email"),
  );

export const phone = (limits: TextLimits) =>
  field(limits, (input) =>
    checkText(latinDigits(input.trim()), { pattern: phonePattern, ...limits }, "error_phone"),
  );

export const url = (limits: TextLimits) =>
  field(limits, (input) =>
    checkText(input.trim(), { pattern: urlPattern, ...limits }, "error_url"),
  );

export const slug = (limits: TextLimits) =>
  field(limits, (input) =>
    checkText(input.trim(), { pattern: slugPattern, ...limits }, "error_slug"),
  );

export const integer = (limits: NumberLimits) =>
  field(limits, (input): Parsed<number> => {
    const digits = plainNumber(input);
    if (!/^[-+]?[0-9]+$/.test(digits)) return { problem: "error_integer" };
    const outside = checkRange(digits, limits);
    if (outside) return outside;
    const value = Number(digits);
    // Beyond 53 bits JavaScript would round it.
    return Number.isSafeInteger(value) ? { value } : { problem: "error_integer" };
  });

/** A decimal stays text from end to end, so that nothing rounds it. */
export const decimal = (limits: NumberLimits & { digits: number; places: number }) =>
  field(limits, (input): Parsed<string> => {
    const digits = plainNumber(input);
    const parts = /^(-?)0*([0-9]*?)(?:\.([0-9]+))?$/.exec(digits);
    if (!parts || !/[0-9]/.test(digits)) return { problem: "error_decimal" };
    const [, sign = "", whole = "", fraction = ""] = parts;
    if (fraction.length > limits.places) {
      return { problem: "error_places", params: { count: limits.places } };
    }
    const room = limits.digits - limits.places;
    if (whole.length > room) return { problem: "error_digits", params: { count: room } };
    const value = `${sign}${whole || "0"}${fraction && `.${fraction}`}`;
    return checkRange(value, limits) ?? { value };
  });

export const boolean = () => z.boolean();

export const date = (limits: Presence) =>
  field(limits, (input): Parsed<string> => {
    const found = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/.test(input);
    return found && isDay(input) ? { value: input } : { problem: "error_date" };
  });

export const time = (limits: Presence) =>
  field(limits, (input): Parsed<string> => {
    const valid = /^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$/.test(input);
    return valid ? { value: input } : { problem: "error_time" };
  });

/** The input holds the local time of the device; the API is sent UTC. */
export const instant = (limits: Presence) =>
  field(limits, (input): Parsed<string> => {
    const moment = new Date(input);
    const valid = /^[0-9]{4}-/.test(input) && !Number.isNaN(moment.getTime());
    return valid ? { value: moment.toISOString() } : { problem: "error_instant" };
  });

export const uuid = (limits: Presence) =>
  field(limits, (input): Parsed<string> => {
    const value = input.trim().toLowerCase();
    return UUID.test(value) ? { value } : { problem: "error_uuid" };
  });

export const duration = (limits: Presence) =>
  field(limits, (input) =>
    checkText(input.trim().toUpperCase(), { pattern: durationPattern }, "error_duration"),
  );

export const json = (limits: Presence) =>
  field(limits, (input): Parsed<object> => {
    try {
      const value: unknown = JSON.parse(input);
      if (typeof value === "object" && value !== null) return { value };
    } catch {
      // Falls through: what isn't JSON at all is as wrong as a bare number.
    }
    return { problem: "error_json" };
  });

export const choice = <T extends string>(values: readonly T[], limits: Presence) =>
  field(limits, (input): Parsed<T> => {
    const value = values.find((each) => each === input);
    return value === undefined ? { problem: "error_choice" } : { value };
  });

export const relation = uuid;

export const relations = (limits: Presence) =>
  z.array(z.string()).check((context) => {
    if (limits.required && context.value.length === 0) {
      context.issues.push({ code: "custom", message: "error_required", input: context.value });
    }
  });

function isDay(text: string): boolean {
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}

/** Digits of Arabic and Persian, as a person may type them, written in ASCII. */
export function latinDigits(input: string): string {
  return input.replace(/[\u0660-\u0669\u06f0-\u06f9]/g, (digit) =>
    String(digit.charCodeAt(0) & 0xf),
  );
}

function plainNumber(input: string): string {
  return latinDigits(input.trim()).replaceAll("\u066b", ".");
}

function checkRange(value: string, limits: NumberLimits): Parsed<never> | null {
  const { minimum, maximum } = limits;
  if (minimum !== undefined && compareDecimals(value, minimum) < 0) {
    return { problem: "error_minimum", params: { limit: minimum } };
  }
  if (maximum !== undefined && compareDecimals(value, maximum) > 0) {
    return { problem: "error_maximum", params: { limit: maximum } };
  }
  return null;
}

/** Below zero when `a` is smaller, above when it is larger; exact for any number of digits. */
export function compareDecimals(a: string, b: string): number {
  const places = Math.max(a.split(".")[1]?.length ?? 0, b.split(".")[1]?.length ?? 0);
  const [left, right] = [scaled(a, places), scaled(b, places)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function scaled(value: string, places: number): bigint {
  const [whole = "", fraction = ""] = value.replace("+", "").split(".");
  return BigInt(whole + fraction.padEnd(places, "0"));
}
