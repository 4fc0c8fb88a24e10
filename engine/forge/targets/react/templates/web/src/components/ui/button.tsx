import { Slot } from "radix-ui";
import type { ComponentProps } from "react";

import { cn } from "@/lib/classes";

const VARIANTS = {
  primary: "bg-primary text-on-primary hover:bg-primary-strong",
  outline: "border border-line-strong bg-surface text-ink hover:bg-sunken",
  ghost: "text-ink hover:bg-sunken",
  danger: "bg-danger text-on-danger hover:opacity-90",
};

interface ButtonProps extends ComponentProps<"button"> {
  variant?: keyof typeof VARIANTS;
  size?: "default" | "small" | "icon";
  /** Lends the looks to its only child, such as a link. */
  asChild?: boolean;
}

export function Button({
  variant = "outline",
  size = "default",
  asChild = false,
  className,
  ...props
}: ButtonProps) {
  const Element = asChild ? Slot.Root : "button";
  return (
    <Element
      {...(asChild ? {} : { type: "button" })}
      className={cn(
        "inline-flex items-center justify-center gap-2 rounded-md font-medium whitespace-nowrap",
        "transition-colors disabled:opacity-60 [&_svg]:size-4 [&_svg]:shrink-0",
        size === "default" && "h-9 px-3.5",
        size === "small" && "h-8 px-2.5",
        size === "icon" && "size-9",
        VARIANTS[variant],
        className,
      )}
      {...props}
    />
  );
}
