import { useState } from "react";
import type { SubmitEvent } from "react";

import { useExplain } from "@/components/ui/states";
import { Problem } from "@/lib/api";
import { issuesOf } from "@/lib/form";
import type { Issues } from "@/lib/form";

/** Sends a small form; what is wrong comes back by field, the empty key for the form itself. */
export function useSubmit(fields: readonly string[], send: () => Promise<void>) {
  const explain = useExplain();
  const [issues, setIssues] = useState<Issues>({});
  const [pending, setPending] = useState(false);
  const onSubmit = async (event: SubmitEvent) => {
    event.preventDefault();
    setPending(true);
    setIssues({});
    try {
      await send();
    } catch (error) {
      const known = error instanceof Problem;
      setIssues(known ? issuesOf(error, fields) : { "": { message: explain(error) } });
    } finally {
      setPending(false);
    }
  };
  return { issues, pending, onSubmit: (event: SubmitEvent) => void onSubmit(event) };
}
