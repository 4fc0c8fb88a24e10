import { CircleAlert, Inbox, WifiOff } from "lucide-react";
import type { ReactNode } from "react";

import { Button } from "@/components/ui/button";
import { Skeleton } from "@/components/ui/card";
import { useI18n } from "@/i18n/context";
import type { MessageKey } from "@/i18n/en";
import { Problem, Unreachable } from "@/lib/api";

const KNOWN: Partial<Record<number, MessageKey>> = {
  403: "error_forbidden",
  404: "error_not_found",
  409: "error_conflict",
};

/** What an error means to a person. */
export function useExplain(): (error: unknown) => string {
  const { t } = useI18n();
  return (error) => {
    if (error instanceof Unreachable) return t("error_network");
    if (!(error instanceof Problem)) return t("error");
    const key = KNOWN[error.status];
    return key ? t(key) : error.message;
  };
}

export function ErrorState({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useI18n();
  const explain = useExplain();
  const Icon = error instanceof Unreachable ? WifiOff : CircleAlert;
  return (
    <div role="alert" className="flex flex-col items-center gap-3 px-4 py-16 text-center">
      <Icon aria-hidden className="size-8 text-danger" />
      <p className="text-base font-medium">{t("error")}</p>
      <p className="max-w-md text-muted">{explain(error)}</p>
      {onRetry && <Button onClick={onRetry}>{t("retry")}</Button>}
    </div>
  );
}

interface EmptyStateProps {
  title: string;
  detail: string;
  children?: ReactNode;
}

export function EmptyState({ title, detail, children }: EmptyStateProps) {
  return (
    <div className="flex flex-col items-center gap-2 px-4 py-16 text-center">
      <Inbox aria-hidden className="size-8 text-muted" />
      <p className="text-base font-medium">{title}</p>
      <p className="max-w-md text-muted">{detail}</p>
      {children}
    </div>
  );
}

export function LoadingState({ rows = 6 }: { rows?: number }) {
  const { t } = useI18n();
  return (
    <div className="flex flex-col gap-3 p-4">
      <span role="status" className="sr-only">
        {t("loading")}
      </span>
      {Array.from({ length: rows }, (_, index) => (
        <Skeleton key={index} className="h-8" />
      ))}
    </div>
  );
}

export function Alert({ children }: { children: ReactNode }) {
  return (
    <div role="alert" className="rounded-md border border-danger bg-danger-tint px-4 py-3">
      {children}
    </div>
  );
}
