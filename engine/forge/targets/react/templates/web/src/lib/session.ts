import { useSyncExternalStore } from "react";

// Kept by the tab, under the path of this platform: others may share its host.
const KEY = `token:${new URL(".", document.baseURI).pathname}`;
const listeners = new Set<() => void>();

export function readToken(): string | null {
  return sessionStorage.getItem(KEY);
}

export function keepToken(token: string): void {
  sessionStorage.setItem(KEY, token);
  tell();
}

export function signOut(): void {
  sessionStorage.removeItem(KEY);
  tell();
}

/** The access token of the session, or null when nobody is signed in. */
export function useToken(): string | null {
  return useSyncExternalStore(subscribe, readToken);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(): void {
  for (const listener of listeners) listener();
}
