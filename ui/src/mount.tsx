// Puts the app into an element, with styles that neither touch the page nor are touched by it.
import { createRoot } from "react-dom/client";
import { type Host, Root } from "./root";
import css from "./styles/app.css?inline";

/** Draws the app; what is returned takes it away again. */
export function mount(element: HTMLElement, host: Host): () => void {
  const shadow = element.shadowRoot ?? element.attachShadow({ mode: "open" });
  // A sheet made so is no inline style: the strictest content policy lets it be.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  shadow.adoptedStyleSheets = [sheet];
  if (host.ownsAddress) document.body.style.margin = "0";
  const box = document.createElement("div");
  shadow.replaceChildren(box);
  const root = createRoot(box);
  root.render(<Root host={host} />);
  return () => {
    root.unmount();
    shadow.replaceChildren();
  };
}
