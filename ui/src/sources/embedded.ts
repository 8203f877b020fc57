// The data of a page that holds it all: report.html. Nothing is fetched.
import type { Detail, View } from "../view";
import { NOBODY, type Source } from "./source";

/** The text of a script element, unpacked if it says that it is packed. */
async function embeddedText(element: Element): Promise<string> {
  const text = element.textContent ?? "";
  if (element.getAttribute("data-encoding") !== "gzip+base64") return text;
  const packed = atob(text.trim());
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

/** The run that stands in the page. */
export class EmbeddedSource implements Source {
  readonly live = false;
  private details: Promise<Record<string, Detail>> | undefined;

  constructor(
    private readonly element: Element,
    private readonly detailsElement: Element | null,
  ) {}

  async view() {
    const data = JSON.parse(await embeddedText(this.element)) as View;
    return { etag: "embedded", data };
  }

  async detail(number: number) {
    const element = this.detailsElement;
    if (!element) return null;
    this.details ??= embeddedText(element).then(
      (text) => JSON.parse(text) as Record<string, Detail>,
    );
    return (await this.details)[String(number)] ?? null;
  }

  log() {
    return Promise.resolve(null);
  }

  me() {
    return Promise.resolve(NOBODY);
  }
}
