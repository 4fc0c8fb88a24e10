import { useRouteError } from "react-router";

import { ErrorState } from "@/components/ui/states";

/** Instead of a page that could not be shown. */
export function Failure() {
  const error = useRouteError();
  return (
    <main>
      <ErrorState
        error={error}
        onRetry={() => {
          window.location.reload();
        }}
      />
    </main>
  );
}
