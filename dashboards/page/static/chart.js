// The brand's chart: negative share above, posts by sentiment below, one time axis in UTC event time.

import { h, s, setText, setVisible } from "./dom.js";
import { DAY, HOUR, MINUTE, clock, count, day, moment, near, percent, plural } from "./format.js";

const TICK_STEPS = [5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 10_080, 20_160].map((m) => m * MINUTE);
const LEFT = 54;
const RIGHT = 14;
const SHARE = { top: 26, height: 150 };
const VOLUME = { top: 212, height: 92 };
const BOTTOM = 26;
const HEIGHT = VOLUME.top + VOLUME.height + BOTTOM;
const GAPS_LISTED = 5;
const GAP_LABELS = { away: "not read", rereading: "read again now", lost: "posts missing" };
const KINDS = ["negative", "neutral", "positive", "irrelevant"];

// A bar is [start, negative, neutral, positive, negative and relevant posts of the share, irrelevant].
const counts = (bar) => [bar[1], bar[2], bar[3], bar[6]];
const posts = (bar) => bar[1] + bar[2] + bar[3] + bar[6];
const share = (bar) => (bar[5] ? bar[4] / bar[5] : null);

export class BrandChart {
  constructor(root) {
    this.cursor = null;
    this.svg = s("svg", { class: "chart-svg", "aria-hidden": "true", focusable: "false" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.spoken = h("p", { class: "unseen", "aria-live": "polite" });
    this.plot = h(
      "div",
      {
        class: "plot",
        tabindex: "0",
        role: "application",
        "aria-roledescription": "chart",
        onkeydown: (event) => this.key(event),
        onpointermove: (event) => this.point(event),
        onpointerdown: (event) => this.point(event),
        onpointerleave: () => this.move(null),
        onblur: () => this.move(null),
      },
      this.svg,
      this.tip,
    );
    this.empty = h("p", { class: "empty", hidden: true });
    this.legend = h("ul", { class: "legend", "aria-label": "Legend" });
    this.rows = h("tbody");
    this.table = h(
      "details",
      { class: "as-table", ontoggle: () => this.fillTable() },
      h("summary", null, "Show as table"),
      h(
        "div",
        { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Chart data" },
        h(
          "table",
          null,
          h("thead", null, h("tr", null, ...["From (UTC)", "Posts", "Negative", "Neutral", "Positive", "Irrelevant", "Share"].map((t) => h("th", { scope: "col" }, t)))),
          this.rows,
        ),
      ),
    );
    this.missing = h("ul", { class: "missing", "aria-label": "Periods of which posts may be missing", hidden: true });
    root.replaceChildren(this.legend, this.plot, this.missing, this.spoken, this.empty, this.table);
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  /** *series* from the server; *baseline* share or null; *episodes* of this brand. */
  show(series, { baseline, episodes }) {
    this.series = series;
    this.baseline = baseline;
    this.episodes = episodes;
    this.draw();
    this.fillTable();
  }

  draw() {
    if (!this.series) return;
    const { bars, brand } = this.series;
    const any = bars.some((bar) => posts(bar) > 0);
    setVisible(this.plot, any);
    setVisible(this.legend, any);
    setVisible(this.table, any);
    setVisible(this.empty, !any);
    this.listGaps();
    setText(this.empty, any ? "" : `No posts about ${brand} in this time range. Select a longer one.`);
    if (!any) return;
    const width = Math.max(280, Math.floor(this.plot.clientWidth));
    this.step = this.series.step_minutes * MINUTE;
    this.from = bars[0][0];
    this.to = bars.at(-1)[0] + this.step;
    this.inner = width - LEFT - RIGHT;
    this.x = (ms) => LEFT + ((ms - this.from) / (this.to - this.from)) * this.inner;
    this.topShare = niceShare(Math.max(this.baseline ?? 0, ...bars.map((bar) => share(bar) ?? 0)));
    this.topVolume = niceCount(Math.max(...bars.map(posts)));
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", HEIGHT);
    this.mark = s("g", { class: "cursor" });
    this.svg.replaceChildren(
      hatches(),
      ...this.spans(),
      ...this.gapAreas(),
      ...this.grid(width),
      ...this.timeAxis(),
      ...this.volumes(),
      ...this.shares(width),
      this.mark,
    );
    this.writeLegend();
    this.plot.setAttribute("aria-label", this.summary());
    this.move(this.cursor !== null && this.cursor < bars.length ? this.cursor : null);
  }

  /** The time a share covers: "over the past hour", or one bar if bars are longer than that. */
  shareWords() {
    return this.series.share_minutes > this.series.step_minutes ? "over the past hour" : `per ${stepWords(this.series.step_minutes)}`;
  }

  yShare(value) {
    return SHARE.top + SHARE.height * (1 - value / this.topShare);
  }

  yVolume(value) {
    return VOLUME.top + VOLUME.height * (1 - value / this.topVolume);
  }

  spans() {
    return this.episodes
      .map((episode) => [Date.parse(episode.started_at), episode.resolved_at ? Date.parse(episode.resolved_at) : this.to])
      .filter(([start, end]) => end > this.from && start < this.to)
      .map(([start, end]) => {
        const left = this.x(Math.max(start, this.from));
        const wide = Math.max(2, this.x(Math.min(end, this.to)) - left);
        return s("rect", { class: "span", x: left, width: wide, y: SHARE.top, height: VOLUME.top + VOLUME.height - SHARE.top });
      });
  }

  /** Periods that a source did not read: hatched, with words where they fit. Refilled ones only at the time axis. */
  gapAreas() {
    const bottom = VOLUME.top + VOLUME.height;
    return this.series.gaps.flatMap((gap) => {
      const left = this.x(Math.max(gap.begin_ms, this.from));
      const wide = Math.max(3, this.x(Math.min(gap.end_ms, this.to)) - left);
      if (gap.state === "refilled") return [s("rect", { class: "gap refilled", x: left, width: wide, y: bottom, height: 4 })];
      const words = GAP_LABELS[gap.state];
      return [
        s("rect", { class: `gap ${gap.state}`, x: left, width: wide, y: SHARE.top, height: bottom - SHARE.top }),
        s("rect", { class: `gap-edge ${gap.state}`, x: left, width: wide, y: bottom, height: 4 }),
        ...(wide > words.length * 6.4 ? [s("text", { class: "gap-label", x: left + wide / 2, y: VOLUME.top + 12 }, words)] : []),
      ];
    });
  }

  gapsOf(bar) {
    return this.series.gaps.filter((gap) => gap.begin_ms < bar[0] + this.step && gap.end_ms > bar[0]);
  }

  /** In words below the chart: the reason, and times that a hatched area cannot show. */
  listGaps() {
    const gaps = [...this.series.gaps].reverse();
    setVisible(this.missing, gaps.length > 0);
    const items = gaps.slice(0, GAPS_LISTED).map((gap) => h("li", { "data-state": gap.state }, gapWords(gap, this.series.until_ms)));
    if (gaps.length > GAPS_LISTED) items.push(h("li", null, `${count(gaps.length - GAPS_LISTED)} more: brandpulse ingest gaps`));
    this.missing.replaceChildren(...items);
  }

  grid(width) {
    const parts = [
      s("text", { class: "axis-title", x: 0, y: 12 }, `Negative share ${this.shareWords()}`),
      s("text", { class: "axis-title", x: 0, y: VOLUME.top - 12 }, `Posts per ${stepWords(this.series.step_minutes)}`),
    ];
    for (const part of [0, 0.5, 1]) {
      const atShare = part * this.topShare;
      parts.push(line(LEFT, width - RIGHT, this.yShare(atShare)), label(this.yShare(atShare), percent(atShare)));
      const atVolume = part * this.topVolume;
      if (Number.isInteger(atVolume)) {
        parts.push(line(LEFT, width - RIGHT, this.yVolume(atVolume)), label(this.yVolume(atVolume), count(atVolume)));
      }
    }
    return parts;
  }

  timeAxis() {
    const room = Math.max(2, this.inner / 62);
    const step = TICK_STEPS.find((ms) => (this.to - this.from) / ms <= room) ?? TICK_STEPS.at(-1);
    const parts = [];
    for (let at = Math.ceil(this.from / step) * step; at < this.to; at += step) {
      const x = this.x(at);
      if (x > LEFT + this.inner - 12) continue;
      const midnight = at % DAY === 0;
      parts.push(s("line", { class: midnight ? "tick midnight" : "tick", x1: x, x2: x, y1: SHARE.top, y2: VOLUME.top + VOLUME.height + 4 }));
      parts.push(s("text", { class: midnight ? "x-label strong" : "x-label", x, y: HEIGHT - 6 }, midnight ? day(at) : clock(at)));
    }
    return parts;
  }

  volumes() {
    const slot = this.inner / this.series.bars.length;
    const gap = slot > 6 ? 2 : slot > 3 ? 1 : 0;
    const paths = { negative: "", neutral: "", positive: "", irrelevant: "" };
    for (const bar of this.series.bars) {
      let base = 0;
      KINDS.forEach((kind, index) => {
        const value = counts(bar)[index];
        if (!value) return;
        const y = this.yVolume(base + value);
        const x = this.x(bar[0]) + gap / 2;
        paths[kind] += `M${x.toFixed(1)} ${y.toFixed(1)}h${(slot - gap).toFixed(2)}V${this.yVolume(base).toFixed(1)}h${(gap - slot).toFixed(2)}z`;
        base += value;
      });
    }
    return KINDS.map((kind) => s("path", { class: `bar ${kind}`, d: paths[kind] }));
  }

  shares(width) {
    let path = "";
    let area = "";
    let run = [];
    const close = () => {
      if (!run.length) return;
      path += run.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("");
      if (run.length === 1) path += "h0.1";
      const floor = this.yShare(0);
      area += `M${run[0][0]} ${floor}` + run.map(([x, y]) => `L${x} ${y}`).join("") + `L${run.at(-1)[0]} ${floor}z`;
      run = [];
    };
    for (const bar of this.series.bars) {
      const value = share(bar);
      if (value === null) close();
      else run.push([(this.x(bar[0] + this.step / 2)).toFixed(1), this.yShare(value).toFixed(1)]);
    }
    close();
    const parts = [s("path", { class: "share-area", d: area }), s("path", { class: "share-line", d: path })];
    if (this.baseline !== null) {
      const y = this.yShare(this.baseline);
      parts.push(s("line", { class: "usual", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }));
    }
    return parts;
  }

  writeLegend() {
    const items = [["negative", "Negative"], ["neutral", "Neutral"], ["positive", "Positive"]];
    if (this.series.bars.some((bar) => bar[6])) items.push(["irrelevant", "Irrelevant"]);
    if (this.baseline !== null) items.push(["usual", `Baseline ${percent(this.baseline)}`]);
    if (this.series.gaps.some((gap) => gap.state !== "refilled")) items.push(["gap", "Posts missing"]);
    if (this.series.gaps.some((gap) => gap.state === "refilled")) items.push(["refilled", "Read later"]);
    if (this.svg.querySelector(".span")) items.push(["during", "Episode"]);
    this.legend.replaceChildren(...items.map(([kind, text]) => h("li", null, h("span", { class: `swatch ${kind}` }), text)));
  }

  summary() {
    const { brand, bars, hours } = this.series;
    const all = bars.reduce((sum, bar) => sum + posts(bar), 0);
    const negative = bars.reduce((sum, bar) => sum + bar[1], 0);
    const relevant = bars.reduce((sum, bar) => sum + posts(bar) - bar[6], 0);
    const time = hours < 48 ? plural(hours, "hour") : plural(hours / 24, "day");
    return `${brand}, ${time}: ${plural(all, "post")}, ${relevant ? `${percent(negative / relevant)} negative` : "all irrelevant"}.${this.series.gaps.some((gap) => gap.state !== "refilled") ? " Posts may be missing in some periods." : ""} Use the arrow keys to read the values.`;
  }

  key(event) {
    const last = this.series.bars.length - 1;
    const at = this.cursor ?? last + 1;
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last, PageUp: at - 10, PageDown: at + 10 };
    if (event.key === "Escape") this.move(null);
    else if (event.key in moves) this.move(Math.min(last, Math.max(0, moves[event.key])), { speak: true });
    else return;
    event.preventDefault();
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    const part = (event.clientX - box.left - LEFT) / this.inner;
    if (part < 0 || part > 1) this.move(null);
    else this.move(Math.min(this.series.bars.length - 1, Math.floor(part * this.series.bars.length)));
  }

  move(index, { speak = false } = {}) {
    this.cursor = index;
    setVisible(this.tip, index !== null);
    this.mark?.replaceChildren();
    if (index === null) return;
    const bar = this.series.bars[index];
    const value = share(bar);
    const x = this.x(bar[0] + this.step / 2);
    this.mark.append(s("line", { x1: x, x2: x, y1: SHARE.top, y2: VOLUME.top + VOLUME.height }));
    if (value !== null) this.mark.append(s("circle", { cx: x, cy: this.yShare(value), r: 4 }));
    const rows = KINDS.map((kind, i) =>
      h("div", { class: "tip-row" }, h("span", { class: `swatch ${kind}` }), h("span", null, kind), h("b", null, count(counts(bar)[i]))),
    );
    this.tip.replaceChildren(
      h("p", { class: "tip-time" }, this.barTime(bar)),
      h("p", { class: "tip-share" }, value === null ? "no posts" : `${percent(value)} negative`, value === null ? null : h("small", null, ` ${this.shareWords()}`)),
      ...rows,
      ...this.gapsOf(bar).slice(0, 3).map((gap) => h("p", { class: "tip-gap" }, gapWords(gap, this.series.until_ms, { short: true }))),
    );
    const room = this.plot.clientWidth;
    const wide = this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(0, Math.min(room - wide, x > room / 2 ? x - wide - 14 : x + 14))}px`;
    if (speak) setText(this.spoken, `${this.barTime(bar)}: ${value === null ? "no posts" : `${percent(value)} negative ${this.shareWords()}, ${plural(posts(bar), "post")}`}${this.gapsOf(bar).map((gap) => `. ${gapWords(gap, this.series.until_ms, { short: true })}`).join("")}`);
  }

  barTime(bar) {
    return this.step >= DAY ? moment(bar[0]).split(",")[0] : `${day(bar[0])}, ${clock(bar[0])}–${clock(bar[0] + this.step)}`;
  }

  fillTable() {
    if (!this.table.open || !this.series) return;
    this.rows.replaceChildren(
      ...[...this.series.bars].reverse().map((bar) =>
        h("tr", null, h("th", { scope: "row" }, `${day(bar[0])}, ${clock(bar[0])}`),
          ...[posts(bar), ...counts(bar)].map((n) => h("td", null, count(n))),
          h("td", null, share(bar) === null ? "–" : percent(share(bar)))),
      ),
    );
  }
}

/** 24 hours as small bars of posts, with the negative ones at the bottom. */
export function sparkline(svg, hours, gaps = []) {
  const width = 24 * 9;
  const height = 40;
  const top = Math.max(1, ...hours.map((hour) => hour.posts));
  let all = "";
  let negative = "";
  hours.forEach((hour, i) => {
    const x = i * 9 + 1;
    const tall = (hour.posts / top) * height;
    const low = (hour.negative / top) * height;
    if (tall) all += `M${x} ${height}v${(-tall).toFixed(1)}h7v${tall.toFixed(1)}z`;
    if (low) negative += `M${x} ${height}v${(-low).toFixed(1)}h7v${low.toFixed(1)}z`;
  });
  const from = hours[0]?.start_ms ?? 0;
  const holes = gaps
    .filter((gap) => gap.state !== "refilled" && gap.end_ms > from && gap.begin_ms < from + 24 * HOUR)
    .map((gap) => {
      const x = (Math.max(0, gap.begin_ms - from) / HOUR) * 9;
      return s("rect", { class: "spark-gap", x, width: Math.max(2, Math.min(width, ((gap.end_ms - from) / HOUR) * 9) - x), y: 0, height });
    });
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...holes, s("path", { class: "spark-all", d: all }), s("path", { class: "spark-negative", d: negative }));
}

/** "bluesky not read 02:11–03:04 UTC: no route to the server" */
function gapWords(gap, today, { short = false } = {}) {
  const begin = near(gap.begin_ms, today);
  const end = near(gap.end_ms, Math.floor(gap.begin_ms / DAY) === Math.floor(gap.end_ms / DAY) ? gap.end_ms : today);
  const span = gap.state === "away" ? `since ${begin}` : `${begin.replace(" UTC", "")} to ${end}`;
  const words = { away: `not read ${span}`, rereading: `reads ${span} again, counts are not complete yet`, lost: `not read ${span}, posts are missing`, refilled: `${span} read later` }[gap.state];
  return short ? `${gap.source}: ${words}` : `${gap.source}: ${words} (${gap.reason})`;
}

const hatches = () =>
  s("defs", null,
    s("pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, s("rect", { class: "hatch-ground", width: 7, height: 7 }), s("line", { class: "hatch-line", x1: 0, y1: 0, x2: 0, y2: 7 })),
  );

const line = (x1, x2, y) => s("line", { class: "grid", x1, x2, y1: y, y2: y });
const label = (y, text) => s("text", { class: "y-label", x: LEFT - 8, y: y + 4 }, text);

function stepWords(minutes) {
  if (minutes === 1) return "minute";
  if (minutes < 60) return `${minutes} min`;
  if (minutes === 60) return "hour";
  return minutes === DAY / MINUTE ? "day" : `${minutes / (HOUR / MINUTE)} hours`;
}

function niceShare(value) {
  return [0.1, 0.2, 0.4, 0.6, 0.8].find((top) => value <= top * 0.95) ?? 1;
}

function niceCount(value) {
  const size = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 4, 5, 8, 10].map((n) => n * size).find((top) => value <= top) ?? value;
}
