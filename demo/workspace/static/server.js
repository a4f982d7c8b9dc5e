/* The server: what this person sees (/page/state), when it changes (/page/events), what this person does (/page/act). */

import { $ } from "./tools.js";

export const query = new URLSearchParams(location.search);
const token = query.get("token") || "";
const FIRST_PERSON = "U0ANA"; // of the sample workspace, for an address without ?as=
/** What one person sees now, as the server tells it; null before the first answer. */
export let state = null;
export const ui = {
  as: query.get("as") || FIRST_PERSON, place: "", thread: null, drafts: {}, notices: {}, closed: new Set(),
  history: [], held: false, stale: false, known: null, flash: null, render: () => {},
};
const net = { busy: null, again: false, events: null, seen: -1 };

function address(path) {
  const params = new URLSearchParams({ token });
  if (ui.as) params.set("as", ui.as);
  return `${path}?${params}`;
}

async function load() {
  const wanted = ui.as;
  const answer = await fetch(address("/page/state"), { cache: "no-store" });
  if (answer.status === 401 || answer.status === 403) return wall("The token in the address is missing or wrong. Open the address that the demo printed.");
  if (answer.status === 404) return wall(`This workspace knows nobody with the id ${wanted}. Say who you are with ?as=… in the address.`);
  if (!answer.ok) throw new Error(`state: HTTP ${answer.status}`);
  const fresh = await answer.json();
  if (wanted !== ui.as) { net.again = true; return; }
  state = fresh;
  net.seen = state.version;
  ui.as = state.me;
  offline(false);
  ui.render();
}

/** Fetches the state; calls that come while one is under way are joined into one more. */
export async function refresh() {
  if (net.busy) { net.again = true; return net.busy; }
  net.busy = (async () => {
    do { net.again = false; await load(); } while (net.again);
  })();
  try { await net.busy; } catch (error) { console.error(error); offline(true); } finally { net.busy = null; }
}

/** Does what the person did; always answers {ok, error?, ...}, also when the server cannot be reached. */
export async function act(body) {
  let answer;
  try {
    const reply = await fetch(address("/page/act"), {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ as: ui.as, ...body }),
    });
    answer = await reply.json().catch(() => ({ ok: false, error: `http_${reply.status}` }));
    if (!reply.ok && answer.ok !== false) answer = { ...answer, ok: false, error: `http_${reply.status}` };
  } catch { answer = { ok: false, error: "workspace_not_reachable" }; }
  if (body.do !== "suggest") await refresh();
  return answer;
}

export function listen() {
  if (net.events) net.events.close();
  net.events = new EventSource(address("/page/events"));
  net.events.onmessage = (event) => {
    let version = null;
    try { version = JSON.parse(event.data).version; } catch { /* a line that is not ours only means: look */ }
    if (version === null || version !== net.seen) refresh();
  };
  net.events.onopen = () => refresh();
  net.events.onerror = () => {
    offline(true);
    if (net.events.readyState === EventSource.CLOSED && $("wall").hidden) setTimeout(listen, 2000);
  };
}

function offline(on) { $("offline").hidden = !on; }
function wall(text) { $("wall-text").textContent = text; $("wall").hidden = false; if (net.events) net.events.close(); }
