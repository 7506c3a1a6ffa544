// The page: receives snapshots, fills the sections, and loads the selected brand's chart, facets and posts.

import { BrandChart, sparkline } from "./chart.js";
import { byId, h, s, setData, setText, setVisible, syncChildren } from "./dom.js";
import { episodeEvidence, groupEvidence } from "./evidence.js";
import { drawFacets } from "./facets.js";
import { SnapshotStream, getJson } from "./event_stream.js";
import { drawSources } from "./live_sources.js";
import { drawSilences, episodeActions, loadPermissions } from "./operator_actions.js";
import { HOUR, MINUTE, copies, count, moment, near, people, percent, plural, span, words } from "./format.js";

const RANGES = [[1, "1 h"], [6, "6 h"], [24, "24 h"], [168, "7 d"], [720, "30 d"]];
const FILTER_FROM = 9;
const CLOSED_SHOWN = 10;
const POSTS_SHOWN = 6;
const LANGUAGES_SHOWN = 4;

// An alert's link holds the time it fired, `?brand=…&at=<ms>`: the chart shows five hours before it and one after.
const address = new URLSearchParams(location.search);
const firedAt = Number(address.get("at")) || null;
const state = {
  brand: address.get("brand"),
  hours: Number(address.get("hours")) || (firedAt ? 6 : 24),
  until: Number(address.get("until")) || (firedAt && firedAt + HOUR),
  snapshot: null,
  announced: null,
  link: "connecting",
  requests: 0,
  posts: [],
  allPosts: false,
  filter: "",
};
const chart = new BrandChart(byId("chart"));

// ---- connection

function onSnapshot(snapshot) {
  state.snapshot = snapshot;
  state.snapshotAt = Date.now();
  setVisible(byId("trouble"), false);
  announce(snapshot.episodes.open);
  drawAll();
  loadBrand();
}

function onError(reason) {
  showProblem(`Updates stopped: ${reason}`);
}

function onConnection(link, reason = "") {
  if (link === "lost") showProblem(reason || "No connection to the server. Retrying every 2 seconds.");
  else if (state.link === "lost") setVisible(byId("trouble"), false);
  state.link = link;
  setData(byId("link"), "state", link);
  setText(byId("link-words"), { live: "Live", polling: "Live", lost: "Disconnected", connecting: "Connecting" }[link]);
}

function showProblem(sentence) {
  const since = state.snapshotAt ? ` Last update: ${new Date(state.snapshotAt).toLocaleTimeString("en-GB")}, local time.` : "";
  setText(byId("trouble"), sentence + since);
  setVisible(byId("trouble"), true);
}

function announce(open) {
  const announced = state.announced;
  state.announced = new Set(open.map((episode) => episode.key));
  const fresh = announced ? open.filter((episode) => !announced.has(episode.key)) : [];
  if (fresh.length) {
    setText(byId("announce"), fresh.map((episode) => `New episode: ${subject(episode)}. ${episode.latest.reason}`).join(" "));
  }
  document.title = open.length ? `(${open.length}) brandpulse` : "brandpulse";
}

// ---- the selected brand

function choose(brand, { hours = state.hours, until = null, scroll = false } = {}) {
  const changed = brand !== state.brand;
  Object.assign(state, { brand, hours, until });
  const query = new URLSearchParams({ brand, hours: String(hours), ...(until ? { until: String(until) } : {}) });
  history.replaceState(null, "", `?${query}`);
  if (changed) {
    state.allPosts = false;
    byId("negatives").replaceChildren();
    setVisible(byId("facets-panel"), false);
  }
  drawAll();
  loadBrand();
  if (scroll) byId("detail").scrollIntoView({ block: "start", behavior: reducedMotion() ? "auto" : "smooth" });
}

async function loadBrand() {
  const { brand, hours, until } = state;
  if (!brand || !state.snapshot.overview.brands.some((known) => known.name === brand)) return;
  const request = ++state.requests;
  const past = until ? `&until=${until}` : "";
  try {
    const [series, negatives, facets] = await Promise.all([
      getJson(`/api/brands/${encodeURIComponent(brand)}/series?hours=${hours}${past}`),
      getJson(`/api/negatives?brand=${encodeURIComponent(brand)}`),
      // A failure of the facets must not hide the chart; if Redis is down, the other two requests report it.
      getJson(`/api/brands/${encodeURIComponent(brand)}/facets`).catch(() => null),
    ]);
    if (request !== state.requests) return;
    drawChart(series);
    if (facets !== null) drawFacets(facets, state.snapshot.episodes.open);
    state.posts = negatives;
    drawNegatives();
  } catch (error) {
    if (request === state.requests && state.link !== "lost") onError(error.message);
  }
}

// ---- drawing

function drawAll() {
  const { overview, episodes, health } = state.snapshot;
  const brands = ordered(overview.brands, episodes.open);
  if (state.until >= overview.clock_ms) state.until = null;
  if (!brands.some((brand) => brand.name === state.brand)) state.brand = brands[0]?.name ?? null;
  const time = byId("clock");
  setText(time, overview.clock_ms === null ? "no posts yet" : moment(overview.clock_ms));
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
  setData(byId("verdict"), "mood", mood);
  setText(byId("verdict"), sentence);
  setText(byId("verdict-more"), more);
  drawSentences(byId("banners"), health.banners);
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

/** Fills a list with sentences; hides it if there are none. */
function drawSentences(node, all) {
  setVisible(node, all.length > 0);
  syncChildren(node, all, (sentence) => sentence, (sentence) => h("li", null, sentence), () => {});
}

/** Posts that say something about the brand. Shares are of these. */
const relevant = (window) => window.posts - window.irrelevant;

function headline(overview, firing, health) {
  if (overview.clock_ms === null && health.doubtful) return ["warn", "No posts counted", "Posts were read, but none was counted for a brand."];
  const unread = health.unread_sources.length;
  const notRead = `${plural(unread, "live source")} ${unread === 1 ? "is" : "are"} not read`;
  if (overview.clock_ms === null && unread) return ["warn", `No posts yet: ${notRead}`, "The reason is below."];
  if (overview.clock_ms === null) return ["waiting", "Waiting for the first post", health.sentence];
  if (firing.length === 1) return ["alarm", `${firing[0]} needs attention`, "See Episodes for the reason and the figures."];
  if (firing.length) return ["alarm", `${firing.length} ${firing.includes(STREAM) || firing.includes(GROUP) ? "episodes" : "brands"} need attention`, firing.join(", ")];
  if (health.verdict === "bad") return ["warn", "No brand is firing, but the pipeline needs attention", health.sentence];
  if (!health.alerter.leading) return ["warn", "Posts are counted, but alerts are not evaluated", "No alerter is running: start one with `brandpulse alerter`."];
  if (unread) return ["warn", `No brand is firing, but ${notRead}`, "Posts are missing: fewer posts do not mean calm. The reason is below."];
  if (health.doubtful) return ["warn", "No brand is firing, but many posts are missing", "They were not counted, or arrived too late for alerting."];
  return ["calm", "All clear", "No brand's negative share is significantly above its baseline."];
}

function facts(items) {
  syncChildren(byId("facts"), items, ([name]) => name, ([name]) => h("div", null, h("dt", null, name), h("dd")), (node, [, value]) => setText(node.lastElementChild, value));
}

function drawCards(brands, open) {
  setVisible(byId("filter-label"), brands.length >= FILTER_FROM);
  const filter = state.filter.toLowerCase();
  const shown = brands.filter((brand) => brand.name.toLowerCase().includes(filter));
  syncChildren(byId("cards"), shown, (brand) => brand.name, makeCard, (node, brand) => fillCard(node, brand, open));
  const none = byId("cards-empty");
  setVisible(none, !shown.length);
  if (!brands.length && state.snapshot.health.doubtful) setContent(none, "No posts counted for a brand yet. See the reason above.");
  else if (!brands.length) setContent(none, "No posts yet: run ", h("code", null, "brandpulse ingest file posts.jsonl"), ", or ", h("code", null, "brandpulse demo"), " for a demonstration.");
  else if (!shown.length) setContent(none, `No brand matches “${state.filter}”.`);
}

function makeCard(brand) {
  const parts = {
    badge: h("span", { class: "badge" }),
    share: h("span", { class: "card-share" }),
    delta: h("span", { class: "card-delta" }),
    spark: s("svg", { class: "spark", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }),
    hour: h("span", { class: "card-number" }),
    day: h("span", { class: "card-number" }),
    languages: h("span", { class: "card-number" }),
    languagesRow: null,
  };
  parts.languagesRow = h("span", { class: "card-foot", hidden: true }, h("span", { class: "card-span" }, "Languages"), parts.languages);
  const card = h(
    "button",
    { type: "button", class: "card", onclick: () => choose(brand.name) },
    h("span", { class: "card-head" }, h("span", { class: "card-name" }, brand.name), parts.badge),
    h("span", { class: "card-main" }, h("span", { class: "card-figure" }, parts.share, h("span", { class: "card-unit" }, "negative")), parts.delta),
    h("span", { class: "spark-frame" }, parts.spark),
    h("span", { class: "card-foot" }, h("span", { class: "card-span" }, "Last hour"), parts.hour),
    h("span", { class: "card-foot" }, h("span", { class: "card-span" }, "24 hours"), parts.day),
    parts.languagesRow,
  );
  card.parts = parts;
  return card;
}

function fillCard(card, brand, open) {
  const { parts } = card;
  const episode = open.find((one) => one.brand === brand.name);
  card.setAttribute("aria-pressed", String(brand.name === state.brand));
  setData(card, "firing", episode ? "yes" : "no");
  setText(parts.badge, episode ? `Firing · ${episode.severity}` : "");
  setVisible(parts.badge, Boolean(episode));
  setText(parts.share, relevant(brand.hour) ? percent(brand.hour.negative_share) : "–");
  const [direction, sentence] = deviation(brand);
  setData(parts.delta, "direction", direction);
  setText(parts.delta, sentence);
  setText(parts.hour, brand.hour.posts ? `${plural(brand.hour.posts, "post")} · ${plural(brand.hour.authors, "person", "people")}` : "no posts");
  const irrelevant = brand.day.irrelevant ? ` · ${percent(brand.day.irrelevant / brand.day.posts)} irrelevant` : "";
  setText(parts.day, `${plural(brand.day.posts, "post")} · ${percent(brand.day.negative_share)} negative${irrelevant}`);
  // A brand with English posts only needs no line about languages.
  const languages = Object.entries(brand.languages);
  const total = languages.reduce((sum, [, posts]) => sum + posts, 0);
  setVisible(parts.languagesRow, languages.some(([code]) => code !== "en"));
  setText(parts.languages, languages.slice(0, LANGUAGES_SHOWN).map(([code, posts]) => `${code} ${percent(posts / total)}`).join(" · "));
  parts.languagesRow.title = languages.map(([code, posts]) => `${languageName(code)}: ${plural(posts, "post")}`).join("\n");
  const { gaps } = state.snapshot.overview;
  const drawn = JSON.stringify([brand.spark, gaps.map((gap) => [gap.state, Math.floor(gap.begin_ms / MINUTE), Math.floor(gap.end_ms / MINUTE)])]);
  if (card.drawn !== drawn) sparkline(parts.spark, brand.spark, gaps);
  card.drawn = drawn;
}

const languageNames = new Intl.DisplayNames(["en"], { type: "language" });
const languageName = (code) => (code === "other" ? "Unsupported languages, not counted" : languageNames.of(code));

function deviation(brand) {
  if (brand.baseline_share === null) return ["none", "no baseline yet"];
  const baseline = `baseline ${percent(brand.baseline_share)}`;
  if (!relevant(brand.hour)) return ["none", baseline];
  const points = Math.round((brand.hour.negative_share - brand.baseline_share) * 100);
  // Two standard errors: the share of 17 posts fluctuates by 20 points by chance.
  const noise = 200 * Math.sqrt((brand.baseline_share * (1 - brand.baseline_share)) / relevant(brand.hour));
  if (Math.abs(points) < Math.max(2, noise)) return ["level", `near baseline, ${percent(brand.baseline_share)}`];
  return points > 0 ? ["up", `▲ ${points} points, ${baseline}`] : ["down", `▼ ${-points} points, ${baseline}`];
}

function drawDetailHead() {
  setVisible(byId("detail"), state.brand !== null);
  if (state.brand === null) return;
  setText(byId("detail-title"), state.brand);
  for (const button of byId("ranges").children) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.hours) === state.hours));
  }
  setVisible(byId("past"), state.until !== null);
  if (state.until) setText(byId("past-words"), `Showing data until ${moment(state.until)}.`);
}

function drawChart(series) {
  const { overview, episodes } = state.snapshot;
  const brand = overview.brands.find((one) => one.name === series.brand);
  const mine = [...episodes.open, ...episodes.closed].filter((episode) => episode.brand === series.brand);
  chart.show(series, { baseline: brand?.baseline_share ?? null, episodes: mine });
}

function drawNegatives() {
  const { posts } = state;
  const list = byId("negatives");
  const more = byId("negatives-more");
  setVisible(more, posts.length > POSTS_SHOWN && !state.allPosts);
  setText(more, `Show all ${posts.length}`);
  syncChildren(list, state.allPosts ? posts : posts.slice(0, POSTS_SHOWN), (post) => `${post.source}\n${post.id}`, makePost, updateCopies);
  setVisible(list, posts.length > 0);
  setVisible(byId("negatives-empty"), !posts.length);
  setText(byId("negatives-empty"), posts.length ? "" : `No negative posts about ${state.brand} yet.`);
}

const COPIES_HELP = "In the last 3 hours. A new account posted nothing about the brand in the 7 days before.";

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
      copiesOf(post),
      h("span", null, post.source),
      h("span", null, `${percent(post.negative)} confidence`),
      link && h("a", { href: link, target: "_blank", rel: "noopener noreferrer nofollow" }, "Open post"),
    ),
  );
}

const copiesOf = (post) => h("span", { class: "copies", title: COPIES_HELP, hidden: copies(post) === null }, copies(post) ?? "");

function updateCopies(node, post) {
  const note = node.querySelector(".copies");
  setVisible(note, copies(post) !== null);
  setText(note, copies(post) ?? "");
}

/** *url* if it is http or https, otherwise null: it is untrusted input. */
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
  setText(byId("episodes-count"), open.length ? `${open.length} firing` : "");
  syncChildren(byId("firing"), open, (e) => e.key, () => h("article", { class: "episode" }), (node, e) => fillEpisode(node, e, clockMs));
  const empty = byId("firing-empty");
  setVisible(empty, !open.length);
  setText(empty, clockMs === null ? "Episodes appear here when a brand's negative share rises significantly." : "No episodes firing.");
  const resolved = closed.slice(0, CLOSED_SHOWN);
  setVisible(byId("closed-title"), resolved.length > 0);
  setVisible(byId("closed"), resolved.length > 0);
  syncChildren(byId("closed"), resolved, (e) => e.key, makeClosed, () => {});
}

// Episodes about the stream itself (stalled, silent) have brand "*": no share, no chart.
const STREAM = "The stream";
const GROUP = "Many brands";
const ofStream = (episode) => episode.brand === "*";
const subject = (episode) => (episode.members_total ? GROUP : ofStream(episode) ? STREAM : episode.brand);

function fillEpisode(node, episode, clockMs) {
  const drawn = JSON.stringify(episode);
  if (node.drawn === drawn) return;
  const opened = node.querySelector("details")?.open ?? false;
  const focused = node.contains(document.activeElement) ? identity(document.activeElement) : null;
  node.drawn = drawn;
  setData(node, "severity", episode.severity);
  const { latest } = episode;
  const id = `e${[...episode.key].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) >>> 0, 7)}`;
  node.setAttribute("aria-labelledby", id);
  node.replaceChildren(
    h("p", { class: "episode-head" }, h("span", { class: "badge" }, episode.severity), h("span", null, words(episode.rule))),
    h("h3", { id }, subject(episode)),
    h("p", { class: "reason" }, latest.reason),
    ...body(episode, clockMs, { opened, choose }),
    episodeActions(episode, subject(episode)),
  );
  if (focused) [...node.querySelectorAll("button, select, summary")].find((control) => identity(control) === focused)?.focus();
}

/** Equal for a control and its replacement after a redraw. */
const identity = (control) => `${control.tagName} ${control.className} ${control.dataset.of ?? ""}`;

function body(episode, clockMs, more) {
  if (episode.members_total) return groupEvidence(episode, clockMs, more);
  if (ofStream(episode)) return [h("p", { class: "when" }, `Since ${near(Date.parse(episode.started_at), clockMs)}.`)];
  return episodeEvidence(episode, clockMs, more);
}

function peakOf({ authors, usual_authors: usual = null, negative_share: share, baseline_share: baseline }) {
  return usual === null ? `peak ${percent(share)}, baseline ${percent(baseline)}` : `peak ${count(authors)} people, baseline ${people(usual)}`;
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
      h("span", { class: "closed-more" }, `${lasted} · ${peakOf(episode.peak)}`),
    ),
  );
}

// ---- pipeline

function drawHealth(health, clockMs) {
  const sentence = byId("health-sentence");
  setData(sentence, "verdict", health.verdict);
  setText(sentence, health.sentence);
  drawSentences(byId("notes"), health.notes);
  drawSources(health.sources);
  setVisible(byId("partitions"), health.partitions.length > 0);
  syncChildren(
    byId("partitions"),
    health.partitions,
    (p) => `${p.topic}:${p.partition}`,
    (p) => h("li", { class: "partition" }, h("span", { class: "partition-name" }, `${p.topic} ${p.partition}`), h("span", { class: "partition-words" }), h("span", { class: "partition-more" })),
    (node, p) => {
      setData(node, "state", p.state);
      setText(node.children[1], p.words);
      const upTo = p.watermark_ms === null ? "no posts yet" : `watermark ${near(p.watermark_ms, clockMs)}`;
      setText(node.children[2], `${upTo} · offset ${count(p.next)}`);
      node.title = p.owner ? `worker ${p.owner}` : "";
    },
  );
  const { alerter } = health;
  const evaluated = alerter.evaluated_until_ms === null ? "not yet" : `until ${near(alerter.evaluated_until_ms, clockMs)}`;
  const items = [
    ["Newest post", clockMs === null ? "none yet" : newest(clockMs), ""],
    ["Alerts evaluated", alerter.leading ? evaluated : "no alerter running", alerter.leading ? "" : "warn"],
    ["Outbox pending", count(alerter.pending), alerter.pending > 20 ? "warn" : ""],
    ["Outbox quarantined", count(alerter.quarantined), alerter.quarantined ? "warn" : ""],
    ["Dead letters", count(health.dead), ""],
    ["Duplicates dropped", count(health.repeated), ""],
    ["Late posts", count(health.late), ""],
    ["Posts without a brand", count(health.unmatched), ""],
    ["Unsupported language", count(health.unread), ""],
  ];
  if (health.lost) items.push(["Lost to retention", count(health.lost), "warn"]);
  syncChildren(byId("counters"), items, ([name]) => name, ([name]) => h("div", null, h("dt", null, name), h("dd")), (node, [, value, level]) => {
    setText(node.lastElementChild, value);
    setData(node, "level", level);
  });
}

function newest(clockMs) {
  const ago = Date.now() - clockMs;
  return ago < 10 * MINUTE ? "just now" : `${span(ago)} ago`;
}

// ---- controls

function setContent(node, ...children) {
  const fresh = h("p", null, ...children);
  if (node.textContent !== fresh.textContent) node.replaceChildren(...fresh.childNodes);
}

const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function currentTheme() {
  return document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function nameTheme() {
  byId("theme").setAttribute("aria-label", `Switch to the ${currentTheme() === "dark" ? "light" : "dark"} theme`);
}

byId("theme").addEventListener("click", () => {
  const next = currentTheme() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem("brandpulse-theme", next); } catch { /* storage may be blocked */ }
  nameTheme();
});
byId("filter").addEventListener("input", (event) => { state.filter = event.target.value; drawAll(); });
byId("negatives-more").addEventListener("click", () => {
  const first = byId("negatives").children.length;
  state.allPosts = true;
  drawNegatives();
  // The button is hidden now: focus moves to the first added post.
  const fresh = byId("negatives").children[first];
  fresh?.setAttribute("tabindex", "-1");
  fresh?.focus();
});
byId("past-back").addEventListener("click", () => choose(state.brand));
byId("ranges").append(
  ...RANGES.map(([hours, text]) => h("button", { type: "button", "data-hours": hours, "aria-pressed": "false", onclick: () => choose(state.brand, { hours, until: state.until }) }, text)),
);
nameTheme();
loadPermissions();
new SnapshotStream({ onSnapshot, onError, onConnection }).start();
