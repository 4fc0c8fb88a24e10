import { useRef, useState } from "react";
import type { SubmitEvent } from "react";
import { Link, useNavigate } from "react-router";

import { FieldControl } from "@/components/records/controls";
import { BackLink } from "@/components/records/detail-page";
import { useFieldLabel } from "@/components/records/field-label";
import { labelOf } from "@/components/records/label";
import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/card";
import { Labelled } from "@/components/ui/labelled";
import { useNotice } from "@/components/ui/notice-context";
import { Page } from "@/components/ui/page";
import { Alert, ErrorState, LoadingState, useExplain } from "@/components/ui/states";
import { useI18n } from "@/i18n/context";
import { Problem } from "@/lib/api";
import type { AnyRecord, Entity } from "@/lib/entity";
import { changedFields, check, formFields, inputsOf, issuesOf } from "@/lib/form";
import type { Input, Issues } from "@/lib/form";
import { useChange, useRecord } from "@/lib/records";

export function CreatePage({ entity }: { entity: Entity }) {
  const { t, say } = useI18n();
  return (
    <Page
      title={t("new_record", { kind: say(entity.titles.title) })}
      detail={<BackLink entity={entity} />}
    >
      <RecordForm entity={entity} record={undefined} />
    </Page>
  );
}

export function EditPage({ entity, id }: { entity: Entity; id: string }) {
  const i18n = useI18n();
  const { data, error, refetch } = useRecord(entity, id);
  if (!data && error) return <ErrorState error={error} onRetry={() => void refetch()} />;
  if (!data) return <LoadingState />;
  return (
    <Page title={labelOf(i18n, entity, data)} detail={<BackLink entity={entity} />}>
      <RecordForm key={data.id} entity={entity} record={data} />
    </Page>
  );
}

function RecordForm({ entity, record }: { entity: Entity; record: AnyRecord | undefined }) {
  const { t } = useI18n();
  const navigate = useNavigate();
  const tell = useNotice();
  const explain = useExplain();
  const change = useChange(entity);
  const form = useRef<HTMLFormElement>(null);
  const [before] = useState(() => inputsOf(entity, record));
  const [inputs, setInputs] = useState(before);
  const [issues, setIssues] = useState<Issues>({});
  const home = `/records/${entity.path}`;

  const show = (found: Issues) => {
    setIssues(found);
    // After the fields have been marked.
    requestAnimationFrame(() => {
      form.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus();
    });
  };

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    // Only what was changed is sent: what somebody else changed meanwhile stays.
    const names = record ? changedFields(before, inputs) : Object.keys(inputs);
    if (names.length === 0 && record) {
      await navigate(`${home}/${record.id}`);
      return;
    }
    const checked = check(entity, inputs, names);
    if (checked.issues) {
      show(checked.issues);
      return;
    }
    const { body } = checked;
    try {
      const saved = await change.mutateAsync(
        record ? { kind: "update", id: record.id, body } : { kind: "create", body },
      );
      tell(t(record ? "saved" : "created"));
      await navigate(saved ? `${home}/${saved.id}` : home);
    } catch (error) {
      const known = error instanceof Problem && error.status !== 404;
      show(known ? issuesOf(error, Object.keys(inputs)) : { "": { message: explain(error) } });
    }
  };

  return (
    <form ref={form} noValidate onSubmit={(event) => void submit(event)}>
      <Card className="flex max-w-3xl flex-col gap-5 p-5 sm:p-6">
        <FormIssues issues={issues} />
        <FormFields
          entity={entity}
          inputs={inputs}
          issues={issues}
          onChange={(name, value) => {
            setInputs({ ...inputs, [name]: value });
          }}
        />
        <div className="flex gap-2 border-t border-line pt-5">
          <Button type="submit" variant="primary" disabled={change.isPending}>
            {t("save")}
          </Button>
          <Button asChild>
            <Link to={record ? `${home}/${record.id}` : home}>{t("cancel")}</Link>
          </Button>
        </div>
      </Card>
    </form>
  );
}

function FormIssues({ issues }: { issues: Issues }) {
  const { t, message } = useI18n();
  if (Object.keys(issues).length === 0) return null;
  const whole = issues[""];
  return <Alert>{whole ? message(whole.message, whole.params) : t("error_form")}</Alert>;
}

interface FormFieldsProps {
  entity: Entity;
  inputs: Record<string, Input>;
  issues: Issues;
  onChange: (name: string, value: Input) => void;
}

function FormFields({ entity, inputs, issues, onChange }: FormFieldsProps) {
  const { message } = useI18n();
  const label = useFieldLabel(entity);
  return formFields(entity).map((field) => {
    const issue = issues[field.name];
    return (
      <Labelled
        key={field.name}
        label={field.currency ? `${label(field.name)} (${field.currency})` : label(field.name)}
        required={field.required && field.kind !== "boolean"}
        error={issue && message(issue.message, issue.params)}
      >
        {(control) => (
          <FieldControl
            field={field}
            value={inputs[field.name] ?? ""}
            onChange={(value) => {
              onChange(field.name, value);
            }}
            control={control}
          />
        )}
      </Labelled>
    );
  });
}
