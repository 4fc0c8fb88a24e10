import { Picker } from "@/components/records/picker";
import { Checkbox, Input, Select, Textarea } from "@/components/ui/input";
import type { ControlProps } from "@/components/ui/labelled";
import { useI18n } from "@/i18n/context";
import { enumTitle } from "@/i18n/titles";
import type { Field, FieldKind } from "@/lib/entity";
import type { Input as Value } from "@/lib/form";
import { valuesOf } from "@/lib/registry";

const TYPES: Partial<Record<FieldKind, string>> = {
  date: "date",
  time: "time",
  instant: "datetime-local",
  email: "email",
  phone: "tel",
  url: "url",
};
const LEFT_TO_RIGHT: readonly FieldKind[] = ["email", "phone", "url", "slug", "uuid", "duration"];

interface FieldControlProps {
  field: Field;
  value: Value;
  onChange: (value: Value) => void;
  control: ControlProps;
}

/** The control that fits the kind of a field. */
export function FieldControl({ field, value, onChange, control }: FieldControlProps) {
  const text = typeof value === "string" ? value : "";
  switch (field.kind) {
    case "boolean":
      return (
        <Checkbox
          id={control.id}
          checked={value === true}
          onChange={(event) => {
            onChange(event.target.checked);
          }}
        />
      );
    case "enum":
      return (
        <EnumSelect
          field={field}
          value={text}
          empty={field.required ? undefined : "—"}
          onChange={onChange}
          control={control}
        />
      );
    case "relation":
      return (
        <Picker
          target={field.target}
          ids={text ? [text] : []}
          many={false}
          onChange={(ids) => {
            onChange(ids[0] ?? "");
          }}
          control={control}
        />
      );
    case "relations":
      return (
        <Picker
          target={field.target}
          ids={Array.isArray(value) ? value : []}
          many
          onChange={onChange}
          control={control}
        />
      );
    case "text":
    case "json":
      return (
        <Textarea
          {...control}
          dir={field.kind === "json" ? "ltr" : "auto"}
          value={text}
          onChange={(event) => {
            onChange(event.target.value);
          }}
        />
      );
    default:
      return (
        <Input
          {...control}
          type={field.writeOnly ? "password" : (TYPES[field.kind] ?? "text")}
          {...(field.writeOnly ? { autoComplete: "new-password" } : {})}
          {...(["integer", "decimal", "money"].includes(field.kind)
            ? { inputMode: "decimal" as const }
            : {})}
          {...(field.kind === "string" ? { dir: "auto" } : {})}
          {...(LEFT_TO_RIGHT.includes(field.kind) ? { dir: "ltr" } : {})}
          value={text}
          onChange={(event) => {
            onChange(event.target.value);
          }}
        />
      );
  }
}

interface EnumSelectProps {
  field: Field;
  value: string;
  /** The text of the choice that stands for no value; without it there is none once one is set. */
  empty: string | undefined;
  onChange: (value: string) => void;
  control: { id: string };
}

export function EnumSelect({ field, value, empty, onChange, control }: EnumSelectProps) {
  const { say } = useI18n();
  const values = valuesOf(field.enum);
  return (
    <Select
      {...control}
      value={value}
      onChange={(event) => {
        onChange(event.target.value);
      }}
    >
      {(empty !== undefined || value === "") && <option value="">{empty ?? "—"}</option>}
      {values.map((each) => (
        <option key={each} value={each}>
          {say(enumTitle(field.enum, each))}
        </option>
      ))}
    </Select>
  );
}
