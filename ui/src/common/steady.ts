// A value that changes at most every so often: what is dear to draw is not drawn at each refresh.
import { useEffect, useState } from "react";

/** The newest value, or one that is at most `period_ms` older. */
export function useSteady<T>(value: T, period_ms: number): T {
  const [shown, setShown] = useState({ value, at: Date.now() });
  const stale = shown.value !== value;
  useEffect(() => {
    if (!stale) return;
    const left = Math.max(0, shown.at + period_ms - Date.now());
    const timer = setTimeout(() => setShown({ value, at: Date.now() }), left);
    return () => clearTimeout(timer);
  }, [stale, value, shown.at, period_ms]);
  return period_ms ? shown.value : value;
}
