import { useSyncExternalStore } from "react";

export const THEMES = ["light", "dark", "system"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "theme";
const listeners = new Set<() => void>();
const darkness = window.matchMedia("(prefers-color-scheme: dark)");

function readTheme(): Theme {
  const kept = localStorage.getItem(KEY);
  return THEMES.find((theme) => theme === kept) ?? "system";
}

export function setTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme);
  applyTheme();
  for (const listener of listeners) listener();
}

/** Show the page in the theme that was chosen, or in that of the system. */
export function applyTheme(): void {
  const theme = readTheme();
  const dark = theme === "dark" || (theme === "system" && darkness.matches);
  document.documentElement.classList.toggle("dark", dark);
}

export function useTheme(): Theme {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, readTheme);
}

darkness.addEventListener("change", applyTheme);
