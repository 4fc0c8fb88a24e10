import { ArrowLeft, Pencil, Trash2 } from "lucide-react";
import { useState } from "react";
import { Link, useNavigate } from "react-router";

import { useFieldLabel } from "@/components/records/field-label";
import { labelOf } from "@/components/records/label";
import { FieldValue } from "@/components/records/values";
import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/card";
import { Confirm } from "@/components/ui/dialog";
import { useNotice } from "@/components/ui/notice-context";
import { Page } from "@/components/ui/page";
import { Alert, ErrorState, LoadingState, useExplain } from "@/components/ui/states";
import { useUser } from "@/features/auth/user";
import { useI18n } from "@/i18n/context";
import type { AnyRecord, Entity, Field } from "@/lib/entity";
import { useChange, useRecord } from "@/lib/records";
import { may, openTransitions } from "@/lib/rights";

const DATES: readonly Field[] = [
  { name: "created_at", kind: "instant" },
  { name: "updated_at", kind: "instant" },
];

export function DetailPage({ entity, id }: { entity: Entity; id: string }) {
  const { data, error, refetch } = useRecord(entity, id);
  if (data) return <Detail entity={entity} record={data} />;
  if (error) return <ErrorState error={error} onRetry={() => void refetch()} />;
  return <LoadingState />;
}

function Detail({ entity, record }: { entity: Entity; record: AnyRecord }) {
  const i18n = useI18n();
  const label = useFieldLabel(entity);
  const explain = useExplain();
  const change = useChange(entity);
  const fields = [...entity.fields.filter((field) => !field.writeOnly), ...DATES];
  return (
    <Page
      title={labelOf(i18n, entity, record)}
      detail={<BackLink entity={entity} />}
      actions={<Actions entity={entity} record={record} change={change} />}
    >
      {change.error && <Alert>{explain(change.error)}</Alert>}
      <Card>
        <dl className="divide-y divide-line">
          {fields.map((field) => (
            <div
              key={field.name}
              className="grid gap-1 px-5 py-3 sm:grid-cols-[14rem_1fr] sm:gap-4"
            >
              <dt className="text-muted">{label(field.name)}</dt>
              <dd className="min-w-0 wrap-anywhere">
                <FieldValue field={field} value={record[field.name]} />
              </dd>
            </div>
          ))}
        </dl>
      </Card>
    </Page>
  );
}

export function BackLink({ entity }: { entity: Entity }) {
  const { say } = useI18n();
  return (
    <Link
      to={`/records/${entity.path}`}
      className="mt-0.5 inline-flex items-center gap-1 text-muted hover:text-ink"
    >
      <ArrowLeft aria-hidden className="size-3.5 rtl:rotate-180" />
      {say(entity.titles.plural)}
    </Link>
  );
}

interface ActionsProps {
  entity: Entity;
  record: AnyRecord;
  change: ReturnType<typeof useChange>;
}

function Actions({ entity, record, change }: ActionsProps) {
  const i18n = useI18n();
  const { t, say } = i18n;
  const user = useUser();
  const navigate = useNavigate();
  const tell = useNotice();
  const [asking, setAsking] = useState(false);
  return (
    <>
      {openTransitions(user, entity, record).map((move) => (
        <Button
          key={move.name}
          variant="primary"
          disabled={change.isPending}
          onClick={() => {
            change.mutate(
              { kind: "move", id: record.id, transition: move.name },
              {
                onSuccess: () => {
                  tell(t("saved"));
                },
              },
            );
          }}
        >
          {say(entity.titles.transitions[move.name])}
        </Button>
      ))}
      {may(user, entity, "update", record) && (
        <Button asChild>
          <Link to="edit">
            <Pencil aria-hidden />
            {t("change")}
          </Link>
        </Button>
      )}
      {may(user, entity, "delete", record) && (
        <Button
          disabled={change.isPending}
          onClick={() => {
            setAsking(true);
          }}
        >
          <Trash2 aria-hidden />
          {t("delete")}
        </Button>
      )}
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title={t("confirm_delete")}
        detail={t("confirm_delete_detail", { name: labelOf(i18n, entity, record) })}
        action={t("delete")}
        onConfirm={() => {
          change.mutate(
            { kind: "delete", id: record.id },
            {
              onSuccess: () => {
                tell(t("deleted"));
                void navigate(`/records/${entity.path}`);
              },
            },
          );
        }}
      />
    </>
  );
}
