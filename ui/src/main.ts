// Where the script of the app begins: it finds out in which page it stands, and shows itself there.
import { AirflowPlugin } from "./airflow_plugin";
import { mount } from "./mount";
import { EmbeddedSource } from "./sources/embedded";
import { storeLibrary } from "./sources/remote";

function placeFor(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found) return found;
  const made = document.createElement("div");
  made.id = id;
  document.body.prepend(made);
  return made;
}

function start(): void {
  const data = document.getElementById("podmap-view");
  const place = document.getElementById("podmap");
  if (data) {
    mount(placeFor("podmap"), {
      source: new EmbeddedSource(data, document.getElementById("podmap-details")),
      library: null,
      others: null,
      opensOnly: false,
      ownsAddress: true,
      choosesScheme: true,
      title: "",
    });
  } else if (place?.dataset.api) {
    const library = storeLibrary(place.dataset.api);
    mount(place, {
      source: null,
      library,
      others: library,
      opensOnly: false,
      ownsAddress: true,
      choosesScheme: true,
      title: "Runs",
    });
  }
}

Object.assign(globalThis, { AirflowPlugin, podmap: AirflowPlugin });

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();

export default AirflowPlugin;
