import { Check, Minus } from "lucide-react";

import { Badge } from "@/components/ui/card";
import { RecordLabel } from "@/components/records/label";
import { useI18n } from "@/i18n/context";
import type { Formats } from "@/i18n/formats";
import { enumTitle } from "@/i18n/titles";
import type { Field } from "@/lib/entity";
import { textOf } from "@/lib/text";

/** A value of a record as a person reads it. */
export function FieldValue({ field, value }: { field: Field; value: unknown }) {
  const { t, say, formats } = useI18n();
  if (value === null || value === undefined || value === "") {
    return (
      <span className="text-muted" aria-hidden>
        —
      </span>
    );
  }
  switch (field.kind) {
    case "boolean": {
      const Icon = value === true ? Check : Minus;
      return (
        <span className="inline-flex items-center gap-1.5">
          <Icon aria-hidden className="size-4 text-muted" />
          {t(value === true ? "yes" : "no")}
        </span>
      );
    }
    case "state":
      return <Badge>{say(enumTitle(field.enum, value))}</Badge>;
    case "enum":
      return say(enumTitle(field.enum, value));
    case "relation":
      return <RecordLabel target={field.target} id={textOf(value)} link />;
    case "relations":
      return <Links target={field.target} ids={value as string[]} />;
    case "url":
      return (
        <a
          href={textOf(value)}
          rel="noreferrer"
          target="_blank"
          dir="ltr"
          className="text-primary underline underline-offset-2 wrap-anywhere"
        >
          {textOf(value)}
        </a>
      );
    case "json":
      return (
        <pre dir="ltr" className="overflow-x-auto rounded-md bg-sunken p-3 text-start">
          {JSON.stringify(value, null, 2)}
        </pre>
      );
    case "email":
    case "phone":
    case "uuid":
    case "slug":
      return <bdi dir="ltr">{textOf(value)}</bdi>;
    case "text":
      return <bdi className="whitespace-pre-line">{textOf(value)}</bdi>;
    default:
      return <bdi>{formatValue(formats, field, value)}</bdi>;
  }
}

/** The value as plain text, for labels and titles. */
export function formatValue(formats: Formats, field: Field, value: unknown): string {
  const text = textOf(value);
  switch (field.kind) {
    case "integer":
      return formats.number(Number(value));
    case "decimal":
      return formats.decimal(text);
    case "money":
      return field.currency ? formats.money(text, field.currency) : formats.decimal(text);
    case "date":
      return formats.date(text);
    case "time":
      return formats.time(text);
    case "instant":
      return formats.instant(text);
    case "duration":
      return formats.duration(text);
    default:
      return text;
  }
}

function Links({ target, ids }: { target: string | undefined; ids: string[] }) {
  return (
    <span className="flex flex-wrap gap-x-3 gap-y-1">
      {ids.map((id) => (
        <RecordLabel key={id} target={target} id={id} link />
      ))}
    </span>
  );
}
