// The live sources in the pipeline section: what each one does, and since when one is not read.

import { byId, h, setData, setText, setVisible, syncChildren } from "./dom.js";
import { count, near, plural } from "./format.js";

export function drawSources(sources) {
  const now = Date.now();
  setVisible(byId("sources-title"), sources.length > 0);
  setVisible(byId("sources"), sources.length > 0);
  syncChildren(
    byId("sources"),
    sources,
    (source) => source.name,
    (source) => h("li", { class: "partition" }, h("span", { class: "partition-name" }, source.name), h("span", { class: "partition-words" }), h("span", { class: "partition-more" })),
    (node, source) => {
      setData(node, "state", source.reads ? "caught_up" : source.away_since_ms === null ? "reading" : "unowned");
      setText(node.children[1], source.away_since_ms === null ? source.status : `not read since ${near(source.away_since_ms, now)}`);
      setText(node.children[2], source.away_since_ms === null ? activity(source, now) : source.reason);
      node.title = source.reason;
    },
  );
}

function activity(source, now) {
  const newest = source.last_event_ms === null ? "no post yet" : `newest post ${near(source.last_event_ms, now)}`;
  const reconnects = source.reconnects ? ` · ${plural(source.reconnects, "reconnect")}` : "";
  return `${newest} · ${plural(source.sent, "post")} sent, ${count(source.others)} without a post for a brand${reconnects}`;
}
