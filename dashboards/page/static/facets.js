// The selected brand's facets: current share of people against the baseline, watching rules, and firing state.

import { byId, h, setData, setText, setVisible, syncChildren } from "./dom.js";
import { count, percent, plural } from "./format.js";

const SEVERITIES = ["info", "warning", "error", "critical"];

export function drawFacets({ brand, people, facets }, open) {
  setVisible(byId("facets-panel"), facets.length > 0);
  setText(byId("facets-note"), people ? `Of ${plural(people, "person", "people")} in the last hour` : "No posts in the last hour");
  const shown = facets.map((facet) => ({ ...facet, of: people, firing: highestSeverity(open, brand, facet.name) }));
  shown.sort((a, b) => SEVERITIES.indexOf(b.firing) - SEVERITIES.indexOf(a.firing) || excess(b) - excess(a) || a.name.localeCompare(b.name));
  syncChildren(byId("facets"), shown, (facet) => `${brand}\n${facet.name}`, makeRow, fillRow);
}

/** The highest severity among the facet's firing episodes; null if there is none. */
function highestSeverity(open, brand, facet) {
  const mine = open.filter((episode) => episode.brand === brand && episode.latest.facet === facet);
  return mine.map((episode) => episode.severity).sort((a, b) => SEVERITIES.indexOf(b) - SEVERITIES.indexOf(a))[0] ?? null;
}

/** People above the baseline. */
const excess = (facet) => (facet.usual === null ? 0 : (facet.share - facet.usual) * facet.of);

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

/** Allows line breaks after the underscores of a long name. */
const breakable = (name) => name.split(/(?<=_)/).flatMap((part) => [part, h("wbr")]);

function fillRow(row, facet) {
  const { badge, watched, now, usual, people } = row.parts;
  setData(row, "firing", facet.firing === null ? "no" : "yes");
  setText(badge, facet.firing === null ? "" : `Firing · ${facet.firing}`);
  setVisible(badge, facet.firing !== null);
  setText(watched, facet.rules.length ? `${facet.rules.length === 1 ? "rule" : "rules"}: ${facet.rules.join(", ")}` : "no rule");
  const direction = deviation(facet);
  setData(now, "direction", direction);
  setText(now, `${{ up: "▲ ", down: "▼ ", level: "" }[direction]}${facet.of ? percent(facet.share) : "–"}`);
  setText(usual, facet.usual === null ? "–" : percent(facet.usual));
  setText(people, count(facet.people));
}

/** "up" or "down" beyond two standard errors: with few people a share fluctuates by chance. */
function deviation({ share, usual, of }) {
  if (usual === null || !of) return "level";
  const noise = 2 * Math.sqrt((usual * (1 - usual)) / of);
  if (Math.abs(share - usual) <= Math.max(noise, 0.005)) return "level";
  return share > usual ? "up" : "down";
}
