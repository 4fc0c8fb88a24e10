import { Problem, request } from "@/lib/api";
import { keepToken } from "@/lib/session";

export async function signIn(email: string, password: string): Promise<void> {
  const body = { email: email.trim(), password };
  const answer = await request("auth/login", { method: "POST", body }).catch((error: unknown) => {
    if (error instanceof Problem && error.status === 401) throw new Problem(401, "error_login");
    throw error;
  });
  keepToken((answer as { access_token: string }).access_token);
}

export async function signUp(email: string, password: string, role: string): Promise<void> {
  const body = { email: email.trim(), password, role };
  await request("auth/register", { method: "POST", body });
  await signIn(email, password);
}
