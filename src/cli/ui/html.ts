/** The page and its changing part, as HTML. Pure: everything that comes from outside is escaped here. */
import type { MapNode, RoutingMap } from "./routingMap.ts";

const codes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
/** Markup, and what is not seen or turns the direction of a text: a caller chooses his name. */
export const escapeHtml = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]|(?![\uFE00-\uFE0F])[\p{Cf}\p{DI}]/gu, "\uFFFD")
    .replaceAll(/[&<>"']/g, (one) => codes[one] ?? "");

/** Its text is HTML already. */
class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}
type Part = Html | string | number | readonly Html[];
const written = (part: Part): string =>
  part instanceof Html
    ? part.text
    : typeof part === "object"
      ? part.map(({ text }) => text).join("")
      : escapeHtml(String(part));
const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Html =>
  new Html(strings.map((text, at) => text + (at < parts.length ? written(parts[at] as Part) : "")).join(""));
const nothing = html``;

/** @param source where the routers are, e.g. "namespace voice of https://10.0.0.1:6443" */
export const renderPage = (source: string, content: string): string =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>SIP routing map</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="/style.css" />
        <script src="/script.js" defer></script>
      </head>
      <body>
        <a class="skip" href="#map">Skip to the map</a>
        <header>
          <h1>SIP routing map</h1>
          <p>${source}</p>
          <p>
            <span id="freshness" role="status">as of now</span> <button type="button" id="pause" hidden>Pause</button>
          </p>
        </header>
        <main id="map" tabindex="-1">${new Html(content)}</main>
        <footer>
          <p>
            Read only. Choose an entry with <kbd>Tab</kbd> and <kbd>Enter</kbd> to see where its calls go;
            <kbd>Esc</kbd> ends that.
          </p>
        </footer>
      </body>
    </html> `.text;

/** What is drawn again. */
export const renderMaps = (maps: readonly RoutingMap[]): string =>
  maps.length === 0 ? html`<p>There is no SipRouter.</p>`.text : maps.map((map) => renderMap(map).text).join("");

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;

function renderMap(map: RoutingMap): Html {
  const name = `${map.namespace}/${map.router}`;
  const id = `router-${map.namespace}-${map.router}`.replaceAll(/[^A-Za-z0-9-]/g, "_");
  const readyPods = map.pods.filter(({ ready }) => ready).length;
  return html`<section class="router" aria-labelledby="${id}">
    <h2 id="${id}">
      ${name} <span class="state ${map.ready ? "good" : "bad"}">${map.ready ? "Ready" : "not Ready"}</span>
    </h2>
    <p class="sum">${plural(map.calls, "call")} · ${readyPods} of ${plural(map.pods.length, "pod")} ready</p>
    ${problemsOf(map)}
    <div class="lanes">
      <svg class="edges" aria-hidden="true" focusable="false"></svg>
      ${lane(id, "Callers", map.callers, "nobody calls now", map.routes)}
      ${lane(id, "Routes", map.routes, "no routes", map.sets)} ${lane(id, "Sets", map.sets, "no sets", map.backends)}
      ${lane(id, "Backends", map.backends, "no backends", [])}
    </div>
    <ul class="pods" aria-label="Pods of ${name}">
      ${map.pods.map(
        (pod) =>
          html`<li class="${pod.ready ? "good" : "bad"}">
            ${pod.name}: ${pod.ready ? "ready" : "not ready"},
            ${pod.calls === undefined ? "no answer" : plural(pod.calls, "call")}
          </li>`,
      )}
    </ul>
  </section>`;
}

function problemsOf({ problems, notAnswering }: RoutingMap): Html {
  if (problems.length + notAnswering.length === 0) return html`<p class="good">Nothing is wrong.</p>`;
  const items = [
    ...notAnswering.map(
      ({ pod, error }) => html`<li class="bad"><strong>Pod ${pod}</strong> does not answer: ${error}</li>`,
    ),
    ...problems.map(
      ({ object, what, message, remedy, severe }) =>
        html`<li class="${severe ? "bad" : "warn"}">
          <strong>${object}</strong> ${what}: ${message} <em>${remedy}</em>
        </li>`,
    ),
  ];
  return html`<ul class="problems" aria-label="Problems">
    ${items}
  </ul>`;
}

function lane(router: string, title: string, nodes: readonly MapNode[], none: string, next: readonly MapNode[]): Html {
  const names = new Map(next.map(({ id, name }) => [id, name]));
  const id = `${router}-${title.toLowerCase()}`;
  const items = nodes.map((node) => html`<li>${card(router, node, names)}</li>`);
  return html`<div class="lane">
    <h3 id="${id}">${title}</h3>
    ${
      nodes.length === 0
        ? html`<p class="none">${none}</p>`
        : html`<ul aria-labelledby="${id}">
            ${items}
          </ul>`
    }
  </div>`;
}

const tones: Readonly<Record<string, string>> = { Active: "good", Inactive: "bad", Mixed: "warn", Unknown: "warn" };

function card(router: string, node: MapNode, names: ReadonlyMap<string, string>): Html {
  const { id, name, detail, state, calls, latencyMs, to } = node;
  const targets = to.flatMap((one) => names.get(one) ?? []);
  const facts = [
    ...(calls === undefined ? [] : [plural(calls, "call")]),
    ...(latencyMs === undefined ? [] : [`${latencyMs.toFixed(1)} ms`]),
  ];
  return html`<button
    type="button"
    class="card"
    id="${router}-${id}"
    aria-pressed="false"
    data-to="${to.map((one) => `${router}-${one}`).join(" ")}"
    data-calls="${calls ?? 0}"
  >
    <span class="name">${name}</span
    >${state === undefined ? nothing : html` <span class="state ${tones[state] ?? "off"}">${state}</span>`}
    ${detail === "" ? nothing : html`<span class="detail">${detail}</span>`}
    ${facts.length === 0 ? nothing : html`<span class="facts">${facts.join(" · ")}</span>`}
    ${targets.length === 0 ? nothing : html`<span class="to">to ${targets.join(", ")}</span>`}
  </button>`;
}
