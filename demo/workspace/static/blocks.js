/* Blocks: what an app lays out in messages, modals and on its Home tab. Controls are in controls.js. */

import { element, field } from "./controls.js";
import { dateNode } from "./names.js";
import { EMOJI, emojiNode, linkNode, mention, mrkdwn, plain, rich, text, words } from "./mrkdwn.js";
import { h, icon } from "./tools.js";

/** What `patch` needs to draw a list of blocks. `from` says where they stand: {channel, ts} of a message, or {view}. */
export function blockItems(list, from) {
  return (list || []).map((block, index) => ({
    key: block.block_id || `block-${index}`, sig: JSON.stringify(block), make: () => blockNode(block, from, block.block_id || `block-${index}`),
  }));
}
export function blocks(list, from) {
  return h("div", { class: "blocks" }, blockItems(list, from).map((item) => item.make()));
}
function blockNode(block, from, id) {
  const draw = Object.hasOwn(BLOCKS, block.type) ? BLOCKS[block.type] : () => unknown(block.type);
  const el = draw(block, from, id);
  el.dataset.block = id;
  return el;
}
export const unknown = (type) => h("div", { class: "unknown" }, `“${type}” is not drawn here.`);

const imageNode = (b) => h("div", { class: "image" }, words(b.title) && h("b", null, words(b.title), " "), `Image: ${b.alt_text || "no description"}`);
const BLOCKS = {
  section: (b, from, id) => h("div", { class: "section" },
    h("div", { class: "md" }, b.text && rich(b.text), b.fields && h("div", { class: "fields" }, b.fields.map(rich))),
    b.accessory && h("div", { class: "accessory" }, b.accessory.type === "image" ? imageNode(b.accessory) : element(b.accessory, from, id))),
  context: (b) => h("div", { class: "context" }, (b.elements || []).map((e) => (e.type === "image" ? h("span", null, e.alt_text) : rich(e)))),
  actions: (b, from, id) => h("div", { class: "actions" }, (b.elements || []).map((e) => element(e, from, id))),
  divider: () => h("hr", { class: "divider" }),
  header: (b) => h("h3", { class: "header" }, plain(words(b.text))),
  image: imageNode,
  input: (b, from, id) => field(b, from, id),
  alert: (b) => alertNode(b),
  plan: (b) => h("div", { class: "plan" }, h("div", { class: "title" }, plain(typeof b.title === "string" ? b.title : words(b.title))), h("ol", null, (b.tasks || []).map(task))),
  task_card: (b) => h("div", { class: "plan" }, h("ol", null, task(b))),
  table: (b) => table(b),
  data_visualization: (b) => chart(b),
  markdown: (b) => mrkdwn(b.text),
  rich_text: (b) => richText(b),
};

const LEVELS = { warning: ["warning", "Warning"], error: ["cross", "Error"], success: ["check", "Success"], info: ["info", "Note"], default: ["info", ""] };
function alertNode(block) {
  const level = Object.hasOwn(LEVELS, block.level) ? block.level : "default";
  const [mark, word] = LEVELS[level];
  return h("div", { class: `alert ${level}`, role: "note", "aria-label": word || null }, icon(mark), word && h("span", { class: "sr" }, `${word}: `), rich(block.text));
}

const TASK_STATES = { complete: ["check", "done"], in_progress: ["turn", "running"], error: ["cross", "failed"], pending: ["circle", "not yet"] };
function task(card) {
  const status = Object.hasOwn(TASK_STATES, card.status) ? card.status : "pending";
  const [mark, word] = TASK_STATES[status];
  const more = [card.details, card.output].filter(Boolean);
  const sources = (card.sources || []).map((s) => h("span", { class: "source" }, linkNode(s.url || "", s.text || s.url || "")));
  return h("li", { class: `task ${status}` }, icon(mark), h("span", { class: "name" }, plain(card.title)),
    h("span", { class: "state" }, word), (more.length > 0 || sources.length > 0) && h("div", { class: "more" }, more.map(richText), sources));
}

function table(block) {
  const settings = block.column_settings || [];
  const style = (i) => {
    const { align, is_wrapped: wrapped } = settings[i] || {};
    return [["right", "center"].includes(align) ? align : "", wrapped ? "wrapped" : ""].filter(Boolean).join(" ") || null;
  };
  const cell = (c) => (c.type === "rich_text" ? richText(c) : plain(c.text || String(c.value ?? "")));
  const [first, ...rest] = block.rows || [];
  return h("div", { class: "tablebox", tabindex: "0", role: "region", "aria-label": "Table" }, h("table", null,
    first && h("thead", null, h("tr", null, first.map((c, i) => h("th", { scope: "col", class: style(i) }, cell(c))))),
    h("tbody", null, rest.map((r) => h("tr", null, r.map((c, i) => h("td", { class: style(i) }, cell(c))))))));
}

/** A chart as a table with bars: what it says, not how Slack draws it. */
function chart(block) {
  const { segments, series = [], axis_config: axes = {} } = block.chart || {};
  const rows = segments ? [{ name: "", data: segments }] : series;
  const heads = segments ? segments.map((s) => s.label) : axes.categories || [];
  const top = Math.max(...rows.flatMap((r) => r.data.map((p) => Math.abs(p.value))), 0) || 1;
  const cell = (value) => h("td", { class: "right" }, h("meter", { class: "bar", min: "0", max: String(top), value: String(Math.abs(value)), "aria-hidden": "true" }), ` ${value}`);
  const value = (r, label) => (r.data.find((p) => p.label === label) || {}).value ?? "";
  const title = plain([block.title, axes.y_label].filter(Boolean).join(", "));
  return h("div", { class: "tablebox", tabindex: "0", role: "region", "aria-label": `Chart: ${block.title}` }, h("table", null, h("caption", null, title),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, plain(axes.x_label || "")), heads.map((label) => h("th", { scope: "col", class: "right" }, plain(label))))),
    h("tbody", null, rows.map((r) => h("tr", null, h("th", { scope: "row" }, plain(r.name)), heads.map((label) => cell(value(r, label))))))));
}

/* ---- rich text ---- */
const STYLES = { bold: "b", italic: "i", strike: "s", code: "code", underline: "u" };
const styled = (node, style) => Object.entries(STYLES).filter(([name]) => (style || {})[name]).reduce((inner, [, tag]) => h(tag, null, inner), node);
const PIECES = {
  text: (p) => text(p.text || ""),
  link: (p) => linkNode(p.url || "", text(p.text || p.url || "")),
  user: (p) => mention("@", p.user_id, ""),
  usergroup: (p) => mention("group", p.usergroup_id, ""),
  channel: (p) => mention("#", p.channel_id, ""),
  broadcast: (p) => h("span", { class: "at me" }, `@${p.range}`),
  emoji: (p) => (Object.hasOwn(EMOJI, p.name) ? emojiNode(p.name) : text(`:${p.name}:`)),
  color: (p) => h("code", null, p.value),
  date: (p) => dateNode(`!date^${p.timestamp}^${p.format}${p.url ? `^${p.url}` : ""}|${p.fallback || ""}`),
};
const richPiece = (piece) => (Object.hasOwn(PIECES, piece.type) ? styled(PIECES[piece.type](piece), piece.style) : text(""));
function richPart(part) {
  if (part.type === "rich_text_list") {
    const start = part.style === "ordered" && part.offset ? part.offset + 1 : null;
    return h(part.style === "ordered" ? "ol" : "ul", { class: `rich indent-${part.indent > 2 ? "more" : part.indent || 0}`, start }, (part.elements || []).map((item) => h("li", null, (item.elements || []).map(richPiece))));
  }
  const inner = (part.elements || []).map(richPiece);
  if (part.type === "rich_text_preformatted") return h("pre", { tabindex: "0" }, inner);
  if (part.type === "rich_text_quote") return h("blockquote", { class: "rich" }, inner);
  return h("div", { class: "l rich" }, inner);
}
function richText(block) {
  return h("div", { class: "md" }, (block.elements || []).map(richPart));
}
