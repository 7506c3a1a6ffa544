// Builds and updates elements. Text is always set as a text node: posts are untrusted input.

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

/** Sets text only if it changed: screen readers do not repeat it, and selections survive. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setVisible(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

export function setData(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

/**
 * Updates *parent*'s children to match *items*. Elements are reused by key, so focus and open details survive.
 * *make* creates the element of a new item; *update* fills it.
 */
export function syncChildren(parent, items, keyOf, make, update) {
  const existing = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let previous = null;
  for (const item of items) {
    const key = keyOf(item);
    let node = existing.get(key);
    if (node) {
      existing.delete(key);
    } else {
      node = make(item);
      node.dataset.key = key;
    }
    update(node, item);
    const place = previous === null ? parent.firstElementChild : previous.nextElementSibling;
    if (node !== place) parent.insertBefore(node, place);
    previous = node;
  }
  for (const gone of existing.values()) gone.remove();
}
