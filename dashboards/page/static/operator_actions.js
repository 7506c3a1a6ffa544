// What a person asks the alerter for: taking an episode on, silencing it, ending a silence.

import { byId, follow, h, mark, say, show } from "./dom.js";
import { order } from "./event_stream.js";

/** Hides what a viewing token may not do. The server refuses it in any case. */
export async function askWhoMayAct() {
  const answer = await fetch("/api/me", { headers: { Accept: "application/json" } });
  if (answer.ok) document.body.dataset.mayAct = (await answer.json()).may_act ? "yes" : "no";
}

const SPANS = [["1h", "1 hour"], ["4h", "4 hours"], ["1d", "1 day"], ["1w", "1 week"]];

/** Asks; whatever the server refuses is said on the page. *button* rests meanwhile. */
async function ask(button, path, content) {
  button.disabled = true;
  try {
    await order(path, content);
    show(byId("refused"), false);
  } catch (error) {
    say(byId("refused"), `That was not done: ${error.message}`);
    show(byId("refused"), true);
    button.disabled = false;
  }
}

/** The buttons under an open episode; *named* tells apart those of several to a screen reader. */
export function orders(episode, named) {
  const spans = h("select", { class: "span-choice", "aria-label": `How long to silence ${named}` }, ...SPANS.map(([value, text]) => h("option", { value }, text)));
  const silence = h("button", { type: "button", class: "text-button to-silence", "aria-label": `Silence ${named}` }, "Silence for");
  silence.addEventListener("click", () => ask(silence, "/api/silences", { brand: episode.brand, rule: episode.rule, for: spans.value }));
  if (episode.acknowledged_at) {
    const who = episode.acknowledged_by ? ` by ${episode.acknowledged_by}` : "";
    return h("p", { class: "episode-actions" }, h("span", { class: "taken" }, `Taken on${who}`), silence, spans);
  }
  const take = h("button", { type: "button", class: "text-button to-take", "aria-label": `Take ${named} on` }, "Take it on");
  take.addEventListener("click", () => ask(take, "/api/acknowledgements", { key: episode.key }));
  return h("p", { class: "episode-actions" }, take, silence, spans);
}

const until = (iso) => new Date(iso).toLocaleString("en-GB", { timeZone: "UTC", dateStyle: "medium", timeStyle: "short" });

function what(silence) {
  const parts = [silence.brand === "*" ? "The stream" : silence.brand ?? "Every brand"];
  if (silence.rule) parts.push(silence.rule.replaceAll("_", " "));
  if (silence.below) parts.push(`below ${silence.below}`);
  return parts.join(" · ");
}

export function drawSilences(silences) {
  show(byId("silences-section"), silences.length > 0);
  say(byId("silences-count"), `${silences.length}`);
  follow(
    byId("silences"),
    silences,
    (silence) => silence.id,
    (silence) => {
      const end = h("button", { type: "button", class: "text-button to-end", "aria-label": `End the silence of ${what(silence)}` }, "End now");
      end.addEventListener("click", () => ask(end, `/api/silences/${silence.id}/expire`, {}));
      return h("li", { class: "closed-row" }, h("span", { class: "closed-name" }, what(silence)), h("span", { class: "closed-more" }), end);
    },
    (node, silence) => {
      const later = Date.parse(silence.starts_at) > Date.now();
      mark(node, "state", later ? "later" : "active");
      const by = silence.by ? ` · ${silence.by}` : "";
      const why = silence.why ? ` · ${silence.why}` : "";
      say(node.children[1], `${later ? `from ${until(silence.starts_at)} UTC ` : ""}until ${until(silence.ends_at)} UTC${by}${why}`);
    },
  );
}
