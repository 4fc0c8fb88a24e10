import { createContext, useContext } from "react";

import type { Formats } from "@/i18n/formats";
import type { MessageKey } from "@/i18n/en";
import type { Text } from "@/lib/entity";

export type Language = keyof Text;

export interface I18n {
  language: Language;
  setLanguage: (language: Language) => void;
  /** A text of the pages. A key that isn't known is a text already, as the API sends them. */
  t: (key: MessageKey, values?: Record<string, string | number>) => string;
  /** A message of a validation: a key of the dictionary or what the API said. */
  message: (text: string, values?: Record<string, string | number>) => string;
  /** A text of the Blueprint. */
  say: (text: Text | undefined) => string;
  formats: Formats;
}

export const I18nContext = createContext<I18n | null>(null);

export function useI18n(): I18n {
  const i18n = useContext(I18nContext);
  if (!i18n) throw new Error("useI18n needs an I18nProvider above it.");
  return i18n;
}
