/* Messages: one at a time, and what can be done with each. */

import { blocks } from "./blocks.js";
import { avatar, clockTime, exact, person, placeName, seconds } from "./names.js";
import { mrkdwn } from "./mrkdwn.js";
import { go } from "./panes.js";
import { act, state, ui } from "./server.js";
import { count, h, icon } from "./tools.js";
import { openMenu } from "./widgets.js";

/** Does a message of somebody else name this person? */
export const mentionsMe = (m) => m.user !== ui.as && JSON.stringify([m.text, m.blocks]).includes(`<@${ui.as}>`);
const shortcuts = (type) => state.shortcuts.filter((s) => s.type === type);
export const isReply = (m) => Boolean(m.thread_ts) && m.thread_ts !== m.ts;
const byTime = (a, b) => seconds(a.ts) - seconds(b.ts) || (a.ts < b.ts ? -1 : 1);
export const allMessages = (id) => [...((state.messages || {})[id] || []), ...(ui.notices[`${ui.as}/${id}`] || [])].sort(byTime);
export const inChannel = (id) => allMessages(id).filter((m) => !isReply(m) || m.reply_broadcast);
export const inThread = (id, root) => allMessages(id).filter((m) => m.ts === root || m.thread_ts === root);
export const repliesOf = (id, root) => inThread(id, root).filter((m) => m.ts !== root && !m.ephemeral);

export function messageNode(id, m, compact, threaded) {
  const who = person(m.user);
  const time = h("time", { datetime: new Date(seconds(m.ts) * 1000).toISOString(), title: exact(m.ts) }, clockTime(m.ts));
  const el = h("article", { class: `msg${compact ? " compact" : ""}${m.ephemeral ? " private" : ""}`, tabindex: "-1", "aria-label": `${who.name}, ${clockTime(m.ts)}${m.ephemeral ? ", only visible to you" : ""}`, "data-ts": m.ts },
    notes(id, m, threaded), h("div", { class: "gutter" }, compact ? time : avatar(m.user)),
    h("div", { class: "body" }, !compact && headLine(who, time), content(id, m), !threaded && !isReply(m) && threadLink(id, m)), toolbar(id, m, threaded));
  if (ui.flash === m.ts) { el.classList.add("flash"); ui.flash = null; }
  return el;
}
const headLine = (who, time) => h("div", { class: "head" }, h("span", { class: "name" }, who.name), who.is_bot && h("span", { class: "tag" }, "APP"), who.guest && h("span", { class: "tag" }, "GUEST"), time);
function content(id, m) {
  const from = { channel: id, ts: m.ts };
  const drawn = m.blocks && m.blocks.length ? blocks(m.blocks, from) : mrkdwn(m.text);
  return [drawn, m.edited && h("span", { class: "edited", title: "This message was changed in place" }, "(edited)")];
}
function notes(id, m, threaded) {
  if (m.ephemeral) return h("div", { class: "note" }, icon("eye"), "Only visible to you");
  if (!isReply(m) || !m.reply_broadcast) return null;
  if (threaded) return h("div", { class: "note" }, `Also sent to ${placeName(id)}`);
  const root = allMessages(id).find((r) => r.ts === m.thread_ts);
  return h("div", { class: "note" }, h("span", null, "replied to a thread:"), h("button", { class: "plain", type: "button", on: { click: () => go(id, m.thread_ts) } }, root ? short(flat(root.text)) || "a message" : "open it"));
}
const short = (line) => (line.length > 90 ? `${line.slice(0, 89).trimEnd()}…` : line);
/** The plain `text` of a message, without marks: for lists, notices and screen readers. */
export function flat(raw) {
  return mrkdwn(raw).textContent.replace(/\s+/g, " ").trim();
}
function threadLink(id, m) {
  const replies = repliesOf(id, m.ts);
  const n = Math.max(m.reply_count || 0, replies.length);
  if (!n) return null;
  const people = [...new Set(replies.map((r) => r.user))].slice(0, 4);
  const last = replies.at(-1);
  return h("button", { class: "thread-link", type: "button", "data-f": `replies/${m.ts}`, on: { click: () => go(id, m.ts) } }, people.map(avatar), count(n, "reply", "replies"), last && h("span", { class: "muted" }, `Last one ${clockTime(last.ts)}`));
}
function toolbar(id, m, threaded) {
  const reply = !threaded && !m.ephemeral && h("button", { class: "iconbtn quick", type: "button", title: "Reply in thread", "aria-label": "Reply in thread", on: { click: () => go(id, isReply(m) ? m.thread_ts : m.ts) } }, icon("thread"));
  const answer = { label: "Reply in thread", run: () => go(id, isReply(m) ? m.thread_ts : m.ts) };
  const items = m.ephemeral ? [] : [...(threaded ? [] : [answer]), ...shortcutItems("message", id, m.ts)];
  if (!items.length) return null;
  const more = h("button", { class: "iconbtn", type: "button", title: "More", "aria-label": "More actions", "aria-haspopup": "menu", "aria-expanded": "false", "data-f": `more/${m.ts}`, on: { click: (e) => openMenu(e.currentTarget, "Message", items) } }, icon("more"));
  return h("div", { class: "tools" }, reply, more);
}

/** The app's shortcuts as lines of a menu: global ones, or with `ts` those on that message. */
export function shortcutItems(type, id, ts) {
  const run = async (s) => {
    const answer = await act({ do: "shortcut", callback_id: s.callback_id, ...(ts ? { channel: id, ts } : {}) });
    if (!answer.ok) notice(id, `*${s.name}* failed with the error \`${answer.error}\``);
  };
  return shortcuts(type).map((s) => ({ label: s.name, hint: s.description, run: () => run(s) }));
}

/** Something only this window says, as Slackbot does in Slack. */
export function notice(id, words_) {
  const key = `${ui.as}/${id}`;
  const last = Math.max(Date.now() / 1000, ...((state.messages || {})[id] || []).map((m) => seconds(m.ts)));
  (ui.notices[key] ||= []).push({ ts: (last + 0.001).toFixed(6), user: "USLACKBOT", text: words_, blocks: null, ephemeral: true });
  ui.render();
}
