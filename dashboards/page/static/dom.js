// Builds elements. Text only ever becomes a text node: posts are written by strangers.

const SVG = "http://www.w3.org/2000/svg";

function build(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const h = (tag, properties, ...children) => build(document.createElement(tag), properties, children);

export const s = (tag, properties, ...children) => build(document.createElementNS(SVG, tag), properties, children);

export const byId = (id) => document.getElementById(id);

/** Sets text only when it differs, so that screen readers and selections are left alone. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

export function mark(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

/**
 * Makes *parent*'s children follow *items*: elements are kept by key, so focus and open details survive an update.
 * *make* gives an element for a new item; *update* fills it.
 */
export function follow(parent, items, keyOf, make, update) {
  const kept = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let previous = null;
  for (const item of items) {
    const key = keyOf(item);
    let node = kept.get(key);
    if (node) {
      kept.delete(key);
    } else {
      node = make(item);
      node.dataset.key = key;
    }
    update(node, item);
    const place = previous === null ? parent.firstElementChild : previous.nextElementSibling;
    if (node !== place) parent.insertBefore(node, place);
    previous = node;
  }
  for (const gone of kept.values()) gone.remove();
}
