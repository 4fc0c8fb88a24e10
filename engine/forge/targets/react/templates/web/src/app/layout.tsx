import { LayoutDashboard, LogOut, Menu as MenuIcon, Table2, Users, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { ReactNode } from "react";
import { NavLink, Outlet, useLocation } from "react-router";

import { Preferences } from "@/app/preferences";
import { Button } from "@/components/ui/button";
import { entities } from "@/entities";
import { useUser } from "@/features/auth/user";
import { useI18n } from "@/i18n/context";
import { roleTitle } from "@/i18n/titles";
import { cn } from "@/lib/classes";
import { useOnline } from "@/lib/online";
import { may } from "@/lib/rights";
import { signOut } from "@/lib/session";
import { platform } from "@/platform";

/** The frame around every page behind the sign-in. */
export function Layout() {
  const { t, say } = useI18n();
  const online = useOnline();
  const [open, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const [seen, setSeen] = useState(pathname);
  if (seen !== pathname) {
    setSeen(pathname);
    setOpen(false);
  }
  const first = useRef(true);
  useEffect(() => {
    // A new page starts at its top, for readers of the screen too.
    if (!first.current) {
      main.current?.focus();
      window.scrollTo(0, 0);
    }
    first.current = false;
  }, [pathname]);
  return (
    <div className="min-h-dvh lg:grid lg:grid-cols-[15rem_1fr]">
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:fixed focus:start-4 focus:top-4 focus:z-50 focus:rounded-md focus:bg-surface focus:p-3"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        {t("skip")}
      </a>
      <aside className="border-line bg-surface max-lg:border-b lg:sticky lg:top-0 lg:flex lg:h-dvh lg:flex-col lg:border-e">
        <div className="flex h-14 items-center justify-between gap-2 px-4">
          <p className="truncate text-base font-semibold">{say(platform.title)}</p>
          <Button
            variant="ghost"
            size="icon"
            className="lg:hidden"
            aria-label={t("menu")}
            aria-expanded={open}
            aria-controls="menu"
            onClick={() => {
              setOpen(!open);
            }}
          >
            {open ? <X aria-hidden /> : <MenuIcon aria-hidden />}
          </Button>
        </div>
        <div
          id="menu"
          className={cn("flex-1 flex-col overflow-y-auto lg:flex", open ? "flex" : "hidden")}
        >
          <Navigation />
          <Account />
        </div>
      </aside>
      <div className="min-w-0">
        {!online && (
          <p role="status" className="bg-danger-tint px-6 py-2.5 font-medium">
            {t("offline")}
          </p>
        )}
        <main
          ref={main}
          id="main"
          tabIndex={-1}
          className="mx-auto w-full max-w-6xl p-4 outline-none sm:p-6 lg:p-8"
        >
          <Outlet />
        </main>
      </div>
    </div>
  );
}

function Navigation() {
  const { t, say } = useI18n();
  const user = useUser();
  const readable = entities.filter((entity) => may(user, entity, "read"));
  return (
    <nav aria-label={t("menu")} className="flex flex-col gap-0.5 p-2">
      <Item to="/" end icon={<LayoutDashboard aria-hidden />}>
        {t("dashboard")}
      </Item>
      {readable.map((entity) => (
        <Item key={entity.path} to={`/records/${entity.path}`} icon={<Table2 aria-hidden />}>
          {say(entity.titles.plural)}
        </Item>
      ))}
      {user.role === "admin" && (
        <Item to="/users" icon={<Users aria-hidden />}>
          {t("users")}
        </Item>
      )}
    </nav>
  );
}

interface ItemProps {
  to: string;
  end?: boolean;
  icon: ReactNode;
  children: ReactNode;
}

function Item({ to, end = false, icon, children }: ItemProps) {
  return (
    <NavLink
      to={to}
      end={end}
      className={({ isActive }) =>
        cn(
          "flex items-center gap-2.5 rounded-md px-3 py-2 [&_svg]:size-4 [&_svg]:shrink-0",
          isActive ? "bg-tint font-medium" : "text-muted hover:bg-sunken hover:text-ink",
        )
      }
    >
      {icon}
      <span className="truncate">{children}</span>
    </NavLink>
  );
}

function Account() {
  const { t, say } = useI18n();
  const user = useUser();
  return (
    <div className="mt-auto flex flex-col gap-2 border-t border-line p-3">
      <Preferences />
      <div className="flex items-center justify-between gap-2 ps-1">
        <div className="min-w-0">
          <p className="truncate font-medium" dir="ltr">
            {user.email}
          </p>
          <p className="text-muted">{say(roleTitle(user.role))}</p>
        </div>
        <Button variant="ghost" size="icon" aria-label={t("sign_out")} onClick={signOut}>
          <LogOut aria-hidden className="rtl:rotate-180" />
        </Button>
      </div>
    </div>
  );
}
