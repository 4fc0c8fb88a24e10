import { Search } from "lucide-react";
import { useEffect, useRef, useState } from "react";

import { Input } from "@/components/ui/input";
import { useI18n } from "@/i18n/context";

const PAUSE = 300;

interface SearchBoxProps {
  value: string;
  onChange: (words: string) => void;
}

/** Searches once the person stops typing for a moment. */
export function SearchBox({ value, onChange }: SearchBoxProps) {
  const { t } = useI18n();
  const [words, setWords] = useState(value);
  const [seen, setSeen] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  if (value !== seen) {
    setSeen(value);
    setWords(value);
  }
  useEffect(
    () => () => {
      clearTimeout(timer.current);
    },
    [],
  );
  return (
    <div className="relative min-w-48 flex-1 sm:max-w-sm">
      <Search
        aria-hidden
        className="pointer-events-none absolute inset-y-0 start-3 my-auto size-4 text-muted"
      />
      <Input
        type="search"
        className="ps-9"
        aria-label={t("search")}
        placeholder={t("search")}
        maxLength={200}
        value={words}
        onChange={(event) => {
          const typed = event.target.value;
          setWords(typed);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => {
            onChange(typed.trim());
          }, PAUSE);
        }}
      />
    </div>
  );
}
