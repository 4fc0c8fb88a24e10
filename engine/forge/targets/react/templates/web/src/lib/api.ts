import { readToken, signOut } from "@/lib/session";

/** The address under which the platform is published; always ends with a slash. */
export const baseUrl = new URL(".", document.baseURI);
const apiUrl = new URL("api/", baseUrl);

export interface FieldError {
  field: string;
  message: string;
}

export interface Page<T> {
  items: T[];
  total: number;
  limit: number;
  offset: number;
}

/** An answer of the API that says what went wrong (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly errors: readonly FieldError[] = [],
  ) {
    super(detail);
    this.name = "Problem";
  }
}

/** The API could not be reached. */
export class Unreachable extends Error {
  override name = "Unreachable";
}

export type Query = Record<string, string | number | undefined>;

interface Options {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  body?: unknown;
  query?: Query;
  signal?: AbortSignal;
}

/**
 * Send a request below `/api` and answer the JSON that comes back, which the caller vouches for.
 * Throws `Problem` for an error of the API and `Unreachable` when there is no answer.
 */
export async function request(path: string, options: Options = {}): Promise<unknown> {
  const url = new URL(path, apiUrl);
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const headers = new Headers({ Accept: "application/json" });
  const token = readToken();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  const init: RequestInit = { method: options.method ?? "GET", headers };
  if (options.body !== undefined) {
    headers.set("Content-Type", "application/json");
    init.body = JSON.stringify(options.body);
  }
  if (options.signal) init.signal = options.signal;
  const response = await send(url, init);
  if (response.status === 204) return undefined;
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer;
  if (response.status === 401 && token && token === readToken()) signOut();
  throw problemOf(response.status, answer);
}

async function send(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Unreachable("The platform can't be reached.", { cause: error });
  }
}

function problemOf(status: number, answer: unknown): Problem {
  const { detail, errors } = (answer ?? {}) as { detail?: string; errors?: FieldError[] };
  return new Problem(status, detail ?? `HTTP ${status}`, errors);
}
