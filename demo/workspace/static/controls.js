/* Controls: buttons, menus and fields of blocks. Each that holds a value keeps it in `_held`, for clicks and forms. */

import { unknown } from "./blocks.js";
import { humans } from "./names.js";
import { plain, rich, safeUrl, words } from "./mrkdwn.js";
import { act, state } from "./server.js";
import { $, h, icon, uid } from "./tools.js";
import { combobox, confirmBox, openMenu } from "./widgets.js";

const whereFrom = (from) => (from.view ? { view_id: from.view.id } : { channel: from.channel, ts: from.ts });

/* ---- what is held ---- */
export const heldIn = (root) => [...root.querySelectorAll("[data-holds]")].map((el) => el._held);
/** What Slack puts into `state.values`: by block id and action id. */
export function valuesOf(root) {
  const values = {};
  for (const one of heldIn(root)) (values[one.id] ||= {})[one.action] = one.read();
  return values;
}
function holds(el, spec, id, part) {
  el._held = { id, action: spec.action_id, type: spec.type, ...part };
  el.dataset.holds = "";
  return el;
}

/* ---- what is pressed ---- */
/** Sends one click or choice; resolves to false when the person said no in the confirm box, or one is under way. */
export async function press(spec, from, id, node, selected) {
  if (node.getAttribute("aria-busy") === "true") return false;
  if (spec.confirm && !(await confirmBox(spec.confirm))) return false;
  node.setAttribute("aria-busy", "true");
  const root = node.closest(".blocks");
  const answer = await act({ do: "click", ...whereFrom(from), block_id: id, action_id: spec.action_id, value: spec.value, values: root ? valuesOf(root) : {}, ...(selected === undefined ? {} : { selected }) });
  node.removeAttribute("aria-busy");
  if (!answer.ok) complain(node, answer.error);
  return true;
}
function complain(node, error) {
  const there = node.isConnected ? node : document.querySelector(`[data-f="${CSS.escape(node.dataset.f || "")}"]`) || $("home-blocks").firstElementChild;
  const home = there && there.closest("[data-block]"); // it may have been drawn anew meanwhile
  if (!home) return;
  home.parentElement.querySelectorAll(".trouble").forEach((el) => el.remove());
  const why = { operation_timeout: "The app did not answer in time (operation_timeout). Try again.", dispatch_failed: "No app is connected (dispatch_failed). Try again in a moment.", no_such_element: "This has changed meanwhile. Look again." };
  const note = h("p", { class: "trouble", role: "alert" }, why[error] || `That did not work (${error || "unknown"}).`);
  home.after(note);
  setTimeout(() => note.remove(), 12000);
}

/** A control outside an input block: its use is sent at once. */
export function element(spec, from, id) {
  if (spec.type === "button") return buttonNode(spec, from, id);
  if (spec.type === "overflow") return overflowNode(spec, from, id);
  const label = spec.accessibility_label || words(spec.placeholder) || spec.action_id;
  let before = null;
  const part = control(spec, from, id, {
    label, small: true, optional: false,
    changed: async () => { if (await press(spec, from, id, part.input, part.chosen())) before = part.read(); else part.write(before); },
  });
  before = part.read();
  return holds(part.el, spec, id, part);
}
function buttonNode(spec, from, id) {
  const style = ["primary", "danger"].includes(spec.style) ? spec.style : "";
  return h("button", {
    class: `btn ${style}`, type: "button", "aria-label": spec.accessibility_label, "data-f": spec.action_id, "data-action": spec.action_id,
    on: { click: (event) => { openUrl(spec.url); press(spec, from, id, event.currentTarget); } },
  }, plain(words(spec.text)));
}
const openUrl = (url) => { if (url && safeUrl(url)) window.open(safeUrl(url), "_blank", "noopener"); };
function overflowNode(spec, from, id) {
  const label = spec.accessibility_label || "More actions";
  const open = (event) => {
    const anchor = event.currentTarget;
    openMenu(anchor, label, (spec.options || []).map((o) => ({ label: words(o.text), hint: words(o.description), run: () => { openUrl(o.url); press(spec, from, id, anchor, o); } })));
  };
  return h("button", { class: "btn only-icon", type: "button", "aria-label": label, "aria-haspopup": "menu", "aria-expanded": "false", "data-f": spec.action_id, "data-action": spec.action_id, on: { click: open } }, icon("more"));
}

/* ---- kinds of controls ---- */
const TYPED = {
  plain_text_input: "text", number_input: "text", email_text_input: "email", url_text_input: "url",
  datepicker: "date", timepicker: "time", datetimepicker: "datetime-local",
};
const VALUE_KEY = { datepicker: "selected_date", timepicker: "selected_time", datetimepicker: "selected_date_time" };
const PLACES = { // menus whose options are people and channels: {what there is to choose, name in the state, initial value}
  users_select: [() => humans(), "selected_user", "initial_user"], multi_users_select: [() => humans(), "selected_users", "initial_users"],
  channels_select: [() => state.channels, "selected_channel", "initial_channel"], multi_channels_select: [() => state.channels, "selected_channels", "initial_channels"],
  conversations_select: [() => state.channels, "selected_conversation", "initial_conversation"], multi_conversations_select: [() => state.channels, "selected_conversations", "initial_conversations"],
};
const isMany = (spec) => spec.type === "checkboxes" || spec.type.startsWith("multi_");

/** One control: {el, input, group?, read(), write(entry), chosen()}. `read` gives its entry of `state.values`. */
function control(spec, from, id, more) {
  if (Object.hasOwn(TYPED, spec.type)) return typedControl(spec, id, more);
  if (spec.type === "static_select" || (Object.hasOwn(PLACES, spec.type) && !isMany(spec))) return menuControl(spec, id, more);
  if (spec.type === "external_select") return searchControl(spec, from, id, more);
  if (spec.type === "radio_buttons" || spec.type === "checkboxes" || spec.type === "multi_static_select" || Object.hasOwn(PLACES, spec.type)) return choiceControl(spec, id, more);
  const el = unknown(spec.type);
  return { el, input: el, read: () => ({ type: spec.type, value: null }), write: () => {}, chosen: () => null };
}

function typedControl(spec, id, more) {
  const key = VALUE_KEY[spec.type] || "value";
  const epoch = spec.type === "datetimepicker";
  const local = (seconds) => { const d = new Date(seconds * 1000); return new Date(d.getTime() - d.getTimezoneOffset() * 60000).toISOString().slice(0, 16); };
  const shown = (value) => (value === null || value === undefined ? "" : epoch ? local(value) : String(value));
  const read = () => (input.value === "" ? null : epoch ? Math.floor(new Date(input.value).getTime() / 1000) : input.value);
  const props = { class: "text", id: uid("input"), "data-f": `${id}/${spec.action_id}`, placeholder: words(spec.placeholder) || null, maxlength: spec.max_length, autocomplete: "off",
    inputmode: spec.type === "number_input" ? "decimal" : null, "aria-label": more.label || null, value: shown(spec.initial_value ?? spec.initial_date ?? spec.initial_time ?? spec.initial_date_time) };
  const input = spec.multiline ? h("textarea", { ...props, rows: 3 }) : h("input", { ...props, type: TYPED[spec.type] });
  if (more.changed && VALUE_KEY[spec.type]) input.addEventListener("change", more.changed);
  else if (more.changed) dispatchTyped(input, (spec.dispatch_action_config || {}).trigger_actions_on || ["on_enter_pressed"], more.changed);
  return { el: input, input, read: () => ({ type: spec.type, [key]: read() }), write: (v) => { input.value = shown(v[key]); }, chosen: () => read() ?? "" };
}
/** Tells the app of typed text: at Enter, at each character, or both, as it has asked. */
function dispatchTyped(input, triggers, changed) {
  let wait = null;
  if (triggers.includes("on_enter_pressed")) input.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); clearTimeout(wait); changed(); } });
  if (!triggers.includes("on_character_entered")) return;
  const tell = () => { if (input.getAttribute("aria-busy") === "true") wait = setTimeout(tell, 50); else changed(); };
  input.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(tell, 120); });
}

const optionsOf = (spec) => spec.options || (spec.option_groups || []).flatMap((g) => g.options || []);
function menuControl(spec, id, more) {
  const [places, key, first] = PLACES[spec.type] || [null, "selected_option", null];
  const initial = places ? spec[first] : (spec.initial_option || {}).value;
  const line = (value, label) => h("option", { value, selected: value === initial }, label);
  const lines = (list) => list.map((o) => line(o.value, words(o.text)));
  const inner = places ? places().map((p) => line(p.id, p.name)) : spec.option_groups ? spec.option_groups.map((g) => h("optgroup", { label: words(g.label) }, lines(g.options))) : lines(spec.options || []);
  const none = h("option", { value: "", disabled: !more.optional, hidden: !more.optional, selected: !initial }, words(spec.placeholder) || "Choose…");
  const input = h("select", { class: more.small ? "btn" : "text", id: uid("menu"), "aria-label": more.label || null, "data-f": `${id}/${spec.action_id}` }, none, inner);
  if (more.changed) input.addEventListener("change", more.changed);
  const chosen = () => (places ? input.value || null : optionsOf(spec).find((o) => o.value === input.value) || null);
  return { el: h("span", { class: more.small ? "inline" : "whole" }, input), input, chosen, read: () => ({ type: spec.type, [key]: chosen() }), write: (v) => { input.value = (places ? v[key] : (v[key] || {}).value) || ""; } };
}

function searchControl(spec, from, id, more) {
  const box = combobox({
    id: uid("search"), label: more.label, initial: spec.initial_option, placeholder: spec.placeholder, min: spec.min_query_length, changed: more.changed,
    ask: (query) => act({ do: "suggest", ...whereFrom(from), block_id: id, action_id: spec.action_id, query }),
  });
  return { el: box.el, input: box.input, chosen: box.get, read: () => ({ type: spec.type, selected_option: box.get() }), write: (v) => box.set(v.selected_option) };
}

function choiceControl(spec, id, more) {
  const many = isMany(spec);
  const [places, placeKey, first] = PLACES[spec.type] || [null, null, null];
  const key = placeKey || (many ? "selected_options" : "selected_option");
  const all = places ? places().map((p) => ({ value: p.id, text: { type: "plain_text", text: p.name } })) : optionsOf(spec);
  const initial = places ? spec[first] || [] : (spec.initial_options || [spec.initial_option]).filter(Boolean).map((o) => o.value);
  const name = uid("choice");
  const rows = all.map((option, i) => {
    const input = h("input", { type: many ? "checkbox" : "radio", name, value: option.value, checked: initial.includes(option.value), "data-f": `${id}/${spec.action_id}/${i}` });
    const told = h("span", null, option.text.type === "mrkdwn" ? rich(option.text) : plain(words(option.text)), option.description && h("small", null, rich(option.description)));
    return { option, input, el: h("label", { class: "choice" }, input, told) };
  });
  const el = h("div", more.label ? { role: many ? "group" : "radiogroup", "aria-label": more.label } : null, rows.map((r) => r.el));
  const ticked = () => rows.filter((r) => r.input.checked).map((r) => (places ? r.option.value : r.option));
  const chosen = () => (many ? ticked() : ticked()[0] || null);
  const value = (entry) => (places ? entry : entry.value);
  const write = (v) => { const kept = [v[key]].flat().filter(Boolean).map(value); rows.forEach((r) => { r.input.checked = kept.includes(r.option.value); }); };
  if (more.changed) el.addEventListener("change", more.changed);
  return { el, input: el, group: true, chosen, read: () => ({ type: spec.type, [key]: chosen() }), write };
}

/* ---- an input block ---- */
export function field(block, from, id) {
  const spec = block.element || {};
  const changed = block.dispatch_action ? () => press(spec, from, id, part.input, part.chosen()) : null;
  const part = control(spec, from, id, { optional: block.optional, changed });
  const label = [plain(words(block.label)), block.optional && h("span", { class: "opt" }, " (optional)")];
  const error = h("div", { class: "error", id: uid("error"), hidden: true });
  const enter = block.dispatch_action && TYPED[spec.type] && !VALUE_KEY[spec.type] && !((spec.dispatch_action_config || {}).trigger_actions_on || []).includes("on_character_entered");
  const hint = (block.hint || enter) && h("div", { class: "hint", id: uid("hint") }, plain(words(block.hint)), enter && " Press Enter to send this field.");
  const el = part.group
    ? h("fieldset", { class: "field" }, h("legend", null, label), part.el, hint, error)
    : h("div", { class: "field" }, h("label", { for: part.input.id }, label), part.el, hint, error);
  const input = part.group ? el : part.input;
  input.setAttribute("aria-describedby", [hint && hint.id, error.id].filter(Boolean).join(" "));
  if (!block.optional && !part.group) input.setAttribute("aria-required", "true");
  holds(el, spec, id, { ...part, labelled: input, error });
  el.addEventListener("input", () => showError(el._held, ""));
  return el;
}
export function showError(held, message) {
  held.error.textContent = message ? `⚠ ${message}` : "";
  held.error.hidden = !message;
  if (message && !held.group) held.labelled.setAttribute("aria-invalid", "true");
  else held.labelled.removeAttribute("aria-invalid");
}
