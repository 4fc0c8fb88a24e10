import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { Direction } from "radix-ui";
import { useState } from "react";
import type { ReactNode } from "react";
import { RouterProvider } from "react-router";

import { makeRouter } from "@/app/router";
import { Notices } from "@/components/ui/notices";
import { useI18n } from "@/i18n/context";
import { I18nProvider } from "@/i18n/provider";
import { Problem } from "@/lib/api";

function makeClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 5_000,
        // What the API refused once it would refuse again.
        retry: (count, error) => !(error instanceof Problem && error.status < 500) && count < 2,
      },
    },
  });
}

export function App() {
  const [client] = useState(makeClient);
  const [router] = useState(makeRouter);
  return (
    <QueryClientProvider client={client}>
      <I18nProvider>
        <Directed>
          <Notices>
            <RouterProvider router={router} />
          </Notices>
        </Directed>
      </I18nProvider>
    </QueryClientProvider>
  );
}

function Directed({ children }: { children: ReactNode }) {
  const { language } = useI18n();
  return (
    <Direction.Provider dir={language === "ar" ? "rtl" : "ltr"}>{children}</Direction.Provider>
  );
}
