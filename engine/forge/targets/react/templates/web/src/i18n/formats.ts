/** How values are written in one locale. Days are those of the Gregorian calendar. */
export interface Formats {
  number: (value: number) => string;
  decimal: (value: string) => string;
  money: (value: string, currency: string) => string;
  date: (value: string) => string;
  time: (value: string) => string;
  instant: (value: string) => string;
  day: (value: Date) => string;
  duration: (value: string) => string;
}

const DURATION = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/;

export function makeFormats(locale: string): Formats {
  const calendar = { calendar: "gregory" } as const;
  const number = new Intl.NumberFormat(locale);
  const decimal = new Intl.NumberFormat(locale, { maximumFractionDigits: 18 });
  const date = new Intl.DateTimeFormat(locale, { ...calendar, dateStyle: "medium" });
  const utcDate = new Intl.DateTimeFormat(locale, {
    ...calendar,
    dateStyle: "medium",
    timeZone: "UTC",
  });
  const time = new Intl.DateTimeFormat(locale, { timeStyle: "short", timeZone: "UTC" });
  const instant = new Intl.DateTimeFormat(locale, {
    ...calendar,
    dateStyle: "medium",
    timeStyle: "short",
  });
  // The types of TypeScript only know numbers, while Intl takes decimals as text and keeps them.
  const exact = (value: string) => value as unknown as number;
  return {
    number: (value) => number.format(value),
    decimal: (value) => decimal.format(exact(value)),
    money: (value, currency) =>
      new Intl.NumberFormat(locale, { style: "currency", currency }).format(exact(value)),
    date: (value) => utcDate.format(new Date(`${value}T00:00:00Z`)),
    time: (value) => time.format(new Date(`1970-01-01T${value}Z`)),
    instant: (value) => instant.format(new Date(value)),
    day: (value) => date.format(value),
    duration: (value) => formatDuration(locale, value),
  };
}

function formatDuration(locale: string, value: string): string {
  const units = ["day", "hour", "minute", "second"];
  const found = DURATION.exec(value);
  if (!found) return value;
  const parts = units.flatMap((unit, index) => {
    const count = found[index + 1];
    if (count === undefined) return [];
    const style = { style: "unit", unit, unitDisplay: "short" } as const;
    return [new Intl.NumberFormat(locale, style).format(Number(count))];
  });
  return parts.join(" ");
}
