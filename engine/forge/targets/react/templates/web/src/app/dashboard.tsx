import { useQueries, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "react-router";

import { Card, Skeleton } from "@/components/ui/card";
import { Select } from "@/components/ui/input";
import { Page } from "@/components/ui/page";
import { EmptyState } from "@/components/ui/states";
import { entities } from "@/entities";
import { useUser } from "@/features/auth/user";
import { useI18n } from "@/i18n/context";
import { enumTitle } from "@/i18n/titles";
import type { Entity } from "@/lib/entity";
import { countOptions } from "@/lib/records";
import { valuesOf } from "@/lib/registry";
import { may } from "@/lib/rights";

const DAYS = 14;

/** How many records there are, in which states, and how many came lately. */
export function DashboardPage() {
  const { t } = useI18n();
  const user = useUser();
  const readable = entities.filter((entity) => may(user, entity, "read"));
  const first = readable[0];
  return (
    <Page title={t("dashboard")}>
      {first ? (
        <>
          <ul className="grid gap-3 sm:grid-cols-2 lg:grid-cols-3 xl:grid-cols-4">
            {readable.map((entity) => (
              <li key={entity.path}>
                <CountCard entity={entity} />
              </li>
            ))}
          </ul>
          <div className="grid items-start gap-4 lg:grid-cols-2">
            <Recent readable={readable} first={first} />
            {readable.map(
              (entity) => entity.lifecycle && <States key={entity.path} entity={entity} />,
            )}
          </div>
        </>
      ) : (
        <Card>
          <EmptyState title={t("empty")} detail={t("empty_detail")} />
        </Card>
      )}
    </Page>
  );
}

function CountCard({ entity }: { entity: Entity }) {
  const { say, formats } = useI18n();
  const { data, isError } = useQuery(countOptions(entity));
  return (
    <Link to={`/records/${entity.path}`} className="block rounded-lg">
      <Card className="px-5 py-4 transition-colors hover:border-line-strong">
        <p className="truncate text-muted">{say(entity.titles.plural)}</p>
        <p className="mt-1 text-2xl font-semibold tabular-nums">
          {data !== undefined ? (
            formats.number(data)
          ) : isError ? (
            "—"
          ) : (
            <Skeleton className="h-8 w-16" />
          )}
        </p>
      </Card>
    </Link>
  );
}

function States({ entity }: { entity: Entity }) {
  const { t, say, formats } = useI18n();
  const field = entity.lifecycle?.field ?? "";
  const states = valuesOf(entity.lifecycle?.enum);
  const counts = useQueries({
    queries: states.map((state) => countOptions(entity, { [field]: state })),
  });
  const most = Math.max(1, ...counts.map(({ data }) => data ?? 0));
  return (
    <Card className="flex flex-col gap-4 p-5">
      <h2 className="font-semibold">{`${say(entity.titles.plural)} · ${t("states")}`}</h2>
      <ul className="flex flex-col gap-3">
        {states.map((state, index) => {
          const count = counts[index]?.data;
          return (
            <li key={state}>
              <Link
                to={`/records/${entity.path}?${field}=${state}`}
                className="grid grid-cols-[8rem_1fr_3rem] items-center gap-3 rounded-sm"
              >
                <span className="truncate">{say(enumTitle(entity.lifecycle?.enum, state))}</span>
                <span aria-hidden className="h-2 overflow-hidden rounded-full bg-sunken">
                  <span
                    className="block h-full rounded-full bg-primary"
                    style={{ width: `${((count ?? 0) / most) * 100}%` }}
                  />
                </span>
                <span className="text-end tabular-nums">
                  {count === undefined ? "…" : formats.number(count)}
                </span>
              </Link>
            </li>
          );
        })}
      </ul>
    </Card>
  );
}

/** The days up to today where the person is, oldest first. */
function lastDays(): Date[] {
  const today = new Date();
  return Array.from(
    { length: DAYS },
    (_, index) =>
      new Date(today.getFullYear(), today.getMonth(), today.getDate() - DAYS + 1 + index),
  );
}

function dayQuery(day: Date) {
  const next = new Date(day.getFullYear(), day.getMonth(), day.getDate() + 1);
  const last = new Date(next.getTime() - 1).toISOString().replace("Z", "999Z");
  return { created_at__gte: day.toISOString(), created_at__lte: last };
}

function Recent({ readable, first }: { readable: readonly Entity[]; first: Entity }) {
  const { t, say, formats } = useI18n();
  const [path, setPath] = useState(first.path);
  const entity = readable.find((each) => each.path === path) ?? first;
  const days = lastDays();
  const counts = useQueries({ queries: days.map((day) => countOptions(entity, dayQuery(day))) });
  const most = Math.max(1, ...counts.map(({ data }) => data ?? 0));
  return (
    <Card className="flex flex-col gap-4 p-5">
      <div className="flex flex-wrap items-center justify-between gap-2">
        <h2 className="font-semibold">{t("recent")}</h2>
        <Select
          className="w-auto"
          aria-label={t("records")}
          value={path}
          onChange={(event) => {
            setPath(event.target.value);
          }}
        >
          {readable.map((each) => (
            <option key={each.path} value={each.path}>
              {say(each.titles.plural)}
            </option>
          ))}
        </Select>
      </div>
      <ol className="flex h-40 items-end gap-1.5">
        {days.map((day, index) => {
          const count = counts[index]?.data ?? 0;
          const text = t("recent_of", { count: formats.number(count), day: formats.day(day) });
          return (
            <li key={day.getTime()} title={text} className="flex h-full flex-1 items-end">
              <span className="sr-only">{text}</span>
              <span
                aria-hidden
                className={count > 0 ? "w-full rounded-t-sm bg-primary" : "w-full bg-line"}
                style={{ height: count > 0 ? `${(count / most) * 100}%` : "2px" }}
              />
            </li>
          );
        })}
      </ol>
      <p aria-hidden className="flex justify-between text-muted">
        <span>{days[0] && formats.day(days[0])}</span>
        <span>{formats.day(new Date())}</span>
      </p>
    </Card>
  );
}
