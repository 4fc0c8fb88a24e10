import { Link } from "react-router";

import { Button } from "@/components/ui/button";
import { useI18n } from "@/i18n/context";

export function NotFoundPage() {
  const { t } = useI18n();
  return (
    <div className="flex flex-col items-center gap-3 px-4 py-16 text-center">
      <h1 className="text-xl font-semibold">{t("not_found")}</h1>
      <p className="text-muted">{t("not_found_detail")}</p>
      <Button asChild>
        <Link to="/">{t("home")}</Link>
      </Button>
    </div>
  );
}
