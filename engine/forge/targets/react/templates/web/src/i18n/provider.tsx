import { useLayoutEffect, useMemo, useState } from "react";
import type { ReactNode } from "react";

import { ar } from "@/i18n/ar";
import { I18nContext } from "@/i18n/context";
import type { I18n, Language } from "@/i18n/context";
import { en } from "@/i18n/en";
import type { MessageKey } from "@/i18n/en";
import { makeFormats } from "@/i18n/formats";
import { platform } from "@/platform";

const KEY = "language";
const DICTIONARIES = { en, ar };

function firstLanguage(): Language {
  const kept = localStorage.getItem(KEY);
  if (kept === "en" || kept === "ar") return kept;
  return navigator.language.startsWith("ar") ? "ar" : "en";
}

/** The browser's own variant of the language, so that digits are those of the person's country. */
function localeOf(language: Language): string {
  return navigator.languages.find((each) => each.split("-")[0] === language) ?? language;
}

function fill(text: string, values: Record<string, string | number> = {}): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

function makeI18n(language: Language, setLanguage: (language: Language) => void): I18n {
  const messages = DICTIONARIES[language];
  const isKey = (text: string): text is MessageKey => Object.hasOwn(messages, text);
  return {
    language,
    setLanguage,
    t: (key, values) => fill(messages[key], values),
    message: (text, values) => (isKey(text) ? fill(messages[text], values) : text),
    say: (text) => text?.[language] ?? "",
    formats: makeFormats(localeOf(language)),
  };
}

export function I18nProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState(firstLanguage);
  const i18n = useMemo(() => {
    return makeI18n(language, (chosen) => {
      localStorage.setItem(KEY, chosen);
      setLanguage(chosen);
    });
  }, [language]);
  useLayoutEffect(() => {
    document.documentElement.lang = language;
    document.documentElement.dir = language === "ar" ? "rtl" : "ltr";
    document.title = platform.title[language];
  }, [language]);
  return <I18nContext value={i18n}>{children}</I18nContext>;
}
