// Receives snapshots over an event stream, or by polling where a proxy blocks event streams; reports a lost connection.

const SILENT_AFTER_MS = 6_000;
const POLL_EVERY_MS = 2_000;

class TokenError extends Error {}

export class SnapshotStream {
  /** Callbacks: *onSnapshot*(snapshot), *onError*(message), *onConnection*("live" | "polling" | "lost", message). */
  constructor({ onSnapshot, onError, onConnection }) {
    this.onSnapshot = onSnapshot;
    this.onError = onError;
    this.onConnection = onConnection;
    this.lastEventAt = performance.now();
    this.polling = false;
  }

  start() {
    this.open();
    setInterval(() => this.check(), POLL_EVERY_MS);
  }

  open() {
    const source = new EventSource("/api/events");
    this.source = source;
    const alive = () => {
      this.lastEventAt = performance.now();
      this.onConnection("live");
    };
    source.addEventListener("snapshot", (event) => { alive(); this.onSnapshot(JSON.parse(event.data)); });
    source.addEventListener("trouble", (event) => { alive(); this.onError(JSON.parse(event.data).error); });
    source.addEventListener("beat", alive);
    // The browser reopens a broken stream, but not a rejected one.
    source.addEventListener("error", () => { this.check(true); });
  }

  /** Polls once if the event stream is broken or silent, and opens it again if it is closed. */
  async check(broken = false) {
    if (!broken && performance.now() - this.lastEventAt < SILENT_AFTER_MS) return;
    if (this.polling) return;
    this.polling = true;
    try {
      const response = await fetch("/api/snapshot", { signal: AbortSignal.timeout(5_000), cache: "no-store" });
      if (response.status === 401) throw new TokenError("The access token is no longer valid. Open the page again with ?token=…");
      const content = await response.json();
      this.onConnection(this.source.readyState === EventSource.OPEN ? "live" : "polling");
      if (response.ok) this.onSnapshot(content);
      else this.onError(content.error);
    } catch (error) {
      this.onConnection("lost", error instanceof TokenError ? error.message : "");
    } finally {
      this.polling = false;
    }
    if (this.source.readyState === EventSource.CLOSED) this.open();
  }
}

/** Returns the JSON at *path*. Throws an Error with the server's message. */
export async function getJson(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(10_000), cache: "no-store" });
  const content = await response.json();
  if (!response.ok) throw new Error(content.error ?? `the server returned ${response.status}`);
  return content;
}

/** Posts *content* to *path*. Throws an Error with the server's message. */
export async function postJson(path, content) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
    signal: AbortSignal.timeout(10_000),
  });
  const reply = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(reply.error ?? `the server returned ${response.status}`);
}
