import { X } from "lucide-react";
import { useId, useState } from "react";
import type { KeyboardEvent } from "react";

import { labelOf, RecordLabel } from "@/components/records/label";
import { Input } from "@/components/ui/input";
import type { ControlProps } from "@/components/ui/labelled";
import { useUser } from "@/features/auth/user";
import { useI18n } from "@/i18n/context";
import { cn } from "@/lib/classes";
import { useRecords } from "@/lib/records";
import { findEntity } from "@/lib/registry";
import { may } from "@/lib/rights";

interface PickerProps {
  target: string | undefined;
  ids: readonly string[];
  many: boolean;
  onChange: (ids: string[]) => void;
  control: ControlProps;
}

/** Finds records by words and keeps the chosen ones: a combobox as ARIA describes it. */
export function Picker({ target, ids, many, onChange, control }: PickerProps) {
  const i18n = useI18n();
  const user = useUser();
  const entity = findEntity(target);
  const list = useId();
  const [words, setWords] = useState("");
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(0);
  const readable = may(user, entity, "read");
  const query = words && entity.lookup ? { limit: 20, [entity.lookup]: words } : { limit: 20 };
  const { data, isFetching } = useRecords(entity, query, open && readable);
  const options = (data?.items ?? []).filter((record) => !ids.includes(record.id));
  const chosen = options[active];

  const pick = (id: string) => {
    onChange(many ? [...ids, id] : [id]);
    setWords("");
    setActive(0);
    setOpen(many);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 };
    const step = steps[event.key];
    if (step !== undefined) {
      event.preventDefault();
      setActive(open ? (active + step + options.length) % Math.max(options.length, 1) : 0);
      setOpen(true);
    } else if (event.key === "Enter" && open) {
      event.preventDefault();
      if (chosen) pick(chosen.id);
    } else if (event.key === "Escape" && open) {
      event.stopPropagation();
      setOpen(false);
    }
  };

  return (
    <div className="relative flex flex-col gap-2">
      {ids.length > 0 && (
        <ul className="flex flex-wrap gap-2">
          {ids.map((id) => (
            <Chosen
              key={id}
              target={target}
              id={id}
              onRemove={() => {
                onChange(ids.filter((each) => each !== id));
              }}
            />
          ))}
        </ul>
      )}
      <Input
        {...control}
        role="combobox"
        autoComplete="off"
        aria-expanded={open}
        aria-controls={list}
        aria-autocomplete="list"
        {...(open && chosen ? { "aria-activedescendant": `${list}-${active}` } : {})}
        placeholder={i18n.t("select")}
        disabled={!readable}
        value={words}
        onChange={(event) => {
          setWords(event.target.value);
          setActive(0);
          setOpen(true);
        }}
        onFocus={() => {
          setOpen(true);
        }}
        onBlur={() => {
          setOpen(false);
        }}
        onKeyDown={onKeyDown}
      />
      <div
        id={list}
        role="listbox"
        aria-label={i18n.say(entity.titles.plural)}
        hidden={!open}
        className={cn(
          "absolute inset-x-0 top-full z-30 mt-1 max-h-64 overflow-y-auto rounded-md border",
          "border-line bg-surface p-1 shadow-lg",
        )}
      >
        {options.map((record, index) => (
          // The keys are the input's, which keeps the focus.
          // eslint-disable-next-line jsx-a11y/click-events-have-key-events
          <div
            key={record.id}
            id={`${list}-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === active}
            className={cn("rounded-sm px-2.5 py-1.5", index === active && "bg-tint")}
            onMouseDown={(event) => {
              event.preventDefault();
            }}
            onMouseEnter={() => {
              setActive(index);
            }}
            onClick={() => {
              pick(record.id);
            }}
          >
            <bdi>{labelOf(i18n, entity, record)}</bdi>
          </div>
        ))}
        {options.length === 0 && (
          <div
            role="option"
            aria-selected={false}
            aria-disabled
            className="px-2.5 py-1.5 text-muted"
          >
            {i18n.t(isFetching ? "loading" : "no_matches")}
          </div>
        )}
      </div>
    </div>
  );
}

interface ChosenProps {
  target: string | undefined;
  id: string;
  onRemove: () => void;
}

function Chosen({ target, id, onRemove }: ChosenProps) {
  const { t } = useI18n();
  return (
    <li className="inline-flex items-center gap-1 rounded-md bg-tint ps-2.5 pe-1">
      <RecordLabel target={target} id={id} />
      <button
        type="button"
        aria-label={t("remove", { name: id.slice(-8) })}
        className="rounded-sm p-1 hover:bg-sunken"
        onClick={onRemove}
      >
        <X aria-hidden className="size-3.5" />
      </button>
    </li>
  );
}
