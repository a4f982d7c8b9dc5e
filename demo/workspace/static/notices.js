/* What a screen reader is told, and what would notify a person in Slack. */

import { avatar, direct, person, placeName } from "./names.js";
import { flat, mentionsMe } from "./messages.js";
import { jumpTo } from "./panes.js";
import { state, ui } from "./server.js";
import { $, h } from "./tools.js";

/** Tells screen readers what is new, and shows a toast for what would notify the person in Slack: direct messages and mentions. */
export function announce() {
  const known = new Map();
  for (const [id, list] of Object.entries(state.messages || {})) for (const m of list) known.set(`${id}/${m.ts}`, m.text);
  const before = ui.known;
  ui.known = known;
  if (!before) return;
  for (const [id, list] of Object.entries(state.messages || {})) {
    for (const m of list) {
      const old = before.get(`${id}/${m.ts}`);
      if (old === m.text || m.user === ui.as) continue;
      const shown = id === ui.place || m.ephemeral;
      if (shown) speak(`${person(m.user).name}${old === undefined ? "" : ", changed"}: ${flat(m.text)}`);
      if (old === undefined && !m.ephemeral && (direct(id) || mentionsMe(m)) && (id !== ui.place || document.hidden)) toast(id, m);
    }
  }
}
function speak(words_) {
  $("announcer").append(h("p", null, words_));
  while ($("announcer").children.length > 12) $("announcer").firstElementChild.remove();
}
function toast(id, m) {
  const el = h("button", { class: "toast", type: "button", on: { click: () => { el.remove(); jumpTo(id, m.ts); } } },
    avatar(m.user), h("b", null, `${person(m.user).name}${direct(id) ? "" : ` in ${placeName(id)}`}`), h("span", { class: "t" }, flat(m.text)));
  $("toasts").append(el);
  speak(`${person(m.user).name}, ${direct(id) ? "direct message" : placeName(id)}: ${flat(m.text)}`);
  while ($("toasts").children.length > 3) $("toasts").firstElementChild.remove();
  setTimeout(() => el.remove(), 9000);
}
