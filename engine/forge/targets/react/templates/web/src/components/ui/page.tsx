import type { ReactNode } from "react";

interface PageProps {
  title: string;
  detail?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

export function Page({ title, detail, actions, children }: PageProps) {
  return (
    <div className="flex flex-col gap-5">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <div className="min-w-0">
          <h1 className="text-xl font-semibold wrap-anywhere">{title}</h1>
          {detail}
        </div>
        {actions !== undefined && <div className="flex flex-wrap gap-2">{actions}</div>}
      </div>
      {children}
    </div>
  );
}
