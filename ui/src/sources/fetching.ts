// Requests to the page's own server: JSON, ETags, and errors as sentences.
import { type Fetched, SourceError } from "./source";

const AWAY = "The server cannot be reached.";

async function refusal(response: Response): Promise<SourceError> {
  const passing = response.status >= 500 || response.status === 429;
  let message = `The server answered ${response.status} ${response.statusText}`.trim();
  try {
    const body = (await response.json()) as { error?: unknown; detail?: unknown };
    const said = body.error ?? body.detail;
    if (typeof said === "string" && said) message = said;
  } catch {
    // It said nothing that can be read: the status is all there is.
  }
  return new SourceError(message, passing, response.status);
}

async function request(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { credentials: "same-origin", cache: "no-store", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new SourceError(AWAY, true);
  }
  if (!response.ok && response.status !== 304) throw await refusal(response);
  return response;
}

async function body<T>(response: Response, read: (response: Response) => Promise<T>): Promise<T> {
  try {
    return await read(response);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new SourceError("The server's answer broke off, or is not what was expected.", true);
  }
}

/** What is at a URL, or null if it still is what it was at `etag`. */
export async function fetchNewer<T>(
  url: string,
  etag: string,
  signal: AbortSignal,
): Promise<Fetched<T> | null> {
  const headers: Record<string, string> = etag ? { "If-None-Match": etag } : {};
  const response = await request(url, { headers, signal });
  if (response.status === 304) return null;
  const data = await body(response, (answer) => answer.json() as Promise<T>);
  return { etag: response.headers.get("ETag") ?? "", data };
}

export async function fetchJson<T>(url: string, signal: AbortSignal): Promise<T> {
  return body(await request(url, { signal }), (answer) => answer.json() as Promise<T>);
}

export async function fetchText(url: string, signal: AbortSignal): Promise<string> {
  return body(await request(url, { signal }), (answer) => answer.text());
}

/** Sends JSON; the sentence that comes back. */
export async function postJson(url: string, data: unknown): Promise<string> {
  const response = await request(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(data),
  });
  return body(response, async (answer) => ((await answer.json()) as { text: string }).text);
}
