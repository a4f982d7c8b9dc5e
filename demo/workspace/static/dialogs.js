/* Modals: up to three on one another, as the app has opened them. */

import { blockItems } from "./blocks.js";
import { heldIn, showError, valuesOf } from "./controls.js";
import { plain, words } from "./mrkdwn.js";
import { act, state, ui } from "./server.js";
import { $, h, icon, patch } from "./tools.js";

export function renderModal() {
  const box = $("modal");
  const open = (state.modals || []).filter((v) => !ui.closed.has(v.id));
  const view = open.at(-1);
  if (!view) return shut(box);
  const same = box._view && box._view.id === view.id;
  box._view = view;
  drawFrame(box, view, open.length);
  drawBlocks(box, view, same);
  if (!box.open) box.showModal();
  if (!same) focusFirst(box);
  const errors = JSON.stringify([view.id, view.errors || {}]);
  if (box._errors !== errors) { box._errors = errors; showErrors(box, view.errors || {}); }
}

function shut(box) {
  if (!box.open) return;
  box.close(); // the browser gives the focus back to where it was, if that is still there
  box.replaceChildren();
  Object.assign(box, { _view: null, _sig: null, _errors: null });
  if (document.activeElement === document.body && !ui.composers.main.closed()) ui.composers.main.focus();
}

/** Title and buttons; what lies between them is kept where it stays the same. */
function drawFrame(box, view, depth) {
  const sig = JSON.stringify([view.id, view.title, view.submit, view.close, depth]);
  if (box._sig === sig) return;
  box._sig = sig;
  const kept = box.querySelector(".blocks");
  const top = () => closeView(view, false);
  const all = () => closeView(view, true);
  const busy = box.querySelector('[data-submit][aria-busy="true"]');
  box.replaceChildren(h("form", { method: "dialog", novalidate: true, on: { submit: (e) => { e.preventDefault(); submitView(box); } } },
    h("div", { class: "dtop" }, depth > 1 && h("button", { class: "iconbtn", type: "button", "aria-label": "Back", "data-f": "back", on: { click: top } }, icon("back")),
      h("h2", { id: "modal-title" }, plain(words(view.title))),
      h("button", { class: "iconbtn", type: "button", "aria-label": depth > 1 ? "Close all" : "Close", "data-f": "close", on: { click: all } }, icon("close"))),
    h("div", { class: "dbody", tabindex: "-1" }, kept || h("div", { class: "blocks" })),
    h("div", { class: "dfoot" }, h("p", { class: "trouble", role: "alert", hidden: true }),
      h("button", { class: "btn", type: "button", "data-f": "cancel", on: { click: top } }, plain(words(view.close) || "Close")),
      view.submit && h("button", { class: "btn primary", type: "submit", "data-submit": "", "data-f": "submit", "aria-busy": busy ? "true" : null }, plain(words(view.submit))))));
}

function drawBlocks(box, view, same) {
  const root = box.querySelector(".blocks");
  if (!same) root.replaceChildren();
  const kept = same ? valuesOf(root) : {};
  const held = document.activeElement;
  const inside = same && box.contains(held);
  const caret = inside && held.dataset ? { name: held.dataset.f, from: held.selectionStart, to: held.selectionEnd } : null;
  patch(root, blockItems(view.blocks, { view }));
  for (const one of heldIn(root)) {
    const before = (kept[one.id] || {})[one.action];
    // what is as it was is left alone: writing would wipe what somebody types to find an option
    if (before && before.type === one.type) { if (JSON.stringify(one.read()) !== JSON.stringify(before)) one.write(before); }
    else if (!same) restore(one, view);
  }
  if (!caret || (box.contains(document.activeElement) && document.activeElement !== box)) return;
  const again = caret.name && [...box.querySelectorAll("[data-f]")].find((el) => el.dataset.f === caret.name);
  (again || box.querySelector(".dbody")).focus({ preventScroll: true });
  if (again && typeof caret.from === "number") again.setSelectionRange(caret.from, caret.to);
}
/** What was typed in a view that was under another one, or before the page was loaded anew. */
function restore(one, view) {
  const before = ((view.state.values || {})[one.id] || {})[one.action];
  if (before && before.type === one.type) one.write(before);
}

/** A modal that is there to be read starts at its top; a form starts in its first field. */
function focusFirst(box) {
  const first = box.querySelector(".blocks > :first-child.field, .blocks > :nth-child(2).field");
  const input = first && first.querySelector("input, select, textarea");
  (input || box.querySelector(".dbody")).focus({ preventScroll: true });
}

function showErrors(box, errors) {
  const all = heldIn(box).filter((one) => one.error);
  for (const one of all) showError(one, errors[one.id] || "");
  const first = all.find((one) => errors[one.id]);
  if (!first) return;
  box.querySelectorAll("[data-submit]").forEach((el) => el.removeAttribute("aria-busy")); // it has been answered
  (first.group ? first.labelled.querySelector("input") : first.labelled).focus();
  first.error.scrollIntoView({ block: "nearest" });
}

async function submitView(box) {
  const view = box._view;
  const button = box.querySelector("[data-submit]");
  if (!button || button.getAttribute("aria-busy") === "true") return;
  box.querySelector(".dfoot .trouble").hidden = true;
  box._errors = null;
  button.setAttribute("aria-busy", "true");
  const mine = (box._sent = (box._sent || 0) + 1);
  const answer = await act({ do: "submit", view_id: view.id, values: valuesOf(box) });
  if (box._sent !== mine) return; // it was sent once more meanwhile
  box.querySelectorAll("[data-submit]").forEach((el) => el.removeAttribute("aria-busy"));
  if (answer.ok || !box._view || box._view.id !== view.id) return;
  const trouble = box.querySelector(".dfoot .trouble");
  trouble.textContent = `We had some trouble connecting (${answer.error || "unknown"}). Try again?`;
  trouble.hidden = false;
}

/** Closes this view, or with `whole` all that lie on one another. */
export function closeView(view, whole) {
  for (const each of whole ? state.modals : [view]) ui.closed.add(each.id);
  renderModal();
  act({ do: "close", view_id: view.id, whole });
}
