import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Pencil, Plus } from "lucide-react";
import { useState } from "react";

import { NotFoundPage } from "@/app/not-found";
import { Pager } from "@/components/records/pager";
import { SearchBox } from "@/components/records/search-box";
import { Button } from "@/components/ui/button";
import { Badge, Card } from "@/components/ui/card";
import { Modal } from "@/components/ui/dialog";
import { Page } from "@/components/ui/page";
import { EmptyState, ErrorState, LoadingState } from "@/components/ui/states";
import { useUser } from "@/features/auth/user";
import { UserForm } from "@/features/users/user-form";
import { useI18n } from "@/i18n/context";
import { roleTitle } from "@/i18n/titles";
import { request } from "@/lib/api";
import type { Page as ListOf } from "@/lib/api";
import { PAGE_SIZE } from "@/lib/records";
import type { User } from "@/lib/rights";

export function UsersPage() {
  return useUser().role === "admin" ? <Users /> : <NotFoundPage />;
}

function Users() {
  const { t } = useI18n();
  const [words, setWords] = useState("");
  const [page, setPage] = useState(1);
  const [edited, setEdited] = useState<User | "new" | null>(null);
  const query = {
    sort: "email",
    limit: PAGE_SIZE,
    offset: (page - 1) * PAGE_SIZE,
    email__contains: words || undefined,
  };
  const { data, error, refetch } = useQuery({
    queryKey: ["users", "list", query],
    queryFn: ({ signal }) => request("users", { query, signal }) as Promise<ListOf<User>>,
    placeholderData: keepPreviousData,
  });
  const close = () => {
    setEdited(null);
  };
  return (
    <Page
      title={t("users")}
      detail={<p className="text-muted">{t("users_detail")}</p>}
      actions={
        <Button
          variant="primary"
          onClick={() => {
            setEdited("new");
          }}
        >
          <Plus aria-hidden />
          {t("create")}
        </Button>
      }
    >
      <div className="flex">
        <SearchBox
          value={words}
          onChange={(typed) => {
            setWords(typed);
            setPage(1);
          }}
        />
      </div>
      <Card className="overflow-hidden">
        {error && !data ? (
          <ErrorState error={error} onRetry={() => void refetch()} />
        ) : !data ? (
          <LoadingState />
        ) : data.items.length === 0 ? (
          <EmptyState title={t("empty_filtered")} detail={t("empty_filtered_detail")} />
        ) : (
          <UserTable users={data.items} onEdit={setEdited} />
        )}
        {data && data.total > PAGE_SIZE && <Pager page={data} onChange={setPage} />}
      </Card>
      <Modal
        open={edited !== null}
        onOpenChange={close}
        title={edited === "new" || !edited ? t("new_record", { kind: t("user") }) : edited.email}
      >
        <UserForm user={edited === "new" ? null : edited} onDone={close} />
      </Modal>
    </Page>
  );
}

function UserTable({ users, onEdit }: { users: User[]; onEdit: (user: User) => void }) {
  const { t, say, formats } = useI18n();
  const cell = "px-4 py-2.5 text-start whitespace-nowrap";
  return (
    // A table that is wider than the screen is scrolled, by keyboard too.
    <div role="region" aria-label={t("users")} tabIndex={0} className="overflow-x-auto">
      <table className="w-full">
        <thead className="border-b border-line bg-sunken">
          <tr>
            {(["email", "role", "active", "created_at"] as const).map((name) => (
              <th key={name} scope="col" className={`${cell} font-medium`}>
                {t(name)}
              </th>
            ))}
            <th scope="col" className={cell}>
              <span className="sr-only">{t("change")}</span>
            </th>
          </tr>
        </thead>
        <tbody className="divide-y divide-line">
          {users.map((user) => (
            <tr key={user.id} className="hover:bg-sunken/60">
              <th scope="row" className={`${cell} font-medium`}>
                <bdi dir="ltr">{user.email}</bdi>
              </th>
              <td className={cell}>
                <Badge>{say(roleTitle(user.role))}</Badge>
              </td>
              <td className={cell}>{t(user.active ? "yes" : "no")}</td>
              <td className={cell}>{formats.instant(user.created_at)}</td>
              <td className={`${cell} text-end`}>
                <Button
                  variant="ghost"
                  size="icon"
                  aria-label={`${t("change")} ${user.email}`}
                  onClick={() => {
                    onEdit(user);
                  }}
                >
                  <Pencil aria-hidden />
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
