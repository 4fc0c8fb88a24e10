import type { ReactNode } from "react";

import { Preferences } from "@/app/preferences";
import { Card } from "@/components/ui/card";
import { useI18n } from "@/i18n/context";
import { platform } from "@/platform";

interface FrameProps {
  title: string;
  detail: string;
  children: ReactNode;
}

/** The page around signing in and up. */
export function Frame({ title, detail, children }: FrameProps) {
  const { say } = useI18n();
  return (
    <main className="flex min-h-dvh flex-col items-center justify-center gap-6 p-4">
      <p className="text-lg font-semibold">{say(platform.title)}</p>
      <Card className="flex w-full max-w-sm flex-col gap-5 p-6 shadow-sm">
        <div>
          <h1 className="text-xl font-semibold">{title}</h1>
          <p className="mt-1 text-muted">{detail}</p>
        </div>
        {children}
      </Card>
      <Preferences />
    </main>
  );
}
