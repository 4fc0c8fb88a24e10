import { Languages, SunMoon } from "lucide-react";

import { Button } from "@/components/ui/button";
import { Menu, MenuChoice } from "@/components/ui/menu";
import { useI18n } from "@/i18n/context";
import { setTheme, THEMES, useTheme } from "@/lib/theme";

/** The language and the theme, kept by the browser. */
export function Preferences() {
  const { t, language, setLanguage } = useI18n();
  const theme = useTheme();
  return (
    <div className="flex items-center gap-1">
      <Button
        variant="ghost"
        lang={language === "ar" ? "en" : "ar"}
        onClick={() => {
          setLanguage(language === "ar" ? "en" : "ar");
        }}
      >
        <Languages aria-hidden />
        {t("language")}
      </Button>
      <Menu
        trigger={
          <Button variant="ghost" size="icon" aria-label={t("theme")}>
            <SunMoon aria-hidden />
          </Button>
        }
      >
        <MenuChoice
          label={t("theme")}
          value={theme}
          options={THEMES.map((value) => ({ value, label: t(value) }))}
          onChange={setTheme}
        />
      </Menu>
    </div>
  );
}
