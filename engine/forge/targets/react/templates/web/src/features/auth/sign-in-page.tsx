import { useState } from "react";
import { Link, Navigate, useLocation } from "react-router";

import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import { Labelled } from "@/components/ui/labelled";
import { Alert } from "@/components/ui/states";
import { signIn } from "@/features/auth/api";
import { Frame } from "@/features/auth/frame";
import { useSubmit } from "@/features/auth/use-submit";
import { useI18n } from "@/i18n/context";
import { useToken } from "@/lib/session";
import { platform } from "@/platform";

interface From {
  from?: { pathname: string; search: string };
}

export function SignInPage() {
  const { t, message } = useI18n();
  const location = useLocation();
  const token = useToken();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const { issues, pending, onSubmit } = useSubmit(["email", "password"], () =>
    signIn(email, password),
  );
  if (token !== null) {
    const { from } = (location.state ?? {}) as From;
    return <Navigate to={from ?? "/"} replace />;
  }
  return (
    <Frame title={t("sign_in")} detail={t("sign_in_detail")}>
      <form className="flex flex-col gap-4" noValidate onSubmit={onSubmit}>
        {issues[""] && <Alert>{message(issues[""].message)}</Alert>}
        <Labelled label={t("email")} error={issues.email && message("error_email")}>
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
        <Labelled label={t("password")} error={issues.password && message("error_required")}>
          {(control) => (
            <Input
              {...control}
              type="password"
              dir="ltr"
              autoComplete="current-password"
              value={password}
              onChange={(event) => {
                setPassword(event.target.value);
              }}
            />
          )}
        </Labelled>
        <Button type="submit" variant="primary" disabled={pending}>
          {t("sign_in")}
        </Button>
      </form>
      {platform.openRoles.length > 0 && (
        <p className="text-muted">
          {t("new_account")}{" "}
          <Link to="/auth/sign-up" className="text-primary underline underline-offset-2">
            {t("sign_up")}
          </Link>
        </p>
      )}
    </Frame>
  );
}
