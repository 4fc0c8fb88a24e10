import { useId } from "react";
import type { ReactNode } from "react";

export interface ControlProps {
  id: string;
  "aria-invalid"?: true;
  "aria-describedby"?: string;
  "aria-required"?: true;
}

interface LabelledProps {
  label: string;
  error?: string | undefined;
  hint?: string | undefined;
  required?: boolean | undefined;
  children: (control: ControlProps) => ReactNode;
}

/** A control with its label, its hint and what is wrong with it, tied together for every reader. */
export function Labelled({ label, error, hint, required, children }: LabelledProps) {
  const id = useId();
  const note = error ?? hint;
  const control: ControlProps = {
    id,
    ...(error === undefined ? {} : { "aria-invalid": true }),
    ...(note === undefined ? {} : { "aria-describedby": `${id}-note` }),
    ...(required ? { "aria-required": true } : {}),
  };
  return (
    <div className="flex flex-col gap-1.5">
      <label htmlFor={id} className="w-fit font-medium">
        {label}
        {required && (
          <span aria-hidden className="ms-1 text-danger">
            *
          </span>
        )}
      </label>
      {children(control)}
      {note !== undefined && (
        <p id={`${id}-note`} className={error === undefined ? "text-muted" : "text-danger"}>
          {note}
        </p>
      )}
    </div>
  );
}
