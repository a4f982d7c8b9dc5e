/* The box to write in: messages, mentions and slash commands, with what may be typed offered above it. */

import { notice, shortcutItems } from "./messages.js";
import { act, state, ui } from "./server.js";
import { $, count, h, icon, uid } from "./tools.js";
import { markOption, openMenu } from "./widgets.js";

const MENTION = /(^|\s)@([^\s@]*)$/;

/** A box to write in. `show(channel, thread, hint)` binds it; what was typed is kept per place. */
export function makeComposer(root, threaded) {
  const list = h("ul", { class: "list", role: "listbox", id: uid("commands"), "aria-label": "Suggestions", hidden: true });
  const usage = h("div", { class: "usage", id: uid("usage"), hidden: true });
  const told = h("span", { class: "sr", role: "status" });
  const area = h("textarea", { rows: "1", "aria-haspopup": "listbox", "aria-autocomplete": "list", "aria-describedby": usage.id, spellcheck: "true" });
  const send = h("button", { class: "send", type: "button", "aria-label": "Send", title: "Send", disabled: true }, icon("send"));
  const tip = h("span", { class: "tip" });
  const bolt = !threaded && h("button", { class: "iconbtn", type: "button", "aria-label": "Shortcuts", title: "Shortcuts", "aria-haspopup": "menu", "aria-expanded": "false" }, icon("bolt"));
  const slash = !threaded && h("button", { class: "iconbtn slash", type: "button", "aria-label": "Write a command", title: "Write a command" }, "/");
  root.replaceChildren(usage, list, told, h("div", { class: "box" }, area, h("div", { class: "under" }, bolt, slash, tip, send)));
  const me = { at: null, thread: null, offers: [], chosen: 0, past: -1, saved: "" };
  const key = () => `${me.at}/${me.thread || ""}`;

  const grow = () => { area.style.height = "auto"; area.style.height = `${Math.min(area.scrollHeight, 180)}px`; };
  const write = (value) => { area.value = value; ui.drafts[key()] = value; area.setSelectionRange(value.length, value.length); changed(); };
  function changed() {
    ui.drafts[key()] = area.value;
    send.disabled = !area.value.trim();
    tip.textContent = area.value ? "Enter sends, Shift+Enter makes a new line" : threaded ? "" : "Type / for commands, @ for people";
    grow();
    suggest();
  }
  function suggest() {
    const typed = area.value;
    const at = MENTION.exec(typed.slice(0, area.selectionStart));
    const commands = state.commands || [];
    if (/^\/\S*$/.test(typed) && !threaded) me.offers = commands.filter((c) => c.command.startsWith(typed)).map((c) => ({ title: c.command, hint: c.usage_hint, more: c.description, put: () => write(`${c.command} `) }));
    else if (at && !typed.startsWith("/")) me.offers = people(at[2]).map((p) => ({ title: `@${p.name}`, more: p.title || "", put: () => write(`${typed.slice(0, at.index)}${at[1]}@${p.name} `) }));
    else me.offers = [];
    const known = commands.find((c) => typed.startsWith(`${c.command} `));
    usage.hidden = !known || threaded;
    if (known) usage.replaceChildren(h("b", null, known.command), ` ${known.usage_hint || ""}`);
    me.chosen = 0;
    offer();
  }
  const people = (start) => (start.length > 20 ? [] : state.people.filter((p) => p.name.toLowerCase().startsWith(start.toLowerCase()) && p.id !== ui.as));
  function offer() {
    list.replaceChildren(...me.offers.map((o) => h("li", { class: "option", role: "option", id: uid("offer"), on: { mousedown: (e) => { e.preventDefault(); o.put(); area.focus(); } } }, h("span", { class: "cmd" }, o.title), o.hint ? ` ${o.hint}` : "", o.more && h("small", null, o.more))));
    list.hidden = !me.offers.length;
    told.textContent = list.hidden ? "" : `${count(me.offers.length, "suggestion", "suggestions")}: ${me.offers.map((o) => o.title).join(", ")}`;
    if (list.hidden) area.removeAttribute("aria-controls"); else area.setAttribute("aria-controls", list.id);
    markOption(list, area, me.chosen);
  }
  function submit() {
    const typed = area.value.trim();
    if (!typed || !me.at) return;
    if (ui.history.at(-1) !== typed) ui.history.push(typed);
    me.past = -1;
    write("");
    const log = threaded ? $("replies") : $("messages");
    log.scrollTop = log.scrollHeight; // whoever writes wants to see the answer
    if (typed.startsWith("/")) command(me.at, typed, threaded); else say(me.at, typed, me.thread, (back) => { if (!area.value) write(back); });
  }
  function history(step) {
    if (me.past < 0 && step > 0) { me.saved = area.value; me.past = ui.history.length; }
    const next = me.past - step;
    if (me.past < 0 || next < 0 || next > ui.history.length) return;
    write(next === ui.history.length ? me.saved : ui.history[next]);
    me.past = next === ui.history.length ? -1 : next;
  }
  function keydown(event) {
    if (event.isComposing) return;
    const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    const exactly = me.offers.length === 1 && me.offers[0].title === area.value;
    if (step && me.offers.length && me.past < 0) { event.preventDefault(); me.chosen = (me.chosen - step + me.offers.length) % me.offers.length; offer(); }
    else if (step && (area.value === "" || me.past >= 0) && ui.history.length) { event.preventDefault(); history(step); }
    else if ((event.key === "Tab" && !event.shiftKey || event.key === "Enter" && !exactly) && me.offers.length && me.past < 0) { event.preventDefault(); me.offers[me.chosen].put(); }
    else if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); submit(); }
    else if (event.key === "Escape" && me.offers.length) { event.preventDefault(); event.stopPropagation(); me.offers = []; offer(); }
  }
  area.addEventListener("input", () => { me.past = -1; changed(); });
  area.addEventListener("keydown", keydown);
  area.addEventListener("blur", () => { list.hidden = true; });
  area.addEventListener("focus", () => { if (state) suggest(); });
  send.addEventListener("click", () => { submit(); area.focus(); });
  if (slash) slash.addEventListener("click", () => { area.focus(); write("/"); });
  if (bolt) bolt.addEventListener("click", () => openMenu(bolt, "Shortcuts", shortcutItems("global", me.at)));
  return {
    closed: () => root.hidden,
    focus: () => { if (!matchMedia("(hover: none)").matches) area.focus(); },
    show(at, thread, hint) {
      area.setAttribute("aria-label", hint);
      area.placeholder = hint;
      if (bolt) bolt.hidden = !state.shortcuts.some((s) => s.type === "global");
      if (slash) slash.hidden = Boolean(state.commands) && !state.commands.length;
      if (me.at === at && me.thread === thread) return;
      me.at = at; me.thread = thread; me.past = -1;
      area.value = ui.drafts[key()] || "";
      changed();
      if (document.activeElement !== area) { list.hidden = true; }
    },
  };
}

async function command(at, typed, threaded) {
  const name = typed.split(/\s/, 1)[0];
  if (threaded) return notice(at, `${name} is not supported in threads. Sorry!`);
  if (state.commands && !state.commands.some((c) => c.command === name)) return notice(at, `\`${name}\` is not a valid command.`);
  const answer = await act({ do: "command", channel: at, text: typed });
  if (!answer.ok) notice(at, `${name} failed with the error “${answer.error || "unknown"}”`);
  return answer;
}
async function say(at, typed, thread, giveBack) {
  const escaped = typed.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]); // as Slack's own client does
  const named = [...state.people].sort((a, b) => b.name.length - a.name.length)
    .reduce((line, p) => line.replaceAll(`@${p.name}`, `<@${p.id}>`), escaped);
  const answer = await act({ do: "say", channel: at, text: named, ...(thread ? { thread_ts: thread } : {}) });
  if (!answer.ok) { giveBack(typed); notice(at, `Your message was not sent (${answer.error || "unknown"}).`); }
}
