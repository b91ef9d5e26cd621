/** Style and script of the page. The script fetches the changing part again and draws lines; without it the page is complete, and still. */

/** Between two pictures, milliseconds. */
export const REFRESH_MS = 2000;

export const style = `:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1a1d21; --quiet: #545b64; --line: #868e98; --edge: #9aa3ad;
  --good: #0b6b33; --bad: #b3171f; --warn: #8a4b00; --mark: #0a58ca;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1f2429; --text: #eceff2; --quiet: #b3bac2; --line: #7d8790; --edge: #66707a;
    --good: #63d58c; --bad: #ff9a94; --warn: #ffbf69; --mark: #83b7ff;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.45 system-ui, sans-serif; }
header, main, footer { max-width: 84rem; margin: 0 auto; padding: .75rem 1rem; }
h1 { font-size: 1.35rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 0 0 .25rem; }
h3 { font-size: .95rem; margin: 0 0 .5rem; color: var(--quiet); }
p { margin: 0 0 .35rem; }
header p, footer p, .sum, .none { color: var(--quiet); overflow-wrap: anywhere; }
ul { list-style: none; margin: 0; padding: 0; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .5rem; }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
main:focus { outline: none; }
.router { margin-bottom: 2rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); } .off { color: var(--quiet); }
.state { font-size: .85rem; font-weight: 600; white-space: nowrap; }
.problems { margin: .25rem 0 .75rem; border-left: 4px solid var(--bad); padding-left: .75rem; }
.problems li { margin-bottom: .35rem; overflow-wrap: anywhere; }
.problems em { color: var(--text); font-style: normal; display: block; }
.lanes { position: relative; display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 0 4.5rem; }
.edges { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; overflow: visible; }
.edges path { fill: none; stroke: var(--edge); stroke-width: 1.5; }
.edges path.busy { stroke: var(--good); stroke-width: 3; }
.edges path.chosen { stroke: var(--mark); stroke-width: 4; }
.lane { position: relative; }
.lane li { margin-bottom: .75rem; }
.card {
  display: block; width: 100%; min-height: 2.75rem; text-align: left; font: inherit; color: inherit; cursor: pointer;
  background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .7rem;
}
.card.chosen { border-color: var(--mark); box-shadow: inset 0 0 0 2px var(--mark); }
/* there all borders have one colour, and shadows are none */
@media (forced-colors: active) {
  .card.chosen { border: 3px double Highlight; }
  .card[aria-pressed="true"] { border: 4px solid Highlight; }
  .edges path { stroke: CanvasText; } .edges path.chosen { stroke: Highlight; }
}
.card .name { font-weight: 600; overflow-wrap: anywhere; }
.card .detail, .card .facts, .card .to { display: block; font-size: .875rem; color: var(--quiet); overflow-wrap: anywhere; }
.card .facts { color: var(--text); }
.pods { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-top: .5rem; font-size: .9rem; }
#pause { min-height: 1.75rem; font: inherit; font-size: .85rem; }
.stale { color: var(--bad); font-weight: 600; }
@media (max-width: 50rem) {
  .lanes { display: block; }
  .edges { display: none; }
  .lane { margin-bottom: 1rem; }
}
`;

export const script = `"use strict";
(() => {
  // the server's answer is the only HTML there is, escaped there
  globalThis.trustedTypes?.createPolicy("default", { createHTML: (text) => text });
  const main = document.getElementById("map");
  const freshness = document.getElementById("freshness");
  const pause = document.getElementById("pause");
  let chosen = "";
  let last = main.innerHTML;

  const reached = (id) => {
    const found = new Set([id]);
    const cards = [...main.querySelectorAll(".card")];
    const after = (one) => (one.dataset.to || "").split(" ").filter(Boolean);
    const forward = (from) => {
      const card = document.getElementById(from);
      if (card) for (const to of after(card)) if (!found.has(to)) { found.add(to); forward(to); }
    };
    const back = (to) => {
      for (const card of cards) if (after(card).includes(to) && !found.has(card.id)) { found.add(card.id); back(card.id); }
    };
    forward(id);
    back(id);
    return found;
  };

  const draw = () => {
    const marked = chosen && document.getElementById(chosen) ? reached(chosen) : new Set();
    for (const card of main.querySelectorAll(".card")) {
      card.setAttribute("aria-pressed", String(card.id === chosen));
      card.classList.toggle("chosen", marked.has(card.id));
    }
    for (const svg of main.querySelectorAll(".edges")) {
      const zero = svg.getBoundingClientRect();
      const paths = [];
      for (const card of svg.parentElement.querySelectorAll(".card"))
        for (const id of (card.dataset.to || "").split(" ").filter(Boolean)) {
          const target = document.getElementById(id);
          if (!target) continue;
          const a = card.getBoundingClientRect();
          const b = target.getBoundingClientRect();
          const [x1, y1, x2, y2] = [a.right - zero.left, a.top + a.height / 2 - zero.top, b.left - zero.left, b.top + b.height / 2 - zero.top];
          const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
          path.setAttribute("d", "M" + x1 + " " + y1 + " C" + (x1 + 36) + " " + y1 + " " + (x2 - 36) + " " + y2 + " " + x2 + " " + y2);
          if (Number(card.dataset.calls) > 0 && Number(target.dataset.calls) > 0) path.classList.add("busy");
          if (marked.has(card.id) && marked.has(id)) path.classList.add("chosen");
          paths.push(path);
        }
      svg.replaceChildren(...paths);
    }
  };

  const show = (text) => {
    if (text === last) return;
    const focused = document.activeElement && main.contains(document.activeElement) ? document.activeElement.id : "";
    main.innerHTML = text;
    last = text;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    draw();
  };

  const tell = (text, stale) => {
    if (freshness.textContent !== text) freshness.textContent = text;
    freshness.classList.toggle("stale", stale);
  };

  let paused = false;
  let timer;
  const refresh = async () => {
    if (paused) return;
    // nobody looks: the pods are not asked until somebody does
    if (document.hidden) return document.addEventListener("visibilitychange", refresh, { once: true });
    try {
      const answer = await fetch("/map", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status === 403 ? "start kubectl sip ui again" : "HTTP " + answer.status);
      const text = await answer.text();
      if (paused) return;
      show(text);
      tell("as of now", false);
    } catch (error) {
      if (paused) return;
      tell("No longer fresh: " + error.message, true);
    }
    // one that was under way when the page was paused and went on ends here, too: one timer for all
    clearTimeout(timer);
    timer = setTimeout(refresh, ${REFRESH_MS});
  };

  // WCAG 2.2.2: what changes by itself can be stopped
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    clearTimeout(timer);
    if (paused) tell("Paused at " + new Date().toLocaleTimeString(), false);
    else refresh();
  });

  main.addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (!card) return;
    chosen = chosen === card.id ? "" : card.id;
    draw();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen) { chosen = ""; draw(); }
  });
  addEventListener("resize", draw);
  draw();
  timer = setTimeout(refresh, ${REFRESH_MS});
})();
`;
