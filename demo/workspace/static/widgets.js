/* Small widgets: a menu, a box to search options in, and Slack's confirm box. All of them work by keyboard. */

import { plain, rich, words } from "./mrkdwn.js";
import { $, count, h, uid } from "./tools.js";

/** A menu beside `anchor`; items are {label, hint?, run}. Arrow keys, Escape and a click elsewhere work. */
export function openMenu(anchor, label, items) {
  const box = h("div", { class: "menu", popover: "auto", role: "menu", "aria-label": label });
  const done = () => { box.hidePopover(); anchor.focus(); };
  const row = (item) => h("button", { type: "button", role: "menuitem", tabindex: "-1", on: { click: () => { done(); item.run(); } } },
    h("span", null, plain(item.label)), item.hint && h("small", null, plain(item.hint)));
  box.append(...items.map(row));
  (anchor.closest("dialog, main, #thread") || document.body).append(box);
  anchor.setAttribute("aria-expanded", "true");
  box.addEventListener("toggle", (event) => { if (event.newState === "closed") { box.remove(); anchor.setAttribute("aria-expanded", "false"); } });
  box.addEventListener("keydown", (event) => menuKey(event, box, done));
  box.showPopover();
  const spot = anchor.getBoundingClientRect();
  const size = box.getBoundingClientRect();
  const below = spot.bottom + size.height + 8 < innerHeight;
  box.style.top = `${below ? spot.bottom + 4 : Math.max(8, spot.top - size.height - 4)}px`;
  box.style.left = `${Math.max(8, Math.min(spot.left, innerWidth - size.width - 8))}px`;
  box.querySelector("button").focus();
}
function menuKey(event, box, done) {
  const all = [...box.querySelectorAll("button")];
  const at = all.indexOf(document.activeElement);
  const next = { ArrowDown: (at + 1) % all.length, ArrowUp: (at - 1 + all.length) % all.length, Home: 0, End: all.length - 1 }[event.key];
  if (next !== undefined) { event.preventDefault(); all[next].focus(); }
  if (event.key === "Escape" || event.key === "Tab") { event.preventDefault(); event.stopPropagation(); done(); }
}

/** Marks the chosen line of a list box and tells screen readers. */
export function markOption(list, input, index) {
  const all = [...list.querySelectorAll('[role="option"]:not(.none)')];
  all.forEach((el, i) => el.setAttribute("aria-selected", String(i === index)));
  if (all[index]) { input.setAttribute("aria-activedescendant", all[index].id); all[index].scrollIntoView({ block: "nearest" }); }
  else input.removeAttribute("aria-activedescendant");
}

function optionNode(option, pick) {
  return h("div", { class: "option", role: "option", id: uid("option"), "aria-selected": "false", on: { mousedown: (e) => { e.preventDefault(); pick(option); } } },
    plain(words(option.text)), option.description && h("small", null, plain(words(option.description))));
}
function groupNode(group, pick) {
  const name = words(group.label);
  return h("div", { role: "group", "aria-label": name }, h("div", { class: "group-name", "aria-hidden": "true" }, plain(name)), group.options.map((o) => optionNode(o, pick)));
}

/**
 * An external select: asks the app for options while the person types. `ask(term)` gives {ok, options, option_groups, error}.
 * Gives {el, input, get(), set(option)}.
 */
export function combobox({ id, label, initial, placeholder, min, ask, changed }) {
  const least = min ?? 3;
  let picked = initial || null, options = [], at = 0, wait = null, turn = 0;
  const list = h("div", { class: "list", role: "listbox", id: uid("list"), "aria-label": "Options", hidden: true });
  const input = h("input", {
    class: "text", id, role: "combobox", autocomplete: "off", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
    "aria-label": label || null, placeholder: words(placeholder) || "Choose…", value: words(picked && picked.text), "data-f": id,
  });
  const note = h("span", { class: "hint" }, words(picked && picked.description));
  const told = h("span", { class: "sr", role: "status" });
  const close = () => { clearTimeout(wait); turn += 1; list.hidden = true; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); };
  const show = (answer, message) => {
    const groups = answer.option_groups || [];
    options = groups.length ? groups.flatMap((g) => g.options) : answer.options || [];
    const none = h("div", { class: "option none", role: "option", "aria-disabled": "true", "aria-selected": "false" }, message);
    list.replaceChildren(...(groups.length ? groups.map((g) => groupNode(g, pick)) : options.map((o) => optionNode(o, pick))), ...(options.length ? [] : [none]));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    told.textContent = options.length ? count(options.length, "option", "options") : message;
    at = Math.max(0, options.findIndex((o) => picked && o.value === picked.value));
    markOption(list, input, at);
    list.scrollIntoView({ block: "nearest" });
  };
  function set(option) { picked = option; input.value = words(option && option.text); note.textContent = words(option && option.description); }
  function pick(option) { set(option); close(); if (changed) changed(option); }
  const search = (term) => {
    clearTimeout(wait);
    if (term.length < least) return show({}, `Type at least ${count(least, "character", "characters")}`);
    wait = setTimeout(async () => {
      const mine = (turn += 1);
      const answer = await ask(term);
      if (mine === turn && document.activeElement === input) show(answer, answer.ok === false ? `The app did not answer (${answer.error})` : "No result");
    }, term ? 160 : 0);
    return undefined;
  };
  const leave = () => { close(); if (input.value.trim()) input.value = words(picked && picked.text); else set(null); };
  const keydown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && list.hidden) { event.preventDefault(); search(""); }
    else if (step && options.length) { event.preventDefault(); at = (at + step + options.length) % options.length; markOption(list, input, at); }
    else if (event.key === "Enter" && !list.hidden) { event.preventDefault(); if (options[at]) pick(options[at]); }
    else if (event.key === "Escape" && !list.hidden) { event.preventDefault(); event.stopPropagation(); close(); }
  };
  input.addEventListener("focus", () => { input.select(); if (!picked) search(""); });
  input.addEventListener("click", () => { if (list.hidden) search(""); });
  input.addEventListener("input", () => search(input.value.trim()));
  input.addEventListener("change", (event) => event.stopPropagation()); // the choice counts, not what was typed to find it
  input.addEventListener("blur", leave);
  input.addEventListener("keydown", keydown);
  return { el: h("div", { class: "combo" }, input, list, note, told), input, get: () => picked, set };
}

/** Slack's confirm box. Resolves to true when the person goes on. */
export function confirmBox(confirm) {
  const box = $("ask");
  return new Promise((resolve) => {
    const end = (yes) => { box.close(); resolve(yes); };
    const danger = confirm.style === "danger" ? "danger" : "primary";
    const yes = h("button", { class: `btn ${danger}`, type: "button", on: { click: () => end(true) } }, plain(words(confirm.confirm) || "Yes"));
    const no = h("button", { class: "btn", type: "button", on: { click: () => end(false) } }, plain(words(confirm.deny) || "Cancel"));
    box.replaceChildren(
      h("div", { class: "dtop" }, h("h2", { id: "ask-title" }, plain(words(confirm.title)))),
      h("div", { class: "dbody", id: "ask-text" }, rich(confirm.text)), h("div", { class: "dfoot" }, no, yes));
    box.oncancel = (event) => { event.preventDefault(); end(false); };
    box.showModal();
    no.focus();
  });
}

/** Tab stays inside an open dialog. */
export function trap(event) {
  if (event.key !== "Tab") return;
  const all = [...event.currentTarget.querySelectorAll("button, input, select, textarea, a[href]")].filter((el) => !el.disabled && el.tabIndex >= 0 && el.getClientRects().length);
  if (!all.length) return;
  const edge = event.shiftKey ? all[0] : all.at(-1);
  const outside = event.shiftKey && document.activeElement.classList.contains("dbody");
  if (document.activeElement === edge || outside) { event.preventDefault(); (event.shiftKey ? all.at(-1) : all[0]).focus(); }
}
