/* mrkdwn: Slack's own marks, mentions, links, dates and emoji, made into elements; never into markup. */

import { channel, dateNode, direct, person } from "./names.js";
import { go, jumpTo } from "./panes.js";
import { state, ui } from "./server.js";
import { h } from "./tools.js";

export const EMOJI = {
  white_check_mark: "✅", heavy_check_mark: "✔️", ballot_box_with_check: "☑️", white_circle: "⚪", red_circle: "🔴", large_blue_circle: "🔵",
  large_green_circle: "🟢", large_yellow_circle: "🟡", warning: "⚠️", x: "❌", no_entry: "⛔", no_entry_sign: "🚫", octagonal_sign: "🛑", rotating_light: "🚨",
  arrows_counterclockwise: "🔄", hourglass_flowing_sand: "⏳", hourglass: "⌛", mag: "🔍", eyes: "👀", bell: "🔔", no_bell: "🔕", alarm_clock: "⏰", calendar: "📅",
  electric_plug: "🔌", rewind: "⏪", fast_forward: "⏩", leftwards_arrow_with_hook: "↩️", arrow_right_hook: "↪️", satellite_antenna: "📡", grey_question: "❔",
  question: "❓", round_pushpin: "📍", pushpin: "📌", lock: "🔒", unlock: "🔓", key: "🔑", shield: "🛡️", fire: "🔥", fire_extinguisher: "🧯", tada: "🎉", rocket: "🚀", wave: "👋",
  thumbsup: "👍", "+1": "👍", "-1": "👎", bulb: "💡", memo: "📝", package: "📦", floppy_disk: "💾", wrench: "🔧", hammer_and_wrench: "🛠️", gear: "⚙️", clock1: "🕐",
  stopwatch: "⏱️", double_vertical_bar: "⏸️", arrow_forward: "▶️", black_square_for_stop: "⏹️", information_source: "ℹ️", robot_face: "🤖", point_right: "👉", pray: "🙏",
  white_medium_square: "◻️", black_small_square: "▪️", chart_with_upwards_trend: "📈", link: "🔗", speech_balloon: "💬", scroll: "📜", construction: "🚧", broken_heart: "💔",
};
export const text = (value) => document.createTextNode(value);
export const decode = (raw) => raw.replace(/&(lt|gt|amp);/g, (_, name) => ({ lt: "<", gt: ">", amp: "&" })[name]);
export const splitLabel = (raw) => { const at = raw.indexOf("|"); return at < 0 ? [raw, ""] : [raw.slice(0, at), raw.slice(at + 1)]; };

export function safeUrl(raw) {
  try { return ["http:", "https:", "mailto:"].includes(new URL(decode(raw)).protocol) ? decode(raw) : null; } catch { return null; }
}
/** A link; one to a message of this workspace (/archives/C…/p…) goes there without leaving the page. */
export function linkNode(url, label) {
  const href = safeUrl(url);
  if (!href) return text(typeof label === "string" ? decode(label || url) : label.textContent);
  const here = /\/archives\/([A-Z0-9]+)\/p(\d{10})(\d{6})/.exec(href);
  const inside = here && (channel(here[1]) || direct(here[1]));
  const jump = (event) => { event.preventDefault(); jumpTo(here[1], `${here[2]}.${here[3]}`); };
  return h("a", { href, target: inside ? null : "_blank", rel: "noopener noreferrer", on: inside ? { click: jump } : {} },
    typeof label === "string" ? decode(label || url) : label);
}

export function mention(kind, id, label) {
  if (kind === "@") return h("span", { class: id === ui.as ? "at me" : "at" }, `@${person(id).name === id && label ? label : person(id).name}`);
  if (kind === "#") {
    const name = channel(id) ? channel(id).name : label || "private channel";
    return channel(id) ? h("button", { class: "plain at", type: "button", on: { click: () => go(id) } }, `#${name}`) : h("span", { class: "at" }, `#${name}`);
  }
  const group = (state.groups || []).find((g) => g.id === id);
  return h("span", { class: "at" }, `@${(group && group.handle) || label.replace(/^@/, "") || id}`);
}

/** What stands between < and >. */
function angle(code) {
  const [head, label] = splitLabel(code);
  if (/^@[UW]/.test(head)) return mention("@", head.slice(1), decode(label));
  if (/^#[CGD]/.test(head)) return mention("#", head.slice(1), decode(label));
  if (head.startsWith("!subteam^")) return mention("group", head.slice(9), decode(label));
  if (head.startsWith("!date^")) return dateNode(code);
  if (head.startsWith("!")) return h("span", { class: "at me" }, `@${decode(head.slice(1))}`);
  return safeUrl(head) ? linkNode(head, label || head) : text(`<${decode(code)}>`);
}

export const emojiNode = (name) => h("span", { class: "emoji", role: "img", "aria-label": name.replaceAll("_", " "), title: `:${name}:` }, EMOJI[name]);

// code | <...> | :emoji: | bare link | *bold* _italic_ ~strike~; a mark counts only at the edge of a word, as in Slack
const INLINE = /`([^`\n]+)`|<([^<>\n]+)>|:([a-z0-9_+-]{1,40}):|(https?:\/\/[^\s<>|]*[^\s<>|.,;:!?)\]'"*_~])|(?<![\p{L}\p{N}*_~])([*_~])(?=\S)((?:`[^`\n]*`|<[^<>\n]*>|[^\n`<])+?)(?<=\S)\5(?![\p{L}\p{N}])/gu;
const MARKS = { "*": "b", _: "i", "~": "s" };

function inline(raw) {
  const out = [];
  let at = 0;
  const pattern = new RegExp(INLINE);
  for (let m = pattern.exec(raw); m; m = pattern.exec(raw)) {
    const [all, code, token_, emoji, url, mark, inner] = m;
    if (emoji !== undefined && !Object.hasOwn(EMOJI, emoji)) { pattern.lastIndex = m.index + all.length - 1; continue; }
    if (m.index > at) out.push(text(decode(raw.slice(at, m.index))));
    if (code !== undefined) out.push(h("code", null, decode(code)));
    else if (token_ !== undefined) out.push(angle(token_));
    else if (emoji !== undefined) out.push(emojiNode(emoji));
    else if (url !== undefined) out.push(linkNode(url, url));
    else out.push(h(MARKS[mark], null, inline(inner)));
    at = m.index + all.length;
  }
  if (at < raw.length) out.push(text(decode(raw.slice(at))));
  return out;
}

/** One line; bullets, numbers and leading emoji hang, so that wrapped lines stay readable. */
function lineNode(line) {
  if (!line) return h("span", { class: "gap l" });
  const bullet = /^\s*(•|◦|▪|-|\d{1,3}\.)\s+(.*)$/u.exec(line);
  const lead = /^:([a-z0-9_+-]+):\s+(.*)$/.exec(line);
  if (bullet) return h("div", { class: "l hang" }, h("span", { class: "bullet" }, bullet[1] === "-" ? "•" : bullet[1]), inline(bullet[2]));
  if (lead && Object.hasOwn(EMOJI, lead[1])) return h("div", { class: "l hang" }, h("span", { class: "bullet" }, emojiNode(lead[1])), inline(lead[2]));
  return h("div", { class: "l" }, inline(line));
}

function lines(raw) {
  const out = [];
  let quote = null;
  for (const line of raw.split("\n")) {
    const quoted = /^(?:>|&gt;)\s?(.*)$/.exec(line);
    if (quoted) {
      if (!quote) out.push((quote = h("blockquote", null)));
      quote.append(lineNode(quoted[1]));
    } else { quote = null; out.push(lineNode(line)); }
  }
  return out;
}

export function mrkdwn(raw) {
  const parts = String(raw || "").split(/```([\s\S]*?)```/);
  const nodes = parts.map((part, i) => {
    if (i % 2) return h("pre", null, decode(part.replace(/^\n/, "")));
    const inner = part.replace(i > 0 ? /^\n/ : /^(?!)/, "").replace(i < parts.length - 1 ? /\n$/ : /(?!)$/, "");
    return inner ? lines(inner) : [];
  });
  return h("div", { class: "md" }, nodes);
}

/** Plain text: emoji names become emoji, nothing else is read. */
export function plain(raw) {
  return String(raw || "").split(/(:[a-z0-9_+-]+:)/).map((part) => {
    const name = part.slice(1, -1);
    return part.length > 2 && part.startsWith(":") && Object.hasOwn(EMOJI, name) ? emojiNode(name) : text(part);
  });
}
export function rich(object) {
  if (!object) return text("");
  return object.type === "mrkdwn" ? mrkdwn(object.text) : h("div", { class: "md" }, String(object.text || "").split("\n").map((l) => h("div", { class: "l" }, plain(l))));
}
export const words = (object) => (object && object.text) || "";
