/* People, places and times, as this reader sees them. */

import { linkNode, safeUrl, splitLabel, decode, text } from "./mrkdwn.js";
import { state } from "./server.js";
import { h, icon } from "./tools.js";

export const person = (id) => state.people.find((p) => p.id === id) || { id, name: id === "USLACKBOT" ? "Slackbot" : id || "unknown", color: "#4a154b" };
export const humans = () => state.people.filter((p) => !p.is_bot);
export const bot = () => person(state.app.id);
export const channel = (id) => (state.channels || []).find((c) => c.id === id);
export const direct = (id) => (state.directs || []).find((d) => d.id === id);
export const placeName = (id) => (channel(id) ? `#${channel(id).name}` : direct(id) ? bot().name : id);

function colour(p) {
  const given = /^#?([0-9a-f]{6})$/i.exec(p.color || "");
  if (given) return `#${given[1]}`;
  let sum = 0;
  for (const c of p.id || "") sum = (sum * 31 + c.charCodeAt(0)) % 360;
  return `hsl(${sum} 45% 36%)`;
}

export function avatar(id) {
  const p = person(id);
  const initials = (p.name || "?").split(/\s+/).map((w) => [...w][0] || "").slice(0, 2).join("").toUpperCase();
  const el = h("span", { class: "avatar", "aria-hidden": "true" }, p.is_bot ? icon("rewind") : initials);
  el.style.background = colour(p);
  return el;
}

export const seconds = (ts) => Number.parseFloat(ts) || 0;
const format = (date, options) => new Intl.DateTimeFormat(undefined, options).format(date);
export const clockTime = (ts) => format(new Date(seconds(ts) * 1000), { hour: "numeric", minute: "2-digit" });
export const exact = (ts) => format(new Date(seconds(ts) * 1000), { dateStyle: "full", timeStyle: "medium" });

function relativeDay(date) {
  const midnight = (d) => new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
  const days = Math.round((midnight(date) - midnight(new Date())) / 86400000);
  return { 0: "today", "-1": "yesterday", 1: "tomorrow" }[days] || null;
}
export function dayName(ts) {
  const date = new Date(seconds(ts) * 1000);
  const near = relativeDay(date);
  return near ? near[0].toUpperCase() + near.slice(1) : format(date, { weekday: "long", month: "long", day: "numeric" });
}

const DATE_PARTS = {
  "{time}": { hour: "numeric", minute: "2-digit" }, "{time_secs}": { hour: "numeric", minute: "2-digit", second: "2-digit" },
  "{date_num}": { year: "numeric", month: "2-digit", day: "2-digit" }, "{date}": { year: "numeric", month: "long", day: "numeric" },
  "{date_short}": { year: "numeric", month: "short", day: "numeric" }, "{date_long}": { weekday: "long", year: "numeric", month: "long", day: "numeric" },
};
/** Slack's <!date^epoch^format^link|fallback>, in the reader's own time zone. */
export function dateNode(code) {
  const [spec, fallback] = splitLabel(code);
  const [, epoch, pattern, link] = spec.split("^");
  const date = new Date(Number(epoch) * 1000);
  if (!pattern || Number.isNaN(date.getTime())) return text(fallback || "");
  const shown = pattern.replace(/\{[a-z_]+\}/g, (part) => {
    const pretty = part.includes("_pretty");
    if (pretty && relativeDay(date)) return relativeDay(date);
    const options = DATE_PARTS[part.replace("_pretty", "")];
    return options ? format(date, options) : part;
  });
  const node = h("time", { datetime: date.toISOString(), title: `${exact(epoch)} (${fallback || date.toISOString()})` }, decode(shown));
  return link && safeUrl(link) ? linkNode(link, node) : node;
}
