import { useCallback, useMemo, useRef, useState } from "react";
import type { ReactNode } from "react";

import { NoticeContext } from "@/components/ui/notice-context";

const SHOWN_FOR = 5_000;

/** Short messages about what was done, read aloud and gone after a while. */
export function Notices({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<readonly { id: number; text: string }[]>([]);
  const next = useRef(0);
  const tell = useCallback((text: string) => {
    const id = next.current++;
    setShown((before) => [...before, { id, text }]);
    setTimeout(() => {
      setShown((before) => before.filter((notice) => notice.id !== id));
    }, SHOWN_FOR);
  }, []);
  const value = useMemo(() => ({ tell }), [tell]);
  return (
    <NoticeContext value={value}>
      {children}
      <div
        role="status"
        className="pointer-events-none fixed inset-x-4 bottom-4 z-50 flex flex-col items-end gap-2"
      >
        {shown.map(({ id, text }) => (
          <p key={id} className="rounded-md bg-ink px-4 py-2.5 text-canvas shadow-lg">
            {text}
          </p>
        ))}
      </div>
    </NoticeContext>
  );
}
