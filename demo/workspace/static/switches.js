/* The panel "Break things": every switch that the workspace offers, with what it does and how it ends. */

import { plain } from "./mrkdwn.js";
import { act, state } from "./server.js";
import { $, h, icon, patch, uid } from "./tools.js";

export function renderSwitches() {
  const on = state.switches.filter((s) => s.on).length;
  const button = $("switches-button");
  const sig = String(on);
  if (button._sig !== sig) button.replaceChildren(icon("plug"), h("span", { class: "wide" }, "Break things"), on ? h("span", { class: "count" }, String(on), h("span", { class: "sr" }, " on")) : "");
  button._sig = sig;
  $("mend").hidden = !on;
  const parts = [...new Set(state.switches.map((s) => s.part))];
  patch($("switch-list"), parts.map((part) => ({ key: part, sig: part, make: () => h("section", { "aria-label": part }, h("h3", null, part), h("div", { class: "rows" })) })));
  parts.forEach((part, i) => patch($("switch-list").children[i].querySelector(".rows"),
    state.switches.filter((s) => s.part === part).map((s) => ({ key: s.name, sig: JSON.stringify(s), make: () => row(s) }))));
}

function row(spec) {
  const does = h("span", { class: "does", id: uid("does") }, plain(spec.does), h("br", null), h("span", { class: "undo" }, plain(spec.undo)));
  const trouble = h("span", { class: "error", role: "alert" });
  const set = async (value) => {
    const answer = await act({ do: "fault", name: spec.name, value });
    trouble.textContent = answer.ok ? "" : `⚠ That was not taken (${answer.error}).`;
  };
  const told = { "aria-describedby": does.id, "data-f": spec.name };
  if (spec.button) return h("div", { class: "switch" }, h("div", { class: "words" }, h("button", { class: "btn", type: "button", ...told, on: { click: () => set(true) } }, plain(spec.label)), does, trouble));
  const input = inputFor(spec.value, set, { ...told, id: uid("switch") });
  return h("div", { class: spec.on ? "switch on" : "switch" }, h("div", { class: "words" }, h("label", { for: input.id }, plain(spec.label)), does, trouble), input);
}

const fromPairs = (line) => Object.fromEntries(line.split(",").map((p) => p.split("=").map((x) => x.trim())).filter(([k, v]) => k && v));
const toPairs = (map) => Object.entries(map).map(([k, v]) => `${k}=${v}`).join(", ");
/** The control of one switch, by the kind of its value: yes/no, number, list or map. */
function inputFor(value, set, props) {
  const typed = (type, shown, read) => h("input", { ...props, type, step: type === "number" ? "any" : null, min: type === "number" ? "0" : null, value: shown, on: { change: (e) => set(read(e.target.value)) } });
  if (typeof value === "number") return typed("number", String(value), (v) => Number(v) || 0);
  if (Array.isArray(value)) return typed("text", value.join(", "), (v) => v.split(",").map((x) => x.trim()).filter(Boolean));
  if (value && typeof value === "object") return typed("text", toPairs(value), fromPairs);
  return h("input", { ...props, type: "checkbox", role: "switch", checked: Boolean(value), on: { change: (e) => set(e.target.checked) } });
}

/** Opens or closes the panel. It stays open while one clicks in the channel, so that both can be watched. */
export function toggleSwitches(on) {
  const panel = $("switches");
  if (on === panel.matches(":popover-open")) return;
  panel.togglePopover(on);
  $("switches-button").setAttribute("aria-expanded", String(on));
  (on ? $("switches-title") : $("switches-button")).focus();
}
export function wireSwitches() {
  const panel = $("switches");
  $("switches-button").addEventListener("click", () => toggleSwitches(!panel.matches(":popover-open")));
  $("switches-close").append(icon("close"));
  $("switches-close").addEventListener("click", () => toggleSwitches(false));
  $("mend").addEventListener("click", () => { $("switches-title").focus(); act({ do: "mend" }); });
  panel.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.preventDefault(); toggleSwitches(false); } });
}
