import { ListFilter, Plus } from "lucide-react";
import { useState } from "react";
import { Link, useSearchParams } from "react-router";

import { Filters } from "@/components/records/filters";
import { ListTable } from "@/components/records/list-table";
import { Pager } from "@/components/records/pager";
import { SearchBox } from "@/components/records/search-box";
import { Button } from "@/components/ui/button";
import { Card } from "@/components/ui/card";
import { Page } from "@/components/ui/page";
import { EmptyState, ErrorState, LoadingState } from "@/components/ui/states";
import { useUser } from "@/features/auth/user";
import { useI18n } from "@/i18n/context";
import type { Query } from "@/lib/api";
import type { Entity } from "@/lib/entity";
import { PAGE_SIZE, useRecords } from "@/lib/records";
import { may } from "@/lib/rights";

/** What the address says about a list: its filters are parameters of the API under their names. */
function queryOf(entity: Entity, parameters: URLSearchParams): Query {
  const query: Query = {};
  for (const name of filterNames(entity)) {
    const value = parameters.get(name);
    if (value) query[name] = value;
  }
  const page = Math.max(1, Math.floor(Number(parameters.get("page")) || 1));
  query.sort = parameters.get("sort") ?? "-created_at";
  query.limit = PAGE_SIZE;
  query.offset = (page - 1) * PAGE_SIZE;
  return query;
}

function filterNames(entity: Entity): string[] {
  const names = entity.fields.flatMap((field) =>
    (field.filters ?? []).map((operator) =>
      operator === "eq" ? field.name : `${field.name}__${operator}`,
    ),
  );
  return entity.lookup ? [entity.lookup, ...names] : names;
}

export function ListPage({ entity }: { entity: Entity }) {
  const { t, say } = useI18n();
  const user = useUser();
  const [parameters, setParameters] = useSearchParams();
  const query = queryOf(entity, parameters);
  const active = filterNames(entity).filter((name) => parameters.has(name));
  const [filtering, setFiltering] = useState(active.some((name) => name !== entity.lookup));
  const { data, error, isPlaceholderData, refetch } = useRecords(entity, query);

  const change = (changes: Record<string, string>) => {
    const next = new URLSearchParams(parameters);
    if (!("page" in changes)) next.delete("page");
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.set(name, value);
      else next.delete(name);
    }
    setParameters(next, { replace: true });
  };

  return (
    <Page
      title={say(entity.titles.plural)}
      actions={
        may(user, entity, "create") && (
          <Button asChild variant="primary">
            <Link to="new">
              <Plus aria-hidden />
              {t("create")}
            </Link>
          </Button>
        )
      }
    >
      <div className="flex flex-wrap gap-2">
        {entity.lookup !== null && (
          <SearchBox
            key={entity.path}
            value={parameters.get(entity.lookup) ?? ""}
            onChange={(words) => {
              if (entity.lookup) change({ [entity.lookup]: words });
            }}
          />
        )}
        <Button
          aria-expanded={filtering}
          aria-controls="filters"
          onClick={() => {
            setFiltering(!filtering);
          }}
        >
          <ListFilter aria-hidden />
          {t(filtering ? "hide_filters" : "filters")}
        </Button>
        {active.length > 0 && (
          <Button
            variant="ghost"
            onClick={() => {
              change(Object.fromEntries(active.map((name) => [name, ""])));
            }}
          >
            {t("clear_filters")}
          </Button>
        )}
      </div>
      <div id="filters" hidden={!filtering}>
        {filtering && <Filters entity={entity} parameters={parameters} onChange={change} />}
      </div>
      <Card className="overflow-hidden" aria-busy={isPlaceholderData}>
        {error && !data ? (
          <ErrorState error={error} onRetry={() => void refetch()} />
        ) : !data ? (
          <LoadingState />
        ) : data.items.length === 0 ? (
          <EmptyState
            title={t(active.length > 0 ? "empty_filtered" : "empty")}
            detail={t(active.length > 0 ? "empty_filtered_detail" : "empty_detail")}
          />
        ) : (
          <ListTable
            entity={entity}
            records={data.items}
            sort={String(query.sort)}
            onSort={(sort) => {
              change({ sort });
            }}
          />
        )}
        {data && (data.total > PAGE_SIZE || data.offset > 0) && (
          <Pager
            page={data}
            onChange={(page) => {
              change({ page: String(page) });
            }}
          />
        )}
      </Card>
    </Page>
  );
}
