/* The sidebar: places with what is new in them, and who one is. */

import { avatar, bot, direct, humans, person, seconds } from "./names.js";
import { isReply, mentionsMe } from "./messages.js";
import { go, route } from "./panes.js";
import { act, listen, refresh, state, ui } from "./server.js";
import { $, h, icon, memory, patch } from "./tools.js";

const seenKey = (id) => `seen:${ui.as}:${id}`;
export function unread(id) {
  const seen = Number(memory.get(seenKey(id)) || 0);
  const fresh = ((state.messages || {})[id] || []).filter((m) => seconds(m.ts) > seen && m.user !== ui.as && (!isReply(m) || m.reply_broadcast));
  const loud = fresh.filter((m) => direct(id) || mentionsMe(m)).length;
  return { any: fresh.length > 0, loud };
}
export function markSeen(id) {
  const last = Math.max(0, ...((state.messages || {})[id] || []).map((m) => seconds(m.ts)));
  if (last && document.visibilityState === "visible") memory.set(seenKey(id), String(last));
}
function rowItem(id, label, mark, news) {
  const current = ui.place === id;
  const make = () => h("li", null, h("button", { class: `row${news.any && !current ? " unread" : ""}`, type: "button", "aria-current": current ? "page" : null, "data-f": id, on: { click: () => go(id) } },
    mark(), h("span", { class: "label" }, label), news.loud > 0 && !current && h("span", { class: "badge" }, h("span", { class: "sr" }, "new: "), String(news.loud))));
  return { key: id, sig: JSON.stringify([label, current, news]), make };
}
export function renderSidebar() {
  const quiet = { any: false, loud: 0 };
  const parts = [
    ["Channels", (state.channels || []).map((c) => rowItem(c.id, c.name, () => icon(c.shared ? "window" : "hash"), unread(c.id)))],
    ["Direct messages", (state.directs || []).map((d) => rowItem(d.id, bot().name, () => avatar(bot().id), unread(d.id)))],
    ["Apps", state.app.home ? [rowItem("home", `${state.app.name}: Home`, () => icon("home"), quiet)] : []],
  ];
  patch($("lists"), parts.map(([title]) => ({ key: title, sig: title, make: () => h("div", null, h("h2", { id: `list-${title[0]}` }, title), h("ul", { "aria-labelledby": `list-${title[0]}` })) })));
  parts.forEach(([, items], i) => patch($("lists").children[i].querySelector("ul"), items));
  $("team").textContent = state.team.name;
  renderYou();
}
function renderYou() {
  const select = $("person");
  patch(select, humans().map((p) => ({ key: p.id, sig: JSON.stringify(p), make: () => h("option", { value: p.id }, p.name + (p.title ? `, ${p.title}` : "") + (p.guest ? " (guest)" : "")) })));
  if (document.activeElement !== select) select.value = ui.as;
  $("person-avatar").replaceChildren(avatar(ui.as));
  const all = humans();
  const other = all[(all.findIndex((p) => p.id === ui.as) + 1) % all.length];
  if (!other) return;
  const params = new URLSearchParams(location.search);
  params.set("as", other.id);
  $("second").href = `${location.pathname}?${params}${location.hash}`;
  $("second").replaceChildren(icon("window"), `Second window, as ${other.name}`);
}
export function become(id) {
  ui.as = id;
  ui.known = null;
  const params = new URLSearchParams(location.search);
  params.set("as", id);
  const lost = direct(ui.place);
  history.replaceState(null, "", `${location.pathname}?${params}${lost ? "" : location.hash}`);
  listen();
  refresh().then(() => { route(); if (ui.place === "home") act({ do: "home" }); });
}
