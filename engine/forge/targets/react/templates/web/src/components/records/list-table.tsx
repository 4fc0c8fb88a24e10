import { ArrowDown, ArrowUp, ChevronsUpDown } from "lucide-react";
import { Link } from "react-router";

import { labelOf } from "@/components/records/label";
import { useFieldLabel } from "@/components/records/field-label";
import { FieldValue } from "@/components/records/values";
import { useI18n } from "@/i18n/context";
import { cn } from "@/lib/classes";
import type { AnyRecord, Entity, Field } from "@/lib/entity";

const NUMERIC = ["integer", "decimal", "money"];

const CREATED: Field = { name: "created_at", kind: "instant", sortable: true };

interface ListTableProps {
  entity: Entity;
  records: readonly AnyRecord[];
  sort: string;
  onSort: (sort: string) => void;
}

export function ListTable({ entity, records, sort, onSort }: ListTableProps) {
  const i18n = useI18n();
  const label = useFieldLabel(entity);
  const fields = [...entity.fields.filter((field) => field.column), CREATED];
  const display = fields.find((field) => field.name === entity.display);
  const columns = display ? fields.filter((field) => field !== display) : fields;
  return (
    // A table that is wider than the screen is scrolled, by keyboard too.
    <div
      role="region"
      aria-label={i18n.say(entity.titles.plural)}
      tabIndex={0}
      className="overflow-x-auto"
    >
      <table className="w-full text-start">
        <thead className="border-b border-line bg-sunken">
          <tr>
            <Header
              label={display ? label(display.name) : i18n.say(entity.titles.title)}
              name={display?.sortable ? display.name : undefined}
              sort={sort}
              onSort={onSort}
            />
            {columns.map((field) => (
              <Header
                key={field.name}
                label={label(field.name)}
                name={field.sortable ? field.name : undefined}
                numeric={NUMERIC.includes(field.kind)}
                sort={sort}
                onSort={onSort}
              />
            ))}
          </tr>
        </thead>
        <tbody className="divide-y divide-line">
          {records.map((record) => (
            <tr key={record.id} className="hover:bg-sunken/60">
              <th scope="row" className="max-w-72 truncate px-4 py-2.5 text-start font-medium">
                <Link
                  to={`/records/${entity.path}/${record.id}`}
                  className="text-primary underline-offset-2 hover:underline"
                >
                  <bdi>{labelOf(i18n, entity, record)}</bdi>
                </Link>
              </th>
              {columns.map((field) => (
                <td
                  key={field.name}
                  className={cn(
                    "max-w-72 truncate px-4 py-2.5 whitespace-nowrap",
                    NUMERIC.includes(field.kind) && "text-end tabular-nums",
                  )}
                >
                  <FieldValue field={field} value={record[field.name]} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface HeaderProps {
  label: string;
  /** The key by which the list can be sorted here, if it can. */
  name: string | undefined;
  numeric?: boolean;
  sort: string;
  onSort: (sort: string) => void;
}

function Header({ label, name, numeric = false, sort, onSort }: HeaderProps) {
  const { t } = useI18n();
  const direction = sort === name ? "ascending" : sort === `-${name ?? ""}` ? "descending" : null;
  const look = cn("px-4 py-2.5 font-medium whitespace-nowrap", numeric ? "text-end" : "text-start");
  if (!name) {
    return (
      <th scope="col" className={look}>
        {label}
      </th>
    );
  }
  const Icon = { ascending: ArrowUp, descending: ArrowDown, none: ChevronsUpDown }[
    direction ?? "none"
  ];
  return (
    <th scope="col" className={look} {...(direction ? { "aria-sort": direction } : {})}>
      <button
        type="button"
        title={t("sort_by", { field: label })}
        className="inline-flex items-center gap-1.5 rounded-sm hover:text-primary"
        onClick={() => {
          onSort(direction === "ascending" ? `-${name}` : name);
        }}
      >
        {label}
        <Icon aria-hidden className={cn("size-3.5", !direction && "text-muted")} />
      </button>
    </th>
  );
}
