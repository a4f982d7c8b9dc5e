/* Small tools: elements, icons, and lists that change without losing the reader's place. */

export const $ = (id) => document.getElementById(id);

/** Makes an element; `props.on` holds listeners, everything else is an attribute. Children are nodes or plain text. */
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, run] of Object.entries(value)) el.addEventListener(event, run);
    else if (name === "value" || name === "checked" || name === "selected") el[name] = value;
    else el.setAttribute(name, value === true ? "" : String(value));
  }
  el.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return el;
}

const ICONS = {
  menu: "M4 6h16M4 12h16M4 18h16", close: "M6 6l12 12M18 6L6 18", back: "M15 5l-7 7 7 7", hash: "M9 4L7 20M17 4l-2 16M4 9h16M3 15h16",
  thread: "M4 5h16v11h-9l-5 4v-4H4z", more: "M5 12h.01M12 12h.01M19 12h.01", bolt: "M13 3L5 14h6l-1 7 8-11h-6z", send: "M4 5l17 7-17 7 3-7zM7 12h7",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 100 6 3 3 0 000-6z", home: "M4 11l8-7 8 7v9h-6v-6h-4v6H4z",
  moon: "M20 14A8 8 0 0110 4a8 8 0 1010 10z", sun: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5L19 19M19 5l-1.5 1.5M6.5 17.5L5 19",
  window: "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6", rewind: "M4 4v6h6M4.6 10A8 8 0 114 14", warning: "M12 4l9 16H3zM12 10v4M12 17h.01", info: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 11v5M12 8h.01",
  check: "M12 3a9 9 0 100 18 9 9 0 000-18zM8 12l3 3 5-6", circle: "M12 3a9 9 0 100 18 9 9 0 000-18z", cross: "M12 3a9 9 0 100 18 9 9 0 000-18zM9 9l6 6M15 9l-6 6", turn: "M20 12a8 8 0 11-3-6.2M20 3v5h-5",
  lock: "M6 11h12v9H6zM8 11V8a4 4 0 018 0v3", plug: "M9 3v5M15 3v5M6 8h12v3a6 6 0 01-12 0zM12 17v4",
};
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", name === "more" ? "icon dots" : "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

let counter = 0;
export const uid = (prefix) => `${prefix}-${(counter += 1)}`;
export const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

/** Browser storage may be switched off; then nothing is remembered, and nothing else changes. */
export const memory = {
  get(key) { try { return localStorage.getItem(`workspace:${key}`); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(`workspace:${key}`, value); } catch { /* private window */ } },
};

/** Runs `change`, which may replace the focused element, and gives the focus to its successor. */
function keepFocus(old, fresh, change) {
  const active = old.contains(document.activeElement) ? document.activeElement : null;
  const name = active && active.dataset.f;
  change();
  if (!active) return;
  const same = name && [...fresh.querySelectorAll("[data-f]")].find((el) => el.dataset.f === name);
  if (same) same.focus();
  else if (fresh.tabIndex >= -1 && fresh.hasAttribute("tabindex")) fresh.focus({ preventScroll: true });
}

/** Makes the children of `parent` match `items` ({key, sig, make}); an item whose `sig` is unchanged keeps its element, and so does what has no key. */
export function patch(parent, items) {
  const old = new Map([...parent.children].filter((el) => el.dataset.key !== undefined).map((el) => [el.dataset.key, el]));
  let cursor = parent.firstElementChild;
  for (const item of items) {
    let el = old.get(item.key);
    old.delete(item.key);
    if (el && el._sig !== item.sig) {
      const fresh = item.make();
      if (cursor === el) cursor = fresh;
      keepFocus(el, fresh, () => el.replaceWith(fresh));
      el = fresh;
    } else if (!el) el = item.make();
    el.dataset.key = item.key;
    el._sig = item.sig;
    if (cursor === el) cursor = el.nextElementSibling;
    else parent.insertBefore(el, cursor);
  }
  for (const el of old.values()) el.remove();
}

/** Calls `change` and keeps what is being read in place; sticks to the bottom when it was there. */
export function keepScroll(box, change) {
  const bottom = box.scrollHeight - box.scrollTop - box.clientHeight < 48;
  const anchor = bottom ? null : [...box.children].find((el) => el.offsetTop + el.offsetHeight > box.scrollTop + box.offsetTop);
  const before = anchor ? anchor.offsetTop : 0;
  change();
  if (bottom) box.scrollTop = box.scrollHeight;
  else if (anchor) {
    const now = [...box.children].find((el) => el.dataset.key === anchor.dataset.key);
    if (now) box.scrollTop += now.offsetTop - before;
  }
  return bottom;
}
