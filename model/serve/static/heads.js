// One card for each head of the model: its verdict in words, and a bar for each label.

import { h } from "./dom.js";

const SHOWN_EMOTIONS = 6;
const FLAGS = [
  ["complaint", "Complaint"],
  ["crisis", "Crisis"],
  ["informative", "Actionable"],
  ["sarcasm", "Sarcasm"],
];

const percent = (share) => {
  const value = share * 100;
  return value > 0 && value < 1 ? "<1%" : `${value.toFixed(0)}%`;
};

function bar(label, share, { kind = "plain", threshold = null, said = false } = {}) {
  const fill = h("span", { class: "fill", "data-kind": kind });
  fill.style.setProperty("--share", share);
  const track = h("span", { class: "track", "aria-hidden": "true" }, fill);
  if (threshold !== null) {
    const mark = h("span", { class: "threshold" });
    mark.style.setProperty("--at", threshold);
    track.append(mark);
  }
  return h("li", { class: "bar-row", "data-said": said },
    h("span", { class: "bar-label" }, label),
    track,
    h("span", { class: "bar-share" }, percent(share)));
}

function card(title, verdict, kind, rows, ...more) {
  return h("section", { class: "panel card" },
    h("div", { class: "card-head" },
      h("h3", {}, title),
      verdict === null ? null : h("p", { class: "verdict", "data-kind": kind }, verdict)),
    h("ul", { class: "bars" }, ...rows),
    ...more);
}

const shares = (verdict) => Object.entries(verdict.probabilities)
  .map(([label, share]) => bar(label, share, { kind: label, said: label === verdict.label }));

const sentiment = (found) => card("Sentiment", found.label, found.label, shares(found));

function target(found) {
  const absent = found.found ? null : h("p", { class: "hint" }, "The text does not name it: irrelevant by rule.");
  return card(`Towards ${found.target}`, found.label, found.label, shares(found), absent);
}

function emotions(found, thresholds) {
  const said = new Set(found.labels);
  const order = Object.entries(found.probabilities).sort(([, one], [, other]) => other - one);
  const row = ([label, share]) => bar(label, share, { threshold: thresholds?.[label] ?? 0.5, said: said.has(label) });
  const rest = h("details", { class: "rest" },
    h("summary", {}, `All ${order.length}`),
    h("ul", { class: "bars" }, ...order.slice(SHOWN_EMOTIONS).map(row)));
  const words = found.labels.length ? found.labels.join(", ") : "none above its threshold";
  return card("Emotions", words, "plain", order.slice(0, SHOWN_EMOTIONS).map(row), rest);
}

function flags(score, thresholds) {
  const known = FLAGS.filter(([name]) => score[name]);
  if (!known.length) return null;
  const all = { ...thresholds.risk, ...thresholds.sarcasm };
  const said = known.filter(([name]) => score[name].flag).map(([, words]) => words.toLowerCase());
  const rows = known.map(([name, words]) => bar(words, score[name].probability, {
    kind: score[name].flag ? "raised" : "plain", threshold: all[name] ?? 0.5, said: score[name].flag,
  }));
  return card("Signals", said.length ? said.join(", ") : "none raised", said.length ? "raised" : "plain", rows,
    h("p", { class: "hint" }, "The line marks the threshold of a signal."));
}

/** The cards for one score; *thresholds* as `/v1/model` returns them. */
export function cards(score, thresholds) {
  return [
    sentiment(score.sentiment),
    ...score.targets.map(target),
    flags(score, thresholds),
    score.emotions?.probabilities ? emotions(score.emotions, thresholds.emotion) : null,
    score.mood ? card("Mood", score.mood.label, "plain", shares(score.mood)) : null,
  ].filter((made) => made !== null);
}
