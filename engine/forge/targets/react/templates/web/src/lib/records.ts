import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { UseQueryResult } from "@tanstack/react-query";

import { Problem, request } from "@/lib/api";
import type { Page, Query } from "@/lib/api";
import type { AnyRecord, Entity } from "@/lib/entity";

export const PAGE_SIZE = 20;

function listOf(entity: Entity, query: Query, signal: AbortSignal): Promise<Page<AnyRecord>> {
  return request(entity.path, { query, signal }) as Promise<Page<AnyRecord>>;
}

export function useRecords(entity: Entity, query: Query, enabled = true) {
  return useQuery({
    queryKey: [entity.path, "list", query],
    queryFn: ({ signal }) => listOf(entity, query, signal),
    placeholderData: keepPreviousData,
    enabled,
  });
}

/** How many records a list would have. */
export function countOptions(entity: Entity, query: Query = {}) {
  return {
    queryKey: [entity.path, "count", query],
    queryFn: async ({ signal }: { signal: AbortSignal }) =>
      (await listOf(entity, { ...query, limit: 1 }, signal)).total,
  };
}

export function useRecord(
  entity: Entity,
  id: string | undefined,
  enabled = true,
): UseQueryResult<AnyRecord> {
  return useQuery({
    queryKey: [entity.path, "one", id],
    queryFn: ({ signal }) =>
      request(`${entity.path}/${encodeURIComponent(id ?? "")}`, { signal }) as Promise<AnyRecord>,
    enabled: enabled && id !== undefined,
    staleTime: 60_000,
    retry: (count, error) => !(error instanceof Problem) && count < 2,
  });
}

export type Change =
  | { kind: "create"; body: unknown }
  | { kind: "update"; id: string; body: unknown }
  | { kind: "delete"; id: string }
  | { kind: "move"; id: string; transition: string };

/** Changes a record; afterwards, whatever was read may be out of date. */
export function useChange(entity: Entity) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (change: Change) => send(entity, change) as Promise<AnyRecord | undefined>,
    onSuccess: async (record, change) => {
      if (change.kind === "delete") {
        client.removeQueries({ queryKey: [entity.path, "one", change.id] });
      } else if (record) {
        client.setQueryData([entity.path, "one", record.id], record);
      }
      await client.invalidateQueries({ predicate: ({ queryKey }) => queryKey[1] !== "one" });
    },
  });
}

function send(entity: Entity, change: Change): Promise<unknown> {
  switch (change.kind) {
    case "create":
      return request(entity.path, { method: "POST", body: change.body });
    case "update":
      return request(`${entity.path}/${change.id}`, { method: "PATCH", body: change.body });
    case "delete":
      return request(`${entity.path}/${change.id}`, { method: "DELETE" });
    case "move":
      return request(`${entity.path}/${change.id}/transitions/${change.transition}`, {
        method: "POST",
      });
  }
}
