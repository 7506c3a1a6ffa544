// The page: asks the same API as everybody else, and shows what it answers.

import { byId, h } from "./dom.js";
import { cards } from "./heads.js";

const EXAMPLES = [
  ["@acmeair you lost my bag AGAIN 😡 third call, nobody answers", "Acme Air"],
  ["Switched from Nordbank to Pinebank and finally an app that works. Thank you Pinebank!", "Nordbank, Pinebank"],
  ["The screen is gorgeous, but the battery life is a bad joke", "screen, battery life", true],
  ["Oh great, another update that deletes my settings. Just what I needed.", ""],
];
const text = byId("text");
const targets = byId("targets");
const aspects = byId("aspects");
const token = byId("token");
let thresholds = {};
let needsToken = false;
let asking = null;

const authorization = () => (token.value ? { Authorization: `Bearer ${token.value}` } : {});

function body() {
  const named = targets.value.split(",").map((name) => name.trim()).filter((name) => name);
  const towards = named.length ? { targets: named, ...(aspects.checked ? { keep_words: true } : {}) } : {};
  return { text: text.value, ...towards, all_emotions: true };
}

/** The JSON of the response. Throws an Error with a message for the user. */
async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { ...authorization(), ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service does not answer. Is it still running?");
  }
  if (answer.status === 401) requestToken();
  const body = await answer.json().catch(() => ({ detail: `The service answered ${answer.status}.` }));
  if (!answer.ok) throw new Error(answer.status === 401 ? "This service needs a token." : body.detail);
  return body;
}

function requestToken() {
  needsToken = true;
  byId("token-field").hidden = false;
  byId("model-name").textContent = "token required";
}

async function loadModel() {
  const model = await ask("/v1/model");
  thresholds = model.thresholds;
  nameModel(model.model);
  text.maxLength = model.limits.text_characters;
}

function nameModel(model) {
  byId("model-name").textContent = model.name;
  byId("model-version").textContent = model.version;
  byId("model-version").hidden = false;
}

async function score() {
  asking?.abort();
  if (!text.value.trim()) {
    complain("Write a text first.");
    text.focus();
    return;
  }
  const mine = new AbortController();
  asking = mine;
  const sent = body();
  const started = performance.now();
  say("Scoring");
  complain("");
  try {
    if (needsToken) await loadModel();
    const answer = await ask("/v1/score", {
      method: "POST", signal: mine.signal, body: JSON.stringify(sent), headers: { "Content-Type": "application/json" },
    });
    nameModel(answer.model);
    show(answer.results[0], sent);
    say(`Scored in ${Math.max(1, performance.now() - started).toFixed(0)} ms`);
  } catch (error) {
    if (mine.signal.aborted) return;
    say("");
    complain(error.message);
    if (needsToken && !token.value) token.focus();
  }
}

function show(result, sent) {
  byId("empty").hidden = true;
  byId("cards").replaceChildren(...cards(result, thresholds));
  byId("cards").hidden = false;
  const urgency = byId("urgency");
  urgency.hidden = !result.urgency;
  urgency.dataset.level = result.urgency ?? "";
  urgency.textContent = result.urgency ? `Urgency: ${result.urgency}` : "";
  byId("command").textContent = curl(sent);
  byId("curl").hidden = false;
  // On a phone the result is below the form, out of sight.
  const said = byId("said");
  if (said.getBoundingClientRect().top > innerHeight * 0.6) said.scrollIntoView({ block: "start" });
}

function curl(sent) {
  const quoted = `'${JSON.stringify(sent).replaceAll("'", String.raw`'\''`)}'`;
  const shown = needsToken ? ` \\\n  -H "Authorization: Bearer $BRANDPULSE_SERVE_TOKEN"` : "";
  return `curl ${location.origin}/v1/score \\\n  -H 'Content-Type: application/json'${shown} \\\n  -d ${quoted}`;
}

const say = (words) => { byId("status").textContent = words; };

function complain(words) {
  byId("trouble").textContent = words;
  byId("trouble").hidden = !words;
}

const count = () => {
  const characters = [...text.value].length;
  byId("count").textContent = characters ? `${characters.toLocaleString("en")} characters.` : "";
};

async function copy() {
  const button = byId("copy");
  try {
    await navigator.clipboard.writeText(byId("command").textContent);
    button.textContent = "Copied";
  } catch {
    // No clipboard without https: select it, so that Ctrl-C is all that is left to do.
    getSelection().selectAllChildren(byId("command"));
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function example([words, named, areAspects = false]) {
  const use = () => {
    text.value = words;
    targets.value = named;
    aspects.checked = areAspects;
    count();
    score();
  };
  return h("li", {}, h("button", { type: "button", class: "example", onclick: use }, words));
}

byId("examples").append(...EXAMPLES.map(example));
byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  score();
});
byId("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    score();
  }
});
text.addEventListener("input", count);
byId("copy").addEventListener("click", copy);
loadModel().catch((error) => { if (!needsToken) complain(error.message); });
