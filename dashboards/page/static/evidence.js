// What an episode shows: the numbers that caused it, its words and posts; of a group also those it stands for.

import { h } from "./dom.js";
import { copies, count, near, people, percent, plural, span, words } from "./format.js";

const MEMBERS_SHOWN = 10;

/** The numbers that caused it, since when, and the posts. */
export function proof(episode, clockMs, { opened, choose }) {
  const { latest, peak } = episode;
  const volume = typeof latest.usual_authors === "number";
  return [
    h(
      "dl",
      { class: "evidence" },
      ...(volume
        ? [pair("People now", count(latest.authors)), pair("Peak", count(peak.authors)), pair("Usual", people(latest.usual_authors))]
        : [pair("Now", percent(latest.negative_share)), pair("Peak", percent(peak.negative_share)), pair("Usual", percent(latest.baseline_share))]),
      pair(latest.facet ? `People in ${latest.facet}` : "Negative people", `${count(latest.negative_authors)} of ${count(latest.authors)}`),
      pair(latest.facet ? `Posts in ${latest.facet}` : "Negative posts", `${count(latest.negative_posts)} of ${count(latest.posts)}`),
      pair("If by chance", chance(latest.p_value)),
    ),
    h("p", { class: "when" }, when(episode, clockMs)),
    h("p", { class: "episode-actions" }, h("button", { type: "button", class: "text-button to-chart", onclick: () => choose(episode.brand, { hours: 6, scroll: true }) }, "Show in the chart")),
    standOut(latest),
    from(latest),
    examples(latest.examples, opened),
  ].filter((node) => node !== null); // replaceChildren would write "null"
}

/** Of a group: what its members have in common, and the worst of them. */
export function groupProof(episode, clockMs, { opened, choose }) {
  const { latest } = episode;
  const firing = episode.members.filter((one) => one.state === "firing").slice(0, MEMBERS_SHOWN);
  const more = episode.members_total - firing.length;
  return [
    h("p", { class: "when" }, when(episode, clockMs)),
    standOut(latest),
    from(latest),
    h("p", { class: "when members-title" }, "The worst of them:"),
    h("ul", { class: "members" }, ...firing.map((one) => member(one, choose))),
    more > 0 ? h("p", { class: "when" }, `and ${count(more)} more, firing or over.`) : null,
    examples(latest.examples, opened),
  ].filter((node) => node !== null);
}

function member(one, choose) {
  const open = h("button", { type: "button", class: "text-button to-member", "data-of": one.key, onclick: () => choose(one.brand, { hours: 6, scroll: true }) }, one.brand);
  const beyond = one.extra_people ? ` · ${plural(one.extra_people, "person", "people")} more than usual` : "";
  const share = `${percent(one.negative_share)}, usually ${percent(one.baseline_share)}${beyond}`;
  const volume = `${plural(one.people ?? 0, "person", "people")}, usually ${people(one.usual_people ?? 0)}`;
  const numbers = `${one.severity} · ${words(one.rule).toLowerCase()} ${typeof one.usual_people === "number" ? volume : share}`;
  return h("li", null, open, h("span", { class: "when" }, numbers));
}

function when(episode, clockMs) {
  const began = Date.parse(episode.started_at);
  const fired = Date.parse(episode.fired_at);
  const lasted = clockMs === null ? "" : `, ${span(Math.max(0, clockMs - began))} ago`;
  return `Began ${near(began, clockMs)}${lasted}; fired ${near(fired, clockMs)}; numbers of ${near(Date.parse(episode.latest.window_end), clockMs)}.`;
}

const pair = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));

function chance(p) {
  if (p > 0.1) return percent(p);
  const odds = 1 / p;
  if (p <= 0 || odds >= 1e9) return "< 1 in 1 bn";
  if (odds >= 1e6) return `1 in ${count(Math.round(odds / 1e6))} m`;
  return `1 in ${count(Number(odds.toPrecision(2)))}`;
}

/** Words that more of the posts hold than usual, or why there are none. Episodes of before had neither. */
function standOut({ terms = [], terms_missing: missing = null }) {
  if (!terms.length) return missing === null ? null : h("p", { class: "when" }, `No words stand out: ${missing}.`);
  const group = typeof terms[0].brands === "number";
  return h(
    "div",
    { class: "terms" },
    h("p", { class: "when" }, group ? "Words that stand out:" : `Words that stand out in ${plural(terms[0].of, "post")}:`),
    h("ul", null, ...terms.map((one) => h("li", null, h("b", { dir: "auto" }, one.term), group ? together(one) : ` ${count(one.posts)}, ${usually(one)}`))),
    group && missing !== null ? h("p", { class: "when" }, `${missing.charAt(0).toUpperCase()}${missing.slice(1)}.`) : null,
  );
}

const usually = (term) => `usually ${term.usual_share ? percent(term.usual_share) : "none"}`;

const together = (term) => ` at ${plural(term.brands, "brand")}: ${count(term.posts)} of ${plural(term.of, "post")}, ${usually(term)}`;

function from(latest) {
  const { sources = [] } = latest;
  if (!sources.length) return null;
  return h("p", { class: "when" }, `${kept(latest)} are from ${sources.map((one) => `${one.source} ${count(one.posts)}`).join(", ")}.`);
}

/** Of which posts sources are counted. */
function kept({ facet = null, usual_authors: usual = null, kept_posts: many = null, posts, negative_posts: negative }) {
  const kind = facet ? `posts in ${facet}` : usual === null ? "negative posts" : "posts";
  const total = usual === null ? negative : posts;
  if (many === null) return `${kind.charAt(0).toUpperCase()}${kind.slice(1)} kept (not all)`;
  return many >= total ? `All ${kind}` : `A sample of ${count(many)} of ${count(total)} ${kind}`;
}

function examples(posts, opened) {
  if (!posts.length) return null;
  return h(
    "details",
    { class: "examples", open: opened },
    h("summary", null, plural(posts.length, "example text")),
    h("ul", null, ...posts.map((post) => h("li", null, h("span", { dir: "auto" }, post.text), number(post)))),
  );
}

function number(post) {
  const said = copies(post);
  return said === null ? null : h("span", { class: "copies" }, said);
}
