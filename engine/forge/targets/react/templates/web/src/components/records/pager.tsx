import { ChevronLeft, ChevronRight } from "lucide-react";

import { Button } from "@/components/ui/button";
import { useI18n } from "@/i18n/context";
import type { Page } from "@/lib/api";

interface PagerProps {
  page: Page<unknown>;
  onChange: (page: number) => void;
}

export function Pager({ page, onChange }: PagerProps) {
  const { t, formats } = useI18n();
  const { total, limit, offset, items } = page;
  const current = Math.floor(offset / limit) + 1;
  return (
    <nav
      aria-label={t("pages")}
      className="flex items-center justify-between gap-4 border-t border-line px-4 py-2.5"
    >
      <p className="text-muted tabular-nums">
        {t("page_of", {
          from: formats.number(Math.min(offset + 1, total)),
          to: formats.number(Math.min(offset + items.length, total)),
          total: formats.number(total),
        })}
      </p>
      <div className="flex gap-2">
        <Button
          size="small"
          disabled={current === 1}
          onClick={() => {
            onChange(current - 1);
          }}
        >
          <ChevronLeft aria-hidden className="rtl:rotate-180" />
          {t("previous")}
        </Button>
        <Button
          size="small"
          disabled={offset + limit >= total}
          onClick={() => {
            onChange(current + 1);
          }}
        >
          {t("next")}
          <ChevronRight aria-hidden className="rtl:rotate-180" />
        </Button>
      </div>
    </nav>
  );
}
