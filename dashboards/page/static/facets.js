// The chosen brand's facets: share of its people now against usual, who watches it, and whether that fires.

import { byId, follow, h, mark, say, show } from "./dom.js";
import { count, percent, plural } from "./format.js";

const GRAVITY = ["info", "warning", "error", "critical"];

export function drawFacets({ brand, people, facets }, open) {
  show(byId("facets-panel"), facets.length > 0);
  say(byId("facets-note"), people ? `Of ${plural(people, "person", "people")} in the last hour` : "Nobody wrote about it in the last hour");
  const shown = facets.map((facet) => ({ ...facet, of: people, firing: gravest(open, brand, facet.name) }));
  shown.sort((a, b) => GRAVITY.indexOf(b.firing) - GRAVITY.indexOf(a.firing) || beyond(b) - beyond(a) || a.name.localeCompare(b.name));
  follow(byId("facets"), shown, (facet) => `${brand}\n${facet.name}`, makeRow, fillRow);
}

/** The severity of what fires about the facet; null where nothing does. */
function gravest(open, brand, facet) {
  const mine = open.filter((episode) => episode.brand === brand && episode.latest.facet === facet);
  return mine.map((episode) => episode.severity).sort((a, b) => GRAVITY.indexOf(b) - GRAVITY.indexOf(a))[0] ?? null;
}

/** So many people more than usual. */
const beyond = (facet) => (facet.usual === null ? 0 : (facet.share - facet.usual) * facet.of);

function makeRow(facet) {
  const badge = h("span", { class: "badge" });
  const watched = h("span", { class: "facet-rules" });
  const row = h(
    "tr",
    null,
    h("th", { scope: "row" }, h("span", { class: "facet-name" }, h("span", null, ...breakable(facet.name)), badge), watched),
    h("td", { class: "facet-now" }),
    h("td"),
    h("td"),
  );
  row.parts = { badge, watched, now: row.children[1], usual: row.children[2], people: row.children[3] };
  return row;
}

/** A name that may be broken after its underscores: it is one long word. */
const breakable = (name) => name.split(/(?<=_)/).flatMap((part) => [part, h("wbr")]);

function fillRow(row, facet) {
  const { badge, watched, now, usual, people } = row.parts;
  mark(row, "firing", facet.firing === null ? "no" : "yes");
  say(badge, facet.firing === null ? "" : `Firing · ${facet.firing}`);
  show(badge, facet.firing !== null);
  say(watched, facet.rules.length ? `watched by ${facet.rules.join(", ")}` : "no rule watches it");
  const direction = against(facet);
  mark(now, "direction", direction);
  say(now, `${{ up: "▲ ", down: "▼ ", level: "" }[direction]}${facet.of ? percent(facet.share) : "–"}`);
  say(usual, facet.usual === null ? "–" : percent(facet.usual));
  say(people, count(facet.people));
}

/** Beyond two standard errors: few people's share wanders without any reason. */
function against({ share, usual, of }) {
  if (usual === null || !of) return "level";
  const noise = 2 * Math.sqrt((usual * (1 - usual)) / of);
  if (Math.abs(share - usual) <= Math.max(noise, 0.005)) return "level";
  return share > usual ? "up" : "down";
}
