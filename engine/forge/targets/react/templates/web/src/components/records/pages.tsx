import { useParams } from "react-router";
import type { ReactNode } from "react";

import { DetailPage } from "@/components/records/detail-page";
import { CreatePage, EditPage } from "@/components/records/form-page";
import { ListPage } from "@/components/records/list-page";
import { NotFoundPage } from "@/app/not-found";
import { useUser } from "@/features/auth/user";
import type { Entity, Verb } from "@/lib/entity";
import { entityAt } from "@/lib/registry";
import { may } from "@/lib/rights";

interface AllowedProps {
  verb: Verb;
  children: (entity: Entity, id: string) => ReactNode;
}

/** The entity and the record of the address, for those who may do this with them. */
function Allowed({ verb, children }: AllowedProps) {
  const { path, id = "" } = useParams();
  const user = useUser();
  const entity = entityAt(path);
  return entity && may(user, entity, verb) ? children(entity, id) : <NotFoundPage />;
}

export function RecordsRoute() {
  return (
    <Allowed verb="read">{(entity) => <ListPage key={entity.path} entity={entity} />}</Allowed>
  );
}

export function CreateRoute() {
  return (
    <Allowed verb="create">{(entity) => <CreatePage key={entity.path} entity={entity} />}</Allowed>
  );
}

export function RecordRoute() {
  return (
    <Allowed verb="read">{(entity, id) => <DetailPage key={id} entity={entity} id={id} />}</Allowed>
  );
}

export function EditRoute() {
  return (
    <Allowed verb="update">{(entity, id) => <EditPage key={id} entity={entity} id={id} />}</Allowed>
  );
}
