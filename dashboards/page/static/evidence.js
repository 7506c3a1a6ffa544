// An episode's evidence: its figures, rising terms and example posts; for a group also its members.

import { h } from "./dom.js";
import { copies, count, near, people, percent, plural, span, words } from "./format.js";

const MEMBERS_SHOWN = 10;

/** The evidence of one episode. */
export function episodeEvidence(episode, clockMs, { opened, choose }) {
  const { latest, peak } = episode;
  const volume = typeof latest.usual_authors === "number";
  return [
    h(
      "dl",
      { class: "evidence" },
      ...(volume
        ? [pair("People now", count(latest.authors)), pair("Peak", count(peak.authors)), pair("Baseline", people(latest.usual_authors))]
        : [pair("Now", percent(latest.negative_share)), pair("Peak", percent(peak.negative_share)), pair("Baseline", percent(latest.baseline_share))]),
      pair(latest.facet ? `People in ${latest.facet}` : "People negative", `${count(latest.negative_authors)} of ${count(latest.authors)}`),
      pair(latest.facet ? `Posts in ${latest.facet}` : "Posts negative", `${count(latest.negative_posts)} of ${count(latest.posts)}`),
      pair("Odds by chance", odds(latest.p_value)),
    ),
    h("p", { class: "when" }, timeline(episode, clockMs)),
    h("p", { class: "episode-actions" }, h("button", { type: "button", class: "text-button to-chart", onclick: () => choose(episode.brand, { hours: 6, scroll: true }) }, "Show in chart")),
    accountsLine(latest),
    risingTerms(latest),
    sourceLine(latest),
    examples(latest.examples, opened),
  ].filter((node) => node !== null); // replaceChildren would write "null"
}

/** The evidence of a group: terms and sources its members share, and the most affected of them. */
export function groupEvidence(episode, clockMs, { opened, choose }) {
  const { latest } = episode;
  const firing = episode.members.filter((one) => one.state === "firing").slice(0, MEMBERS_SHOWN);
  const more = episode.members_total - firing.length;
  return [
    h("p", { class: "when" }, timeline(episode, clockMs)),
    risingTerms(latest),
    sourceLine(latest),
    h("p", { class: "when members-title" }, "Most affected:"),
    h("ul", { class: "members" }, ...firing.map((one) => member(one, choose))),
    more > 0 ? h("p", { class: "when" }, `and ${count(more)} more, firing or resolved.`) : null,
    examples(latest.examples, opened),
  ].filter((node) => node !== null);
}

function member(one, choose) {
  const open = h("button", { type: "button", class: "text-button to-member", "data-of": one.key, onclick: () => choose(one.brand, { hours: 6, scroll: true }) }, one.brand);
  const excess = one.extra_people ? ` · ${plural(one.extra_people, "extra person", "extra people")}` : "";
  const share = `${percent(one.negative_share)}, baseline ${percent(one.baseline_share)}${excess}`;
  const volume = `${plural(one.people ?? 0, "person", "people")}, baseline ${people(one.usual_people ?? 0)}`;
  const numbers = `${one.severity} · ${words(one.rule).toLowerCase()} ${typeof one.usual_people === "number" ? volume : share}`;
  return h("li", null, open, h("span", { class: "when" }, numbers));
}

function timeline(episode, clockMs) {
  const began = Date.parse(episode.started_at);
  const fired = Date.parse(episode.fired_at);
  const lasted = clockMs === null ? "" : `, ${span(Math.max(0, clockMs - began))} ago`;
  return `Started ${near(began, clockMs)}${lasted}; fired ${near(fired, clockMs)}; figures as of ${near(Date.parse(episode.latest.window_end), clockMs)}.`;
}

const pair = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));

function odds(p) {
  if (p > 0.1) return percent(p);
  const inverse = 1 / p;
  if (p <= 0 || inverse >= 1e9) return "< 1 in 1 bn";
  if (inverse >= 1e6) return `1 in ${count(Math.round(inverse / 1e6))} m`;
  return `1 in ${count(Number(inverse.toPrecision(2)))}`;
}

/** Terms in more posts than usual, or the reason why there are none. Episodes of older versions have neither. */
function risingTerms({ terms = [], terms_missing: missing = null }) {
  if (!terms.length) return missing === null ? null : h("p", { class: "when" }, `No rising terms: ${missing}.`);
  const group = typeof terms[0].brands === "number";
  return h(
    "div",
    { class: "terms" },
    h("p", { class: "when" }, group ? "Rising terms:" : `Rising terms in ${plural(terms[0].of, "post")}:`),
    h("ul", null, ...terms.map((one) => h("li", null, h("b", { dir: "auto" }, one.term), group ? acrossBrands(one) : ` ${plural(one.posts, "post")}, ${usually(one)}`))),
    group && missing !== null ? h("p", { class: "when" }, `${missing.charAt(0).toUpperCase()}${missing.slice(1)}.`) : null,
  );
}

/** Accounts that share one text, are new, or have no vote. */
function accountsLine({ one_text_accounts: alike = null, new_accounts: fresh = null, shown_accounts: shown = null, copied_authors: copied = null, excluded_authors: excluded = null }) {
  const parts = [];
  if (alike >= 3) parts.push(`${count(alike)} posted one text`);
  if (fresh !== null && shown) parts.push(`${fresh ? count(fresh) : "none"} of ${count(shown)} are new`);
  const without = [];
  if (copied) without.push(`${count(copied)} with copies`);
  if (excluded) without.push(excluded === 1 ? "1 that behaves like a bot" : `${count(excluded)} that behave like bots`);
  if (without.length) parts.push(`no vote for ${without.join(" and ")}`);
  return parts.length ? h("p", { class: "when" }, `Accounts: ${parts.join("; ")}.`) : null;
}

const usually = (term) => `usually ${term.usual_share ? percent(term.usual_share) : "none"}`;

const acrossBrands = (term) => ` at ${plural(term.brands, "brand")}: ${count(term.posts)} of ${plural(term.of, "post")}, ${usually(term)}`;

function sourceLine(latest) {
  const { sources = [] } = latest;
  if (!sources.length) return null;
  return h("p", { class: "when" }, `Sources of ${sampled(latest)}: ${sources.map((one) => `${one.source} ${count(one.posts)}`).join(", ")}.`);
}

/** The posts whose sources are counted. */
function sampled({ facet = null, usual_authors: usual = null, kept_posts: many = null, posts, negative_posts: negative }) {
  const kind = facet ? `posts in ${facet}` : usual === null ? "negative posts" : "posts";
  const total = usual === null ? negative : posts;
  if (many === null) return `the stored ${kind} (not all)`;
  return many >= total ? `all ${kind}` : `a sample of ${count(many)} of ${count(total)} ${kind}`;
}

function examples(posts, opened) {
  if (!posts.length) return null;
  return h(
    "details",
    { class: "examples", open: opened },
    h("summary", null, plural(posts.length, "example post")),
    h("ul", null, ...posts.map((post) => h("li", null, h("span", { dir: "auto" }, post.text), copiesNote(post)))),
  );
}

function copiesNote(post) {
  const text = copies(post);
  return text === null ? null : h("span", { class: "copies" }, text);
}
