import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import type { ReactNode } from "react";
import { Navigate, useLocation } from "react-router";

import { ErrorState, LoadingState } from "@/components/ui/states";
import { UserContext } from "@/features/auth/user";
import { request } from "@/lib/api";
import type { User } from "@/lib/rights";
import { useToken } from "@/lib/session";

/** Shows its children to somebody who is signed in, and the sign-in to everybody else. */
export function SignedIn({ children }: { children: ReactNode }) {
  const token = useToken();
  const location = useLocation();
  const client = useQueryClient();
  const { data, error, refetch } = useQuery({
    queryKey: ["auth", "one", token],
    queryFn: ({ signal }) => request("auth/me", { signal }) as Promise<User>,
    enabled: token !== null,
    staleTime: 60_000,
  });
  useEffect(() => {
    // What one person read is not for the next.
    if (token === null) client.clear();
  }, [client, token]);
  if (token === null) {
    return <Navigate to="/auth/sign-in" replace state={{ from: location }} />;
  }
  if (data) return <UserContext value={data}>{children}</UserContext>;
  return (
    <main>
      {error ? <ErrorState error={error} onRetry={() => void refetch()} /> : <LoadingState />}
    </main>
  );
}
