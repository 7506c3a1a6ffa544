// Hears the server: an event stream, and polling where a proxy swallows event streams. Says so when both are silent.

const SILENT_AFTER = 6_000;
const POLL_EVERY = 2_000;

export class Feed {
  /** *heard*(snapshot), *troubled*(words), *linked*("live" | "polling" | "lost") */
  constructor({ heard, troubled, linked }) {
    this.heard = heard;
    this.troubled = troubled;
    this.linked = linked;
    this.lastHeard = performance.now();
    this.polling = false;
  }

  start() {
    this.open();
    setInterval(() => this.watch(), POLL_EVERY);
  }

  open() {
    const source = new EventSource("/api/events");
    this.source = source;
    const alive = () => {
      this.lastHeard = performance.now();
      this.linked("live");
    };
    source.addEventListener("snapshot", (event) => { alive(); this.heard(JSON.parse(event.data)); });
    source.addEventListener("trouble", (event) => { alive(); this.troubled(JSON.parse(event.data).error); });
    source.addEventListener("beat", alive);
    // A broken stream is opened again by the browser; a refused one is not.
    source.addEventListener("error", () => { this.watch(true); });
  }

  async watch(broken = false) {
    if (!broken && performance.now() - this.lastHeard < SILENT_AFTER) return;
    if (this.polling) return;
    this.polling = true;
    try {
      const answer = await fetch("/api/snapshot", { signal: AbortSignal.timeout(5_000), cache: "no-store" });
      if (answer.status === 401) throw new Error("This page's token is no longer accepted. Open it again with ?token=…");
      const content = await answer.json();
      this.linked(this.source.readyState === EventSource.OPEN ? "live" : "polling");
      if (answer.ok) this.heard(content);
      else this.troubled(content.error);
    } catch (error) {
      this.linked("lost", error.message.startsWith("This page") ? error.message : "");
    } finally {
      this.polling = false;
    }
    if (this.source.readyState === EventSource.CLOSED) this.open();
  }
}

/** JSON of *path*. Throws an Error with the server's own words. */
export async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10_000), cache: "no-store" });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error ?? `the server answered ${answer.status}`);
  return content;
}

/** Asks the server to do something. Throws an Error with its own words. */
export async function order(path, content) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
    signal: AbortSignal.timeout(10_000),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error ?? `the server answered ${answer.status}`);
}
