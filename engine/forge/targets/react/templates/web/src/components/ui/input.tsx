import { ChevronDown } from "lucide-react";
import type { ComponentProps } from "react";

import { cn } from "@/lib/classes";

const LOOKS =
  "w-full min-w-0 rounded-md border border-line-strong bg-surface px-3 text-ink " +
  "placeholder:text-muted disabled:opacity-60 aria-invalid:border-danger";

export function Input({ className, ...props }: ComponentProps<"input">) {
  return <input className={cn(LOOKS, "h-9", className)} {...props} />;
}

export function Textarea({ className, ...props }: ComponentProps<"textarea">) {
  return <textarea rows={4} className={cn(LOOKS, "py-2", className)} {...props} />;
}

/** The browser's own list: it is at home on every device and needs no script. */
export function Select({ className, ...props }: ComponentProps<"select">) {
  return (
    <div className={cn("relative w-full", className)}>
      <select className={cn(LOOKS, "h-9 appearance-none pe-9")} {...props} />
      <ChevronDown
        aria-hidden
        className="pointer-events-none absolute inset-y-0 end-3 my-auto size-4 text-muted"
      />
    </div>
  );
}

export function Checkbox({ className, ...props }: ComponentProps<"input">) {
  return <input type="checkbox" className={cn("size-4 accent-primary", className)} {...props} />;
}
