import { createContext, useContext } from "react";

import type { User } from "@/lib/rights";

export const UserContext = createContext<User | null>(null);

/** Who is signed in. Only for pages behind the sign-in. */
export function useUser(): User {
  const user = useContext(UserContext);
  if (!user) throw new Error("useUser needs somebody to be signed in.");
  return user;
}
