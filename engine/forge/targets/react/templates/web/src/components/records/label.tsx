import { Link } from "react-router";

import { useUser } from "@/features/auth/user";
import { useI18n } from "@/i18n/context";
import type { I18n } from "@/i18n/context";
import { enumTitle } from "@/i18n/titles";
import { findEntity } from "@/lib/registry";
import type { AnyRecord, Entity } from "@/lib/entity";
import { useRecord } from "@/lib/records";
import { may } from "@/lib/rights";
import { formatValue } from "@/components/records/values";

/** What tells a person which record it is. */
export function labelOf(i18n: I18n, entity: Entity, record: AnyRecord): string {
  const value = record[entity.display];
  const field = entity.fields.find((each) => each.name === entity.display);
  if (!field || value === null || value === undefined || value === "") {
    return `${i18n.say(entity.titles.title)} ${record.id.slice(-8)}`;
  }
  if (field.enum) return i18n.say(enumTitle(field.enum, value));
  return formatValue(i18n.formats, field, value);
}

interface RecordLabelProps {
  target: string | undefined;
  id: string;
  link?: boolean;
}

/** The label of a record that another one refers to; its id where the user may not read it. */
export function RecordLabel({ target, id, link = false }: RecordLabelProps) {
  const i18n = useI18n();
  const user = useUser();
  const entity = findEntity(target);
  const readable = may(user, entity, "read");
  const { data } = useRecord(entity, id, readable);
  const label = data ? labelOf(i18n, entity, data) : `#${id.slice(-8)}`;
  if (!link || !data) return <bdi>{label}</bdi>;
  return (
    <Link
      to={`/records/${entity.path}/${id}`}
      className="text-primary underline-offset-2 hover:underline"
    >
      <bdi>{label}</bdi>
    </Link>
  );
}
