import { useState } from "react";

import { EnumSelect } from "@/components/records/controls";
import { useFieldLabel } from "@/components/records/field-label";
import { Picker } from "@/components/records/picker";
import { Card } from "@/components/ui/card";
import { Input, Select } from "@/components/ui/input";
import { Labelled } from "@/components/ui/labelled";
import { useI18n } from "@/i18n/context";
import type { Entity, Field, Operator } from "@/lib/entity";
import { latinDigits } from "@/lib/validation";

interface FiltersProps {
  entity: Entity;
  parameters: URLSearchParams;
  onChange: (changes: Record<string, string>) => void;
}

/** One control for each way in which the list can be narrowed. */
export function Filters({ entity, parameters, onChange }: FiltersProps) {
  const { t } = useI18n();
  const label = useFieldLabel(entity);
  const wanted = entity.fields.flatMap((field) =>
    operatorsOf(field).map((operator) => ({ field, operator })),
  );
  return (
    <Card className="grid gap-4 p-4 sm:grid-cols-2 lg:grid-cols-3 xl:grid-cols-4">
      {wanted.map(({ field, operator }) => {
        const name = operator === "eq" ? field.name : `${field.name}__${operator}`;
        const suffix = { eq: "", gte: t("from"), lte: t("to"), contains: t("contains") }[operator];
        return (
          <Labelled key={name} label={`${label(field.name)} ${suffix}`.trim()}>
            {(control) => (
              <FilterControl
                field={field}
                operator={operator}
                control={control}
                value={parameters.get(name) ?? ""}
                onChange={(value) => {
                  onChange({ [name]: value });
                }}
              />
            )}
          </Labelled>
        );
      })}
    </Card>
  );
}

/** Ranges and parts of a text say more than equality, where there are both. */
function operatorsOf(field: Field): readonly Operator[] {
  const operators = field.filters ?? [];
  return operators.length > 1 ? operators.filter((each) => each !== "eq") : operators;
}

interface FilterControlProps {
  field: Field;
  operator: Operator;
  value: string;
  onChange: (value: string) => void;
  control: { id: string };
}

function FilterControl({ field, operator, value, onChange, control }: FilterControlProps) {
  const { t } = useI18n();
  switch (field.kind) {
    case "enum":
    case "state":
      return (
        <EnumSelect
          field={field}
          value={value}
          empty={t("any")}
          onChange={onChange}
          control={control}
        />
      );
    case "boolean":
      return (
        <Select
          {...control}
          value={value}
          onChange={(event) => {
            onChange(event.target.value);
          }}
        >
          <option value="">{t("any")}</option>
          <option value="true">{t("yes")}</option>
          <option value="false">{t("no")}</option>
        </Select>
      );
    case "relation":
      return (
        <Picker
          target={field.target}
          ids={value ? [value] : []}
          many={false}
          onChange={(ids) => {
            onChange(ids[0] ?? "");
          }}
          control={control}
        />
      );
    case "instant":
      return (
        <Input
          {...control}
          type="date"
          value={value ? localDay(new Date(value)) : ""}
          onChange={(event) => {
            onChange(event.target.value && edgeOfDay(event.target.value, operator));
          }}
        />
      );
    default:
      return <TypedFilter {...{ field, operator, value, onChange, control }} />;
  }
}

const INPUT_TYPES: Partial<Record<Field["kind"], string>> = { date: "date", time: "time" };

/** Applied when the person leaves it or presses Enter, and only when the API would take it. */
function TypedFilter({ field, value, onChange, control }: FilterControlProps) {
  const [draft, setDraft] = useState(value);
  const [seen, setSeen] = useState(value);
  if (value !== seen) {
    setSeen(value);
    setDraft(value);
  }
  const numeric = ["integer", "decimal", "money"].includes(field.kind);
  const apply = () => {
    const typed = numeric ? latinDigits(draft.trim()) : draft.trim();
    const fits = !numeric || /^(-?[0-9]+(\.[0-9]+)?)?$/.test(typed);
    if (fits && typed !== value) onChange(typed);
  };
  return (
    <Input
      {...control}
      type={INPUT_TYPES[field.kind] ?? "text"}
      {...(numeric ? { inputMode: "decimal" as const } : {})}
      maxLength={200}
      value={draft}
      onChange={(event) => {
        setDraft(event.target.value);
      }}
      onBlur={apply}
      onKeyDown={(event) => {
        if (event.key === "Enter") apply();
      }}
    />
  );
}

function localDay(moment: Date): string {
  return Number.isNaN(moment.getTime()) ? "" : moment.toLocaleDateString("en-CA");
}

/** The first or the last moment of a day where the person is, as the API compares with it. */
function edgeOfDay(day: string, operator: Operator): string {
  const last = operator === "lte";
  const moment = new Date(`${day}T${last ? "23:59:59.999" : "00:00:00"}`);
  return last ? moment.toISOString().replace("Z", "999Z") : moment.toISOString();
}
