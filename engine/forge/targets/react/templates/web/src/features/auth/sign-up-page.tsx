import { useState } from "react";
import { Link, Navigate } from "react-router";

import { Button } from "@/components/ui/button";
import { Input, Select } from "@/components/ui/input";
import { Labelled } from "@/components/ui/labelled";
import { Alert } from "@/components/ui/states";
import { signUp } from "@/features/auth/api";
import { Frame } from "@/features/auth/frame";
import { useSubmit } from "@/features/auth/use-submit";
import { useI18n } from "@/i18n/context";
import { roleTitle } from "@/i18n/titles";
import { useToken } from "@/lib/session";
import { platform } from "@/platform";

export function SignUpPage() {
  const { t, say, message } = useI18n();
  const token = useToken();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState(platform.openRoles[0] ?? "");
  const { issues, pending, onSubmit } = useSubmit(["email", "password", "role"], () =>
    signUp(email, password, role),
  );
  if (token !== null || platform.openRoles.length === 0) return <Navigate to="/" replace />;
  return (
    <Frame title={t("sign_up")} detail={t("sign_up_detail")}>
      <form className="flex flex-col gap-4" noValidate onSubmit={onSubmit}>
        {issues[""] && <Alert>{message(issues[""].message)}</Alert>}
        <Labelled label={t("email")} required error={issues.email && message(issues.email.message)}>
          {(control) => (
            <Input
              {...control}
              type="email"
              dir="ltr"
              autoComplete="username"
              value={email}
              onChange={(event) => {
                setEmail(event.target.value);
              }}
            />
          )}
        </Labelled>
        <Labelled
          label={t("password")}
          required
          hint={t("password_hint")}
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
        {platform.openRoles.length > 1 && (
          <Labelled label={t("role")} required error={issues.role && message(issues.role.message)}>
            {(control) => (
              <Select
                {...control}
                value={role}
                onChange={(event) => {
                  setRole(event.target.value);
                }}
              >
                {platform.openRoles.map((each) => (
                  <option key={each} value={each}>
                    {say(roleTitle(each))}
                  </option>
                ))}
              </Select>
            )}
          </Labelled>
        )}
        <Button type="submit" variant="primary" disabled={pending}>
          {t("sign_up")}
        </Button>
      </form>
      <p className="text-muted">
        {t("have_account")}{" "}
        <Link to="/auth/sign-in" className="text-primary underline underline-offset-2">
          {t("sign_in")}
        </Link>
      </p>
    </Frame>
  );
}
