// Light or dark: as the page says that the app is in, else as the reader's system has it.
import { createContext, useContext } from "react";

export type Scheme = "light" | "dark";
export type SchemeChoice = Scheme | "auto";

const KEY = "podmap.scheme";

/** What was chosen before; `auto` where nothing can be kept. */
export function keptChoice(): SchemeChoice {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : "auto";
  } catch {
    return "auto";
  }
}

export function keepChoice(choice: SchemeChoice): void {
  try {
    if (choice === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
  } catch {
    // A page from a file may keep nothing: the choice holds until it is closed.
  }
}

/** The scheme of the page around the app; null if it says nothing. */
function hostScheme(): Scheme | null {
  const classes = document.documentElement.classList;
  if (classes.contains("dark")) return "dark";
  return classes.contains("light") ? "light" : null;
}

export function schemeNow(choice: SchemeChoice): Scheme {
  if (matchMedia("print").matches) return "light";
  if (choice !== "auto") return choice;
  return hostScheme() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

/** Calls back when the scheme may have changed; what is returned ends that. */
export function watchScheme(changed: () => void): () => void {
  const queries = ["print", "(prefers-color-scheme: dark)"].map((query) => matchMedia(query));
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  for (const query of queries) query.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    for (const query of queries) query.removeEventListener("change", changed);
  };
}

/** The colours that charts draw with: the style sheet's own. */
export interface Colours {
  readonly scheme: Scheme;
  get(name: string): string;
}

export function coloursOf(element: Element, scheme: Scheme): Colours {
  const style = getComputedStyle(element);
  const known = new Map<string, string>();
  return {
    scheme,
    get: (name) => {
      const found = known.get(name) ?? style.getPropertyValue(`--${name}`).trim();
      known.set(name, found);
      return found;
    },
  };
}

export const ColoursContext = createContext<Colours>({ scheme: "light", get: () => "" });

export function useColours(): Colours {
  return useContext(ColoursContext);
}
