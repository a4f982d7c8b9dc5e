/*
 * The page of the local workspace: it shows what the app really sent, and lets a person answer it.
 * It talks only to the server it came from and loads nothing else. Data becomes text nodes; there is no innerHTML anywhere.
 */

import { makeComposer } from "./composer.js";
import { closeView, renderModal } from "./dialogs.js";
import { placeName } from "./names.js";
import { announce } from "./notices.js";
import { arrowThrough, go, renderMain, renderThread, route, toggleNav } from "./panes.js";
import { act, listen, query, refresh, state, ui } from "./server.js";
import { become, markSeen, renderSidebar, unread } from "./sidebar.js";
import { renderSwitches, wireSwitches } from "./switches.js";
import { $, icon, memory } from "./tools.js";
import { trap } from "./widgets.js";

function render() {
  if (!state) return;
  if (ui.held) { ui.stale = true; return; }
  if (!ui.place) { route(); return; }
  if (ui.place !== "home" && !document.hidden) markSeen(ui.place);
  renderSidebar();
  renderMain();
  renderThread();
  renderModal();
  renderSwitches();
  announce();
  const loud = [...state.channels, ...state.directs].reduce((n, c) => n + unread(c.id).loud, 0);
  document.title = `${loud ? `(${loud}) ` : ""}${ui.place === "home" ? "Home" : placeName(ui.place)} – ${state.team.name}`;
}

/** While a button is held down the page is not redrawn: otherwise an update would swallow the click. */
function hold(event) {
  const release = () => { ui.held = false; if (ui.stale) { ui.stale = false; render(); } };
  if (event.type !== "pointerdown") return setTimeout(release, 0);
  ui.held = Boolean(event.target.closest("button, a, label"));
  if (ui.held) setTimeout(release, 1500); // a pointer let go outside the window is never told
  return undefined;
}
function escape(event) {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open], .menu:popover-open")) return;
  if (document.body.classList.contains("nav")) toggleNav(false);
  else if (ui.thread) { go(ui.place); ui.composers.main.focus(); }
}

function theme(choice) {
  if (choice) { document.documentElement.dataset.theme = choice; memory.set("theme", choice); }
  const dark = (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = dark ? "Switch to light colours" : "Switch to dark colours";
  $("theme").replaceChildren(icon(dark ? "sun" : "moon"));
  $("theme").setAttribute("aria-label", label);
  $("theme").title = label;
  $("theme").onclick = () => theme(dark ? "light" : "dark");
}

function wire() {
  $("menu-button").append(icon("menu"));
  $("thread-close").append(icon("close"));
  document.querySelector("#side .mark").append(icon("rewind"));
  $("menu-button").addEventListener("click", () => toggleNav(!document.body.classList.contains("nav")));
  $("thread-close").addEventListener("click", () => { go(ui.place); ui.composers.main.focus(); });
  $("guide-done").addEventListener("click", () => { memory.set("guided", "yes"); $("guide").hidden = true; ui.composers.main.focus(); });
  $("skip").addEventListener("click", (event) => { event.preventDefault(); (ui.place === "home" ? $("home") : $("composer").hidden ? $("messages") : $("composer").querySelector("textarea")).focus(); });
  $("newest").addEventListener("click", () => { $("messages").scrollTop = $("messages").scrollHeight; $("newest").hidden = true; });
  $("messages").addEventListener("scroll", () => { const b = $("messages"); if (b.scrollHeight - b.scrollTop - b.clientHeight < 60) $("newest").hidden = true; });
  $("person").addEventListener("change", (event) => become(event.target.value));
  for (const id of ["messages", "replies"]) $(id).addEventListener("keydown", arrowThrough);
  for (const id of ["modal", "ask"]) $(id).addEventListener("keydown", trap);
  $("modal").addEventListener("cancel", (event) => { event.preventDefault(); if ($("modal")._view) closeView($("modal")._view, false); });
  for (const type of ["pointerdown", "pointerup", "pointercancel"]) document.addEventListener(type, hold, true);
  document.addEventListener("keydown", escape);
  document.addEventListener("click", (event) => { if (document.body.classList.contains("nav") && !event.target.closest("#side, #menu-button")) toggleNav(false); });
  document.addEventListener("visibilitychange", render);
  addEventListener("hashchange", route);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme());
  wireSwitches();
}

ui.render = render;
ui.composers = { main: makeComposer($("composer"), false), thread: makeComposer($("thread-composer"), true) };
if (["light", "dark"].includes(query.get("theme") || memory.get("theme"))) document.documentElement.dataset.theme = query.get("theme") || memory.get("theme");
theme();
wire();
refresh().then(() => { if (state) { route(); if (ui.place === "home") act({ do: "home" }); listen(); } else if ($("wall").hidden) setTimeout(() => location.reload(), 3000); });
