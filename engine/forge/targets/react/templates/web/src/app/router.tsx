import { createBrowserRouter } from "react-router";

import { DashboardPage } from "@/app/dashboard";
import { Layout } from "@/app/layout";
import { NotFoundPage } from "@/app/not-found";
import { Failure } from "@/app/failure";
import { CreateRoute, EditRoute, RecordRoute, RecordsRoute } from "@/components/records/pages";
import { SignedIn } from "@/features/auth/signed-in";
import { SignInPage } from "@/features/auth/sign-in-page";
import { SignUpPage } from "@/features/auth/sign-up-page";
import { UsersPage } from "@/features/users/users-page";
import { baseUrl } from "@/lib/api";

/** The pages, under the path at which the platform is published. */
export function makeRouter() {
  return createBrowserRouter(
    [
      { path: "/auth/sign-in", element: <SignInPage />, errorElement: <Failure /> },
      { path: "/auth/sign-up", element: <SignUpPage />, errorElement: <Failure /> },
      {
        element: (
          <SignedIn>
            <Layout />
          </SignedIn>
        ),
        errorElement: <Failure />,
        children: [
          { path: "/", element: <DashboardPage /> },
          { path: "/records/:path", element: <RecordsRoute /> },
          { path: "/records/:path/new", element: <CreateRoute /> },
          { path: "/records/:path/:id", element: <RecordRoute /> },
          { path: "/records/:path/:id/edit", element: <EditRoute /> },
          { path: "/users", element: <UsersPage /> },
          { path: "*", element: <NotFoundPage /> },
        ],
      },
    ],
    { basename: baseUrl.pathname.replace(/(.)\/$/, "$1") },
  );
}
