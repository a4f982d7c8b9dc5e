/* Panes: the channel or Home in the middle, the thread beside it, and the way from one place to another. */

import { blockItems } from "./blocks.js";
import { bot, channel, dayName, direct, person, placeName, seconds } from "./names.js";
import { allMessages, inChannel, inThread, isReply, messageNode, repliesOf } from "./messages.js";
import { act, state, ui } from "./server.js";
import { $, count, h, keepScroll, memory, patch } from "./tools.js";

function messageItems(id, list, threaded) {
  const items = [];
  let before = null, day = "";
  list.forEach((m, i) => {
    const today = dayName(m.ts);
    if (!threaded && today !== day) items.push({ key: `day-${today}`, sig: today, make: () => h("div", { class: "day", role: "separator" }, h("span", null, today)) });
    const compact = Boolean(before) && today === day && before.user === m.user && !m.ephemeral && !before.ephemeral && seconds(m.ts) - seconds(before.ts) < 300 && !(m.reply_broadcast && isReply(m)) && !(before.reply_count > 0) && !(threaded && i === 1);
    const replies = threaded ? [] : repliesOf(id, m.ts);
    items.push({ key: m.ts, sig: JSON.stringify([m, compact, replies.length, replies.map((r) => r.user)]), make: () => messageNode(id, m, compact, threaded) });
    if (threaded && i === 0 && list.length > 1) items.push({ key: "line", sig: String(list.length), make: () => h("div", { class: "replies-line" }, count(list.length - 1, "reply", "replies")) });
    before = m;
    day = today;
  });
  return items;
}
function introItem(id) {
  const c = channel(id);
  const title = c ? `#${c.name}` : bot().name;
  const sub = c ? (c.topic || "This is the very beginning of the channel.") : "Direct messages from the app. Only you and the app see them.";
  return { key: "intro", sig: title + sub, make: () => h("div", { class: "intro" }, h("h2", null, title), h("p", null, sub)) };
}

export function renderMain() {
  const home = ui.place === "home";
  const id = ui.place;
  $("messages").hidden = home;
  $("home").hidden = !home;
  renderTop(home, id);
  renderGuide(home);
  if (home) return renderHome();
  const box = $("messages");
  const moved = box.dataset.place !== id;
  if (moved) { box.replaceChildren(); box.dataset.place = id; }
  const last = box.lastElementChild && box.lastElementChild.dataset.key;
  const atBottom = keepScroll(box, () => patch(box, [introItem(id), ...messageItems(id, inChannel(id), false)]));
  if (moved) box.scrollTop = box.scrollHeight;
  roving(box);
  if (atBottom || moved) $("newest").hidden = true;
  else if (box.lastElementChild.dataset.key !== last) $("newest").hidden = false;
}
function renderTop(home, id) {
  const c = channel(id);
  const app = home || Boolean(direct(id));
  $("place-name").replaceChildren(app ? bot().name : `#${(c || {}).name || id}`);
  $("topic").textContent = app ? "App" : (c || {}).topic || "";
  $("shared").hidden = !(c && c.shared);
  $("tabs").hidden = !app;
  if (app) patch($("tabs"), [...(state.app.home ? [["home", "Home"]] : []), ...(state.directs || []).map((d) => [d.id, "Messages"])].map(([key, label]) => ({
    key, sig: `${label}${key === ui.place}`, make: () => h("button", { type: "button", "aria-current": key === ui.place ? "page" : null, "data-f": key, on: { click: () => go(key) } }, label) })));
  const closed = home || Boolean(direct(id) && direct(id).read_only);
  $("composer").hidden = closed;
  $("readonly").hidden = !closed || home;
  if (!closed) ui.composers.main.show(id, null, `Message ${c ? `#${c.name}` : bot().name}`);
}
function renderHome() {
  const view = state.home;
  const top = $("home").scrollTop;
  const none = () => h("p", { class: "muted" }, "The app has not drawn its Home yet.");
  patch($("home-blocks"), view ? blockItems(view.blocks, { view }) : [{ key: "none", sig: "none", make: none }]);
  $("home").scrollTop = top;
}
/** One line for whoever is here for the first time. */
function renderGuide(home) {
  $("guide").hidden = home || Boolean(direct(ui.place)) || memory.get("guided") === "yes";
  const command = ((state.commands || [])[0] || {}).command;
  const me = person(ui.as).name;
  patch($("guide-text"), [{ key: "guide", sig: `${me}${command}`, make: () => h("span", null, "You are ", h("b", null, me), ". ",
    command ? ["Type ", h("code", null, command), " in the box below."] : "Write to your app in the box below.",
    " To answer as somebody else, change “You are” in the sidebar, or open a second window there.") }]);
}
export function renderThread() {
  const open = Boolean(ui.thread) && Boolean(channel(ui.place) || direct(ui.place));
  if ($("thread").hidden === open) keepScroll($("messages"), () => { $("thread").hidden = !open; }); // the channel gets narrower or wider
  const covers = open && matchMedia("(max-width: 1020px)").matches;
  $("main").inert = covers || document.body.classList.contains("nav"); // it lies under
  $("thread").setAttribute("role", covers ? "main" : "complementary");
  $("thread-name").setAttribute("aria-level", covers ? "1" : "2");
  if (!open) return;
  const box = $("replies");
  const key = `${ui.place}/${ui.thread}`;
  const moved = box.dataset.place !== key;
  if (moved) { box.replaceChildren(); box.dataset.place = key; }
  $("thread-place").textContent = placeName(ui.place);
  keepScroll(box, () => patch(box, messageItems(ui.place, inThread(ui.place, ui.thread), true)));
  if (moved) box.scrollTop = box.scrollHeight;
  roving(box);
  ui.composers.thread.show(ui.place, ui.thread, "Reply…");
}

/** One message of the list can be reached by Tab, the others by arrow keys. */
function roving(box) {
  const all = [...box.querySelectorAll(".msg")];
  if (!all.some((el) => el.tabIndex === 0) && all.length) all.at(-1).tabIndex = 0;
}
export function arrowThrough(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.classList.contains("msg")) return;
  const all = [...event.currentTarget.querySelectorAll(".msg")];
  const next = all[all.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  all.forEach((el) => { el.tabIndex = el === next ? 0 : -1; });
  next.focus();
}

export function go(place, thread) {
  const hash = `#${place}${thread ? `/${thread}` : ""}`;
  if (location.hash === hash) route(); else location.hash = hash;
}
export function route() {
  const [place, thread] = decodeURIComponent(location.hash.slice(1)).split("/");
  const known = state && ((place === "home" && state.app.home) || channel(place) || direct(place));
  const was = ui.place;
  if (!state) return;
  ui.place = known ? place : (state.channels[0] || state.directs[0]).id;
  ui.thread = known && thread ? thread : null;
  toggleNav(false);
  ui.render();
  if (ui.place === "home" && was !== "home") act({ do: "home" });
  if (ui.thread) ui.composers.thread.focus();
  else if (was && was !== ui.place && ui.place !== "home") ui.composers.main.focus();
}
/** On a narrow screen: the list of channels over the page, or away. */
export function toggleNav(on) {
  const was = document.body.classList.contains("nav");
  document.body.classList.toggle("nav", on);
  $("menu-button").setAttribute("aria-expanded", String(on));
  $("main").inert = on || $("main").inert;
  $("thread").inert = on;
  $("side").setAttribute("role", on ? "dialog" : "navigation");
  if (on) $("side").setAttribute("aria-modal", "true"); else $("side").removeAttribute("aria-modal");
  if (on === was) return;
  if (!on) renderThread();
  (on ? $("lists").querySelector("[aria-current]") || $("lists").querySelector("button") : $("menu-button")).focus();
}
export function jumpTo(id, ts) {
  const m = allMessages(id).find((x) => x.ts === ts);
  go(id, m && isReply(m) ? m.thread_ts : null);
  setTimeout(() => {
    const el = [...document.querySelectorAll(".msg")].find((x) => x.dataset.ts === ts);
    if (!el) return;
    el.scrollIntoView({ block: "center" });
    el.classList.remove("flash");
    requestAnimationFrame(() => el.classList.add("flash"));
    el.focus({ preventScroll: true });
  }, 60);
}
