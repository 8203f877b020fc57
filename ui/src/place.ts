// What is looked at, kept in the address where the app owns it: `#run/tab?trial=3`.
export interface Place {
  /** The key of a run; empty in a list of runs, and where there is one run alone. */
  readonly run: string;
  readonly tab: string;
  readonly trial: number | null;
}

export const FIRST_PLACE: Place = { run: "", tab: "overview", trial: null };

export function placeText(place: Place): string {
  const query = new URLSearchParams();
  if (place.run) query.set("run", place.run);
  if (place.tab !== "overview") query.set("tab", place.tab);
  if (place.trial !== null) query.set("trial", String(place.trial));
  return query.toString();
}

export function parsePlace(text: string): Place {
  const query = new URLSearchParams(text.replace(/^#/, ""));
  const trial = query.get("trial");
  return {
    run: query.get("run") ?? "",
    tab: query.get("tab") ?? "overview",
    trial: trial !== null && /^\d{1,9}$/.test(trial) ? Number(trial) : null,
  };
}
