// An operator's actions: acknowledge an episode, silence it, end a silence.

import { byId, h, setData, setText, setVisible, syncChildren } from "./dom.js";
import { postJson } from "./event_stream.js";

/** Hides the actions if the token is read-only. The server rejects them in any case. */
export async function loadPermissions() {
  const response = await fetch("/api/me", { headers: { Accept: "application/json" } });
  if (response.ok) document.body.dataset.mayAct = (await response.json()).may_act ? "yes" : "no";
}

const DURATIONS = [["1h", "1 hour"], ["4h", "4 hours"], ["1d", "1 day"], ["1w", "1 week"]];

/** Posts a request and shows the server's error, if any. *button* is disabled meanwhile. */
async function send(button, path, content) {
  button.disabled = true;
  try {
    await postJson(path, content);
    setVisible(byId("refused"), false);
  } catch (error) {
    setText(byId("refused"), `Request failed: ${error.message}`);
    setVisible(byId("refused"), true);
    button.disabled = false;
  }
}

/** The buttons of an open episode; *subject* distinguishes them for screen readers. */
export function episodeActions(episode, subject) {
  const duration = h("select", { class: "span-choice", "aria-label": `Silence duration for ${subject}` }, ...DURATIONS.map(([value, text]) => h("option", { value }, text)));
  const silence = h("button", { type: "button", class: "text-button to-silence", "aria-label": `Silence ${subject}` }, "Silence for");
  silence.addEventListener("click", () => send(silence, "/api/silences", { brand: episode.brand, rule: episode.rule, for: duration.value }));
  if (episode.acknowledged_at) {
    const by = episode.acknowledged_by ? ` by ${episode.acknowledged_by}` : "";
    return h("p", { class: "episode-actions" }, h("span", { class: "taken" }, `Acknowledged${by}`), silence, duration);
  }
  const acknowledge = h("button", { type: "button", class: "text-button to-take", "aria-label": `Acknowledge ${subject}` }, "Acknowledge");
  acknowledge.addEventListener("click", () => send(acknowledge, "/api/acknowledgements", { key: episode.key }));
  return h("p", { class: "episode-actions" }, acknowledge, silence, duration);
}

const until = (iso) => new Date(iso).toLocaleString("en-GB", { timeZone: "UTC", dateStyle: "medium", timeStyle: "short" });

function scope(silence) {
  const parts = [silence.brand === "*" ? "The stream" : silence.brand ?? "All brands"];
  if (silence.rule) parts.push(silence.rule.replaceAll("_", " "));
  if (silence.below) parts.push(`severity below ${silence.below}`);
  return parts.join(" · ");
}

export function drawSilences(silences) {
  setVisible(byId("silences-section"), silences.length > 0);
  setText(byId("silences-count"), `${silences.length}`);
  syncChildren(
    byId("silences"),
    silences,
    (silence) => silence.id,
    (silence) => {
      const end = h("button", { type: "button", class: "text-button to-end", "aria-label": `End silence of ${scope(silence)}` }, "End now");
      end.addEventListener("click", () => send(end, `/api/silences/${silence.id}/expire`, {}));
      return h("li", { class: "closed-row" }, h("span", { class: "closed-name" }, scope(silence)), h("span", { class: "closed-more" }), end);
    },
    (node, silence) => {
      const later = Date.parse(silence.starts_at) > Date.now();
      setData(node, "state", later ? "later" : "active");
      const by = silence.by ? ` · ${silence.by}` : "";
      const why = silence.why ? ` · ${silence.why}` : "";
      setText(node.children[1], `${later ? `from ${until(silence.starts_at)} UTC ` : ""}until ${until(silence.ends_at)} UTC${by}${why}`);
    },
  );
}
