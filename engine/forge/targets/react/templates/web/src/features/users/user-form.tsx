import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { Button } from "@/components/ui/button";
import { Checkbox, Input, Select } from "@/components/ui/input";
import { Labelled } from "@/components/ui/labelled";
import { useNotice } from "@/components/ui/notice-context";
import { Alert } from "@/components/ui/states";
import { useSubmit } from "@/features/auth/use-submit";
import { useI18n } from "@/i18n/context";
import { roleTitle } from "@/i18n/titles";
import { request } from "@/lib/api";
import type { User } from "@/lib/rights";
import { roles } from "@/platform";

/** Creates a user, or changes the role, the password and the access of one. */
export function UserForm({ user, onDone }: { user: User | null; onDone: () => void }) {
  const { t, say, message } = useI18n();
  const tell = useNotice();
  const client = useQueryClient();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState(user?.role ?? roles[1] ?? "admin");
  const [active, setActive] = useState(user?.active ?? true);
  const { issues, pending, onSubmit } = useSubmit(["email", "password", "role"], async () => {
    if (user) {
      const body = { role, active, ...(password ? { password } : {}) };
      await request(`users/${user.id}`, { method: "PATCH", body });
    } else {
      await request("users", { method: "POST", body: { email: email.trim(), password, role } });
    }
    tell(t(user ? "saved" : "created"));
    onDone();
    await client.invalidateQueries({ queryKey: ["users"] });
  });
  return (
    <form className="flex flex-col gap-4" noValidate onSubmit={onSubmit}>
      {issues[""] && <Alert>{message(issues[""].message)}</Alert>}
      {!user && (
        <Labelled label={t("email")} required error={issues.email && message(issues.email.message)}>
          {(control) => (
            <Input
              {...control}
              type="email"
              dir="ltr"
              autoComplete="off"
              value={email}
              onChange={(event) => {
                setEmail(event.target.value);
              }}
            />
          )}
        </Labelled>
      )}
      <Labelled
        label={t(user ? "password_new" : "password")}
        required={!user}
        hint={t(user ? "password_keep" : "password_hint")}
        error={issues.password && message(issues.password.message)}
      >
        {(control) => (
          <Input
            {...control}
            type="password"
            dir="ltr"
            autoComplete="new-password"
            value={password}
            onChange={(event) => {
              setPassword(event.target.value);
            }}
          />
        )}
      </Labelled>
      <Labelled label={t("role")} required error={issues.role && message(issues.role.message)}>
        {(control) => (
          <Select
            {...control}
            value={role}
            onChange={(event) => {
              setRole(event.target.value);
            }}
          >
            {roles.map((each) => (
              <option key={each} value={each}>
                {say(roleTitle(each))}
              </option>
            ))}
          </Select>
        )}
      </Labelled>
      {user && (
        <Labelled label={t("active")}>
          {({ id }) => (
            <Checkbox
              id={id}
              checked={active}
              onChange={(event) => {
                setActive(event.target.checked);
              }}
            />
          )}
        </Labelled>
      )}
      <div className="flex justify-end">
        <Button type="submit" variant="primary" disabled={pending}>
          {t("save")}
        </Button>
      </div>
    </form>
  );
}
