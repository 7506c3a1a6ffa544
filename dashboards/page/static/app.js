// The page: hears snapshots, fills the sections, and asks for the chosen brand's chart and posts.

import { BrandChart, sparkline } from "./chart.js";
import { byId, follow, h, mark, s, say, show } from "./dom.js";
import { groupProof, proof } from "./evidence.js";
import { drawFacets } from "./facets.js";
import { Feed, ask } from "./event_stream.js";
import { askWhoMayAct, drawSilences, orders } from "./operator_actions.js";
import { HOUR, MINUTE, copies, count, moment, near, people, percent, plural, span, words } from "./format.js";

const RANGES = [[1, "1 h"], [6, "6 h"], [24, "24 h"], [168, "7 d"], [720, "30 d"]];
const FILTER_FROM = 9;
const CLOSED_SHOWN = 10;
const POSTS_SHOWN = 6;

// An alert's link names the moment it fired, `?brand=…&at=<ms>`: six hours are shown, one of them after it.
const address = new URLSearchParams(location.search);
const fired = Number(address.get("at")) || null;
const state = {
  brand: address.get("brand"),
  hours: Number(address.get("hours")) || (fired ? 6 : 24),
  until: Number(address.get("until")) || (fired && fired + HOUR),
  snapshot: null,
  known: null,
  link: "connecting",
  asked: 0,
  posts: [],
  allPosts: false,
  filter: "",
};
const chart = new BrandChart(byId("chart"));

// ---- hearing the server

function heard(snapshot) {
  state.snapshot = snapshot;
  state.heardAt = Date.now();
  show(byId("trouble"), false);
  announce(snapshot.episodes.open);
  drawAll();
  askForBrand();
}

function troubled(reason) {
  tellTrouble(`The numbers stand still: ${reason}`);
}

function linked(link, reason = "") {
  if (link === "lost") tellTrouble(reason || "No connection to the server. Trying again every two seconds.");
  else if (state.link === "lost") show(byId("trouble"), false);
  state.link = link;
  mark(byId("link"), "state", link);
  say(byId("link-words"), { live: "Live", polling: "Live", lost: "Disconnected", connecting: "Connecting" }[link]);
}

function tellTrouble(sentence) {
  const since = state.heardAt ? ` What you see is from ${new Date(state.heardAt).toLocaleTimeString("en-GB")}, your time.` : "";
  say(byId("trouble"), sentence + since);
  show(byId("trouble"), true);
}

function announce(open) {
  const known = state.known;
  state.known = new Set(open.map((episode) => episode.key));
  const fresh = known ? open.filter((episode) => !known.has(episode.key)) : [];
  if (fresh.length) {
    say(byId("announce"), fresh.map((episode) => `New episode: ${subject(episode)}. ${episode.latest.reason}`).join(" "));
  }
  document.title = open.length ? `(${open.length}) brandpulse` : "brandpulse";
}

// ---- the chosen brand

function choose(brand, { hours = state.hours, until = null, scroll = false } = {}) {
  const moved = brand !== state.brand;
  Object.assign(state, { brand, hours, until });
  const query = new URLSearchParams({ brand, hours: String(hours), ...(until ? { until: String(until) } : {}) });
  history.replaceState(null, "", `?${query}`);
  if (moved) {
    state.allPosts = false;
    byId("negatives").replaceChildren();
    show(byId("facets-panel"), false);
  }
  drawAll();
  askForBrand();
  if (scroll) byId("detail").scrollIntoView({ block: "start", behavior: still() ? "auto" : "smooth" });
}

async function askForBrand() {
  const { brand, hours, until } = state;
  if (!brand || !state.snapshot.overview.brands.some((known) => known.name === brand)) return;
  const turn = ++state.asked;
  const past = until ? `&until=${until}` : "";
  try {
    const [series, negatives, facets] = await Promise.all([
      ask(`/api/brands/${encodeURIComponent(brand)}/series?hours=${hours}${past}`),
      ask(`/api/negatives?brand=${encodeURIComponent(brand)}`),
      // By itself: what it cannot read must not hold up the chart, and a store that is away the others tell of.
      ask(`/api/brands/${encodeURIComponent(brand)}/facets`).catch(() => null),
    ]);
    if (turn !== state.asked) return;
    drawChart(series);
    if (facets !== null) drawFacets(facets, state.snapshot.episodes.open);
    state.posts = negatives;
    drawNegatives();
  } catch (error) {
    if (turn === state.asked && state.link !== "lost") troubled(error.message);
  }
}

// ---- drawing

function drawAll() {
  const { overview, episodes, health } = state.snapshot;
  const brands = ordered(overview.brands, episodes.open);
  if (state.until >= overview.clock_ms) state.until = null;
  if (!brands.some((brand) => brand.name === state.brand)) state.brand = brands[0]?.name ?? null;
  const time = byId("clock");
  say(time, overview.clock_ms === null ? "waiting" : moment(overview.clock_ms));
  if (overview.clock_ms !== null) time.dateTime = new Date(overview.clock_ms).toISOString();
  drawHeadline(overview, episodes.open, health);
  drawEpisodes(episodes, overview.clock_ms);
  drawSilences(state.snapshot.silences);
  drawCards(brands, episodes.open);
  drawDetailHead();
  drawHealth(health, overview.clock_ms);
}

function ordered(brands, open) {
  const firing = new Set(open.map((episode) => episode.brand));
  const rise = (brand) => brand.hour.negative_share - (brand.baseline_share ?? 0);
  return [...brands].sort((a, b) => firing.has(b.name) - firing.has(a.name) || relevant(b.hour) * rise(b) - relevant(a.hour) * rise(a) || a.name.localeCompare(b.name));
}

function drawHeadline(overview, open, health) {
  const firing = [...new Set(open.map(subject))];
  const [mood, sentence, more] = headline(overview, firing, health);
  mark(byId("verdict"), "mood", mood);
  say(byId("verdict"), sentence);
  say(byId("verdict-more"), more);
  sentences(byId("banners"), health.banners);
  const hour = overview.brands.reduce((sum, brand) => sum + brand.hour.posts, 0);
  const day = overview.brands.reduce((sum, brand) => sum + brand.day.posts, 0);
  const negative = overview.brands.reduce((sum, brand) => sum + brand.hour.negative, 0);
  const about = overview.brands.reduce((sum, brand) => sum + relevant(brand.hour), 0);
  facts([
    ["Brands", count(overview.brands.length)],
    ["Mentions, last hour", count(hour)],
    ["Negative, last hour", about ? percent(negative / about) : "–"],
    ["Mentions, 24 h", count(day)],
  ]);
}

/** A list of sentences; hidden without any. */
function sentences(node, all) {
  show(node, all.length > 0);
  follow(node, all, (sentence) => sentence, (sentence) => h("li", null, sentence), () => {});
}

/** Posts that say something about the brand: shares are of these. */
const relevant = (window) => window.posts - window.irrelevant;

function headline(overview, firing, health) {
  if (overview.clock_ms === null && health.doubtful) return ["warn", "No post is counted", "Posts came, and none of them counts for a brand."];
  if (overview.clock_ms === null) return ["waiting", "Waiting for the first post", health.sentence];
  if (firing.length === 1) return ["alarm", `${firing[0]} needs attention`, "The reason and the numbers stand under Episodes."];
  if (firing.length) return ["alarm", `${firing.length} ${firing.includes(STREAM) ? "episodes" : "brands"} need attention`, firing.join(", ")];
  if (health.verdict === "bad") return ["warn", "No brand is firing, but the pipeline needs you", health.sentence];
  if (!health.alerter.leading) return ["warn", "Counting, but nobody decides about alerts", "No alerter runs: start one with `brandpulse alerter`."];
  if (health.doubtful) return ["warn", "No brand is firing, but many posts are missing", "They are not counted, or came too late to be alerted on."];
  return ["calm", "All calm", "No brand's negative share has risen beyond what its own past explains."];
}

function facts(items) {
  follow(byId("facts"), items, ([name]) => name, ([name]) => h("div", null, h("dt", null, name), h("dd")), (node, [, value]) => say(node.lastElementChild, value));
}

function drawCards(brands, open) {
  show(byId("filter-label"), brands.length >= FILTER_FROM);
  const wanted = state.filter.toLowerCase();
  const shown = brands.filter((brand) => brand.name.toLowerCase().includes(wanted));
  follow(byId("cards"), shown, (brand) => brand.name, makeCard, (node, brand) => fillCard(node, brand, open));
  const none = byId("cards-empty");
  show(none, !shown.length);
  if (!brands.length && state.snapshot.health.doubtful) tell(none, "No post counts for a brand yet. The reason stands above.");
  else if (!brands.length) tell(none, "No posts yet: run ", h("code", null, "brandpulse ingest file posts.jsonl"), ", or ", h("code", null, "brandpulse demo"), " to see it move.");
  else if (!shown.length) tell(none, `No brand's name holds “${state.filter}”.`);
}

function makeCard(brand) {
  const parts = {
    badge: h("span", { class: "badge" }),
    share: h("span", { class: "card-share" }),
    delta: h("span", { class: "card-delta" }),
    spark: s("svg", { class: "spark", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }),
    hour: h("span", { class: "card-number" }),
    day: h("span", { class: "card-number" }),
  };
  const card = h(
    "button",
    { type: "button", class: "card", onclick: () => choose(brand.name) },
    h("span", { class: "card-head" }, h("span", { class: "card-name" }, brand.name), parts.badge),
    h("span", { class: "card-main" }, h("span", { class: "card-figure" }, parts.share, h("span", { class: "card-unit" }, "negative")), parts.delta),
    h("span", { class: "spark-frame" }, parts.spark),
    h("span", { class: "card-foot" }, h("span", { class: "card-span" }, "Last hour"), parts.hour),
    h("span", { class: "card-foot" }, h("span", { class: "card-span" }, "24 hours"), parts.day),
  );
  card.parts = parts;
  return card;
}

function fillCard(card, brand, open) {
  const { parts } = card;
  const episode = open.find((one) => one.brand === brand.name);
  card.setAttribute("aria-pressed", String(brand.name === state.brand));
  mark(card, "firing", episode ? "yes" : "no");
  say(parts.badge, episode ? `Firing · ${episode.severity}` : "");
  show(parts.badge, Boolean(episode));
  say(parts.share, relevant(brand.hour) ? percent(brand.hour.negative_share) : "–");
  const [direction, sentence] = against(brand);
  mark(parts.delta, "direction", direction);
  say(parts.delta, sentence);
  say(parts.hour, brand.hour.posts ? `${plural(brand.hour.posts, "post")} · ${plural(brand.hour.authors, "person", "people")}` : "silent");
  const beside = brand.day.irrelevant ? ` · ${percent(brand.day.irrelevant / brand.day.posts)} irrelevant` : "";
  say(parts.day, `${plural(brand.day.posts, "post")} · ${percent(brand.day.negative_share)} negative${beside}`);
  const drawn = JSON.stringify(brand.spark);
  if (card.drawn !== drawn) sparkline(parts.spark, brand.spark);
  card.drawn = drawn;
}

function against(brand) {
  if (brand.baseline_share === null) return ["none", "no week of history yet"];
  const usual = `usual ${percent(brand.baseline_share)}`;
  if (!relevant(brand.hour)) return ["none", usual];
  const points = Math.round((brand.hour.negative_share - brand.baseline_share) * 100);
  // Two standard errors: the share of seventeen posts wanders by twenty points without any reason.
  const noise = 200 * Math.sqrt((brand.baseline_share * (1 - brand.baseline_share)) / relevant(brand.hour));
  if (Math.abs(points) < Math.max(2, noise)) return ["level", `about as usual, ${percent(brand.baseline_share)}`];
  return points > 0 ? ["up", `▲ ${points} points, ${usual}`] : ["down", `▼ ${-points} points, ${usual}`];
}

function drawDetailHead() {
  show(byId("detail"), state.brand !== null);
  if (state.brand === null) return;
  say(byId("detail-title"), state.brand);
  for (const button of byId("ranges").children) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.hours) === state.hours));
  }
  show(byId("past"), state.until !== null);
  if (state.until) say(byId("past-words"), `Shown up to ${moment(state.until)}.`);
}

function drawChart(series) {
  const { overview, episodes } = state.snapshot;
  const brand = overview.brands.find((one) => one.name === series.brand);
  const mine = [...episodes.open, ...episodes.closed].filter((episode) => episode.brand === series.brand);
  chart.show(series, { usual: brand?.baseline_share ?? null, episodes: mine });
}

function drawNegatives() {
  const { posts } = state;
  const list = byId("negatives");
  const more = byId("negatives-more");
  show(more, posts.length > POSTS_SHOWN && !state.allPosts);
  say(more, `Show all ${posts.length}`);
  follow(list, state.allPosts ? posts : posts.slice(0, POSTS_SHOWN), (post) => `${post.source}\n${post.id}`, makePost, sayCopies);
  show(list, posts.length > 0);
  show(byId("negatives-empty"), !posts.length);
  say(byId("negatives-empty"), posts.length ? "" : `Nobody has written anything negative about ${state.brand} yet.`);
}

const COPIES_MEAN = "Of the last three hours. A new account wrote nothing about the brand in the seven days before.";

function makePost(post) {
  const link = webAddress(post.url);
  return h(
    "li",
    { class: "post" },
    h("p", { class: "post-text", dir: "auto" }, post.text),
    h(
      "p",
      { class: "post-foot" },
      h("time", { datetime: new Date(post.created_ms).toISOString() }, near(post.created_ms, null)),
      saidBy(post),
      h("span", null, post.source),
      h("span", null, `${percent(post.negative)} sure`),
      link && h("a", { href: link, target: "_blank", rel: "noopener noreferrer nofollow" }, "Open the post"),
    ),
  );
}

const saidBy = (post) => h("span", { class: "copies", title: COPIES_MEAN, hidden: copies(post) === null }, copies(post) ?? "");

function sayCopies(node, post) {
  const said = node.querySelector(".copies");
  show(said, copies(post) !== null);
  say(said, copies(post) ?? "");
}

/** *url* if it is http or https: a stranger wrote it. */
function webAddress(url) {
  try {
    const parsed = new URL(url);
    return ["http:", "https:"].includes(parsed.protocol) ? parsed.href : null;
  } catch {
    return null;
  }
}

// ---- episodes

function drawEpisodes(episodes, clockMs) {
  const { open, closed } = episodes;
  say(byId("episodes-count"), open.length ? `${open.length} firing` : "");
  follow(byId("firing"), open, (e) => e.key, () => h("article", { class: "episode" }), (node, e) => fillEpisode(node, e, clockMs));
  const empty = byId("firing-empty");
  show(empty, !open.length);
  say(empty, clockMs === null ? "Episodes appear here when a brand's negative share really rises." : "Nothing is firing.");
  const earlier = closed.slice(0, CLOSED_SHOWN);
  show(byId("closed-title"), earlier.length > 0);
  show(byId("closed"), earlier.length > 0);
  follow(byId("closed"), earlier, (e) => e.key, makeClosed, () => {});
}

// The alerter's episodes about the stream itself, stalled or silent, are of brand "*": no share, no chart.
const STREAM = "The stream";
const ofStream = (episode) => episode.brand === "*";
const subject = (episode) => (episode.members_total ? "Many brands" : ofStream(episode) ? STREAM : episode.brand);

function fillEpisode(node, episode, clockMs) {
  const drawn = JSON.stringify(episode);
  if (node.drawn === drawn) return;
  const opened = node.querySelector("details")?.open ?? false;
  const focused = node.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  node.drawn = drawn;
  mark(node, "severity", episode.severity);
  const { latest } = episode;
  const id = `e${[...episode.key].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) >>> 0, 7)}`;
  node.setAttribute("aria-labelledby", id);
  node.replaceChildren(
    h("p", { class: "episode-head" }, h("span", { class: "badge" }, episode.severity), h("span", null, words(episode.rule))),
    h("h3", { id }, subject(episode)),
    h("p", { class: "reason" }, latest.reason),
    ...body(episode, clockMs, { opened, choose }),
    orders(episode, subject(episode)),
  );
  if (focused) [...node.querySelectorAll("button, select, summary")].find((control) => nameOf(control) === focused)?.focus();
}

/** The same for a control that is built anew. */
const nameOf = (control) => `${control.tagName} ${control.className} ${control.dataset.of ?? ""}`;

function body(episode, clockMs, more) {
  if (episode.members_total) return groupProof(episode, clockMs, more);
  if (ofStream(episode)) return [h("p", { class: "when" }, `Since ${near(Date.parse(episode.started_at), clockMs)}.`)];
  return proof(episode, clockMs, more);
}

function worst({ authors, usual_authors: usual = null, negative_share: share, baseline_share: past }) {
  return usual === null ? `peak ${percent(share)}, usual ${percent(past)}` : `peak ${count(authors)} people, usual ${people(usual)}`;
}

function makeClosed(episode) {
  const began = Date.parse(episode.started_at);
  const ended = Date.parse(episode.resolved_at ?? episode.updated_at);
  const lasted = `${near(began, null)} · lasted ${span(Math.max(0, ended - began))}`;
  if (ofStream(episode)) {
    const name = episode.members_total ? `${subject(episode)}, ${plural(episode.members_total, "episode")}` : words(episode.rule);
    return h("li", { class: "closed-row" }, h("span", { class: "closed-name" }, name), h("span", { class: "closed-more" }, lasted));
  }
  return h(
    "li",
    null,
    h(
      "button",
      { type: "button", class: "closed-row", onclick: () => choose(episode.brand, { hours: 6, until: ended + HOUR, scroll: true }) },
      h("span", { class: "closed-name" }, episode.brand),
      h("span", { class: "closed-more" }, `${lasted} · ${worst(episode.peak)}`),
    ),
  );
}

// ---- pipeline

function drawHealth(health, clockMs) {
  const sentence = byId("health-sentence");
  mark(sentence, "verdict", health.verdict);
  say(sentence, health.sentence);
  sentences(byId("notes"), health.notes);
  show(byId("partitions"), health.partitions.length > 0);
  follow(
    byId("partitions"),
    health.partitions,
    (p) => `${p.topic}:${p.partition}`,
    (p) => h("li", { class: "partition" }, h("span", { class: "partition-name" }, `${p.topic} ${p.partition}`), h("span", { class: "partition-words" }), h("span", { class: "partition-more" })),
    (node, p) => {
      mark(node, "state", p.state);
      say(node.children[1], p.words);
      const upTo = p.watermark_ms === null ? "no posts yet" : `complete to ${near(p.watermark_ms, clockMs)}`;
      say(node.children[2], `${upTo} · offset ${count(p.next)}`);
      node.title = p.owner ? `worker ${p.owner}` : "";
    },
  );
  const { alerter } = health;
  const decided = alerter.evaluated_until_ms === null ? "nothing yet" : `up to ${near(alerter.evaluated_until_ms, clockMs)}`;
  const items = [
    ["Newest post", clockMs === null ? "none yet" : newest(clockMs), ""],
    ["Alerts decided", alerter.leading ? decided : "no alerter runs", alerter.leading ? "" : "warn"],
    ["Notifications waiting", count(alerter.pending), alerter.pending > 20 ? "warn" : ""],
    ["Notifications refused", count(alerter.quarantined), alerter.quarantined ? "warn" : ""],
    ["Unreadable posts", count(health.dead), ""],
    ["Repeats left out", count(health.repeated), ""],
    ["Late posts", count(health.late), ""],
    ["Posts of no brand", count(health.unmatched), ""],
    ["Not read: language", count(health.unread), ""],
  ];
  if (health.lost) items.push(["Lost to retention", count(health.lost), "warn"]);
  follow(byId("counters"), items, ([name]) => name, ([name]) => h("div", null, h("dt", null, name), h("dd")), (node, [, value, level]) => {
    say(node.lastElementChild, value);
    mark(node, "level", level);
  });
}

function newest(clockMs) {
  const ago = Date.now() - clockMs;
  return ago < 10 * MINUTE ? "just now" : `${span(ago)} ago`;
}

// ---- controls

function tell(node, ...children) {
  const fresh = h("p", null, ...children);
  if (node.textContent !== fresh.textContent) node.replaceChildren(...fresh.childNodes);
}

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function currentTheme() {
  return document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function nameTheme() {
  byId("theme").setAttribute("aria-label", `Switch to the ${currentTheme() === "dark" ? "light" : "dark"} theme`);
}

byId("theme").addEventListener("click", () => {
  const next = currentTheme() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem("brandpulse-theme", next); } catch { /* storage may be forbidden */ }
  nameTheme();
});
byId("filter").addEventListener("input", (event) => { state.filter = event.target.value; drawAll(); });
byId("negatives-more").addEventListener("click", () => {
  const first = byId("negatives").children.length;
  state.allPosts = true;
  drawNegatives();
  // The button is gone: the focus goes to the first post it brought.
  const fresh = byId("negatives").children[first];
  fresh?.setAttribute("tabindex", "-1");
  fresh?.focus();
});
byId("past-back").addEventListener("click", () => choose(state.brand));
byId("ranges").append(
  ...RANGES.map(([hours, text]) => h("button", { type: "button", "data-hours": hours, "aria-pressed": "false", onclick: () => choose(state.brand, { hours, until: state.until }) }, text)),
);
nameTheme();
askWhoMayAct();
new Feed({ heard, troubled, linked }).start();
