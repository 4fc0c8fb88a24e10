import { createContext, useContext } from "react";

export const NoticeContext = createContext<{ tell: (text: string) => void }>({
  tell: () => undefined,
});

/** A function that shows a short message for a few seconds. */
export function useNotice(): (text: string) => void {
  return useContext(NoticeContext).tell;
}
