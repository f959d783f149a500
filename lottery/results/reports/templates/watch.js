"use strict";
// Ask for what has changed, and change only that: what is open, selected or scrolled to stays.
// Everything from the disk is written as text, never as HTML.

const EVERY = 1000 * document.body.dataset.every; // milliseconds between two questions
const LONGEST = 30000; // and between two attempts while nobody answers
const PATIENCE = 15000; // for an answer
const SHOWN = 30; // rows of a table, until all are asked for

const named = (id) => document.getElementById(id);

// Make an element; a string among the parts is text, and so is an attribute's value.
const make = (tag, attributes = {}, ...parts) => {
  const svg = "svg g path line circle text title clipPath rect".split(" ").includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...parts);
  return made;
};

// Write text only where it is another: no selection is lost, and nothing is read out twice.
const write = (at, text) => {
  if (at.textContent !== text) at.textContent = text;
};

// Let the children of an element be these, in this order, moving none that stands right already.
const arrange = (parent, children) => {
  children.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
};

const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });
const ago = (seconds) => {
  const since = Math.max(0, Date.now() / 1000 - seconds);
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (since >= size) return `${Math.floor(since / size)} ${unit} ago`;
  }
  return "just now";
};
const several = (count, one) => `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;

const WORDS = { killed: "interrupted", "?": "unknown" };
const stateOf = (row) => WORDS[row.state] ?? row.state;
const nameOf = (row) => `${row.label || row.config}, replicate ${row.replicate}`;

const page = {
  version: 0,
  rows: new Map(), // id -> row
  live: new Map(), // id -> how it stands, of those at work
  lines: new Map(), // id -> line
  facets: [],
  jobs: [],
  nodes: new Map(), // id -> what shows a run: {kind, node, ...}
  all: new Set(), // the tables of which all rows were asked for
};

// The look of a config's line, as it is drawn; every run of it has the same.
const lookOf = (line) => {
  for (const facet of page.facets) if (facet.lines.includes(line)) return facet.lines.indexOf(line);
  return null;
};

// Runs at work

const workRow = (id) => {
  const parts = Object.fromEntries(
    "name config state left value pace epoch".split(" ").map((key) => [key, make("span")]),
  );
  for (const key of ["config", "state", "epoch"]) parts[key].className = "quiet";
  parts.config.className = "quiet place";
  const bar = make("progress", { max: 1, value: 0 });
  const swatch = make("span");
  const quiet = make("span", { class: "bad" });
  const node = make(
    "tr", {},
    make("th", { scope: "row" }, swatch, parts.name, parts.config),
    make("td", { class: "progress" }, parts.state, bar, quiet),
    make("td", { class: "n" }, parts.left),
    make("td", { class: "n" }, parts.value, parts.epoch),
    make("td", { class: "n" }, parts.pace),
  );
  return { node, parts, bar, swatch, quiet, look: undefined };
};

const showWork = () => {
  const ids = [...page.live.keys()];
  const known = showWork.rows ?? (showWork.rows = new Map());
  for (const id of known.keys()) if (!page.live.has(id)) known.delete(id);
  for (const id of ids) {
    if (!known.has(id)) known.set(id, workRow(id));
    const { parts, bar, ...at } = known.get(id);
    const row = page.rows.get(id), live = page.live.get(id);
    const look = lookOf(row.line);
    if (look !== known.get(id).look) {
      at.swatch.replaceChildren(swatchOf(look));
      known.get(id).look = look;
    }
    write(parts.name, nameOf(row));
    write(parts.config, [row.config, row.host && `on ${row.host}`].filter(Boolean).join(", "));
    write(parts.state, [live.where, live.density && `${live.density} of weights`, live.step].filter(Boolean).join(" · "));
    write(at.quiet, live.quiet ?? "");
    write(parts.left, live.left ?? "");
    write(parts.value, live.value ?? "");
    write(parts.epoch, live.epoch ?? "");
    write(parts.pace, live.rate ?? "");
    bar.value = live.share;
    bar.setAttribute("aria-label", `${nameOf(row)}: ${live.where}, ${Math.round(100 * live.share)} % of the run`);
  }
  arrange(named("running-table").tBodies[0], ids.map((id) => known.get(id).node));
};

// Runs that are done

const doneRow = (row) => {
  const when = make("td", { class: "n when" }, row.ended ? ago(row.ended) : "");
  if (row.ended) {
    when.dataset.at = row.ended;
    when.title = new Date(1000 * row.ended).toLocaleString();
  }
  const cell = (text, number = true) => make("td", number ? { class: "n" } : {}, text ?? "");
  return make(
    "tr", {},
    make("th", { scope: "row" }, nameOf(row), make("span", { class: "quiet place" }, row.config)),
    cell(row.levels), cell(row.density), cell(row.val), cell(row.test), cell(row.took), when,
    cell(row.warnings, false),
  );
};

// A run, or a job that never was one, that ended otherwise

const failure = (row) => {
  const state = stateOf(row);
  const why = row.error || (state === "interrupted" ? "its process is gone without a word" : state);
  const when = make("time", { class: "when" }, row.ended ? ago(row.ended) : "");
  if (row.ended) when.dataset.at = row.ended;
  const inside = make("div", { class: "inside" }, make("pre", {}, why));
  if (row.config || row.place) inside.append(make("p", {}, row.config || row.place));
  if (row.again) inside.append(make("p", {}, "To go on, type:"), make("pre", {}, row.again));
  if (row.log) {
    const log = make("pre", { class: "log", tabindex: "0", role: "region", "aria-label": "The end of its log" });
    const again = make("button", { type: "button", class: "again" }, "Read it again");
    const read = async () => {
      const answer = await ask(`log?of=${encodeURIComponent(row.id)}`);
      write(log, answer ? answer.lines.join("\n") : "The log was not reached.");
      log.scrollTop = log.scrollHeight;
    };
    again.addEventListener("click", read);
    inside.append(make("p", {}, `The end of its log, ${row.log}: `, again), log);
    inside.read = read;
  }
  const badge = make("span", { class: `badge ${/^\w+$/.test(row.state) ? row.state : ""}` }, state);
  const node = make(
    "details", { class: "failure" },
    make("summary", {}, badge, make("span", { class: "who" }, row.config ? nameOf(row) : row.label),
      make("span", { class: "line-of-it" }, why), when),
    inside,
  );
  node.addEventListener("toggle", () => node.open && inside.read?.());
  return node;
};

// A list of rows, each with the node that shows it, made anew only where the row is another.
const listed = (name, parent, render) => {
  const nodes = new Map();
  const more = named(`${name}-more`);
  const show = (rows) => {
    const most = page.all.has(name) ? rows.length : SHOWN;
    const shown = rows.slice(0, most);
    const kept = new Set(shown.map((row) => row.id));
    for (const id of nodes.keys()) if (!kept.has(id)) nodes.delete(id);
    for (const row of shown) {
      const before = nodes.get(row.id);
      if (before?.row === row) continue;
      const node = render(row);
      if (before?.node.open) node.open = true;
      nodes.set(row.id, { row, node });
    }
    arrange(parent, shown.map((row) => nodes.get(row.id).node));
    more.hidden = rows.length <= most;
    write(more, `Show all ${rows.length.toLocaleString("en")}`);
    more.onclick = () => {
      page.all.add(name);
      show(rows);
    };
  };
  return show;
};

const showDone = listed("done", named("done-table").tBodies[0], doneRow);
const showFailures = listed("failures", named("failure-list"), failure);

const newestFirst = (a, b) => (b.ended ?? 0) - (a.ended ?? 0) || (a.id < b.id ? -1 : 1);

const showTables = () => {
  const rows = [...page.rows.values()];
  const done = rows.filter((row) => row.state === "done").sort(newestFirst);
  const bad = rows.filter((row) => row.state !== "done" && row.state !== "running");
  const failed = [...bad, ...page.jobs].sort(newestFirst);
  showDone(done);
  named("done-table").classList.toggle("unwarned", !done.some((row) => row.warnings));
  showFailures(failed);
  for (const [id, count] of [["done", done.length], ["failures", failed.length]]) {
    named(id).hidden = !count;
    write(named(id).querySelector(".count"), count.toLocaleString("en"));
  }
};

// How all of them stand

const showCounts = (counts) => {
  const of = (...states) => states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  const known = ["running", "done", "failed", "stopped", "killed"];
  const whole = Object.values(counts).reduce((a, b) => a + b, 0);
  const numbers = {
    running: of("running"),
    done: of("done"),
    failed: of("failed", "stopped") + page.jobs.length,
    killed: of("killed"),
    damaged: whole - of(...known),
  };
  const left = [...page.live.values()].filter((live) => live.left).sort((a, b) => b.seconds - a.seconds);
  const notes = {
    running: left.length ? `the longest has ${left[0].left} left` : "",
    done: whole ? `of ${several(whole, "run")}` : "",
    failed: of("failed") && of("stopped") ? `${of("failed") + page.jobs.length} failed, ${of("stopped")} stopped` : "",
    killed: numbers.killed ? "gone without a word" : "",
    damaged: "",
  };
  for (const [name, number] of Object.entries(numbers)) {
    const tile = named(`count-${name}`);
    const [value, note] = tile.querySelectorAll("dd");
    write(value, number.toLocaleString("en"));
    write(note, notes[name]);
    tile.classList.toggle("some", number > 0 && !["running", "done"].includes(name));
  }
  named("count-damaged").hidden = !numbers.damaged;
  const bad = numbers.failed + numbers.killed + numbers.damaged;
  const title = [`${numbers.running} running`, `${numbers.done} done`, ...(bad ? [`${bad} not`] : [])];
  document.title = `${title.join(", ")}: lottery watch`;
};

const showTold = (told, none) => {
  write(named("none"), none);
  named("none").hidden = !none;
  named("told").hidden = !told.length;
  const list = named("told").firstElementChild;
  if (list.dataset.shown !== told.join("\n")) {
    list.replaceChildren(...told.map((line) => make("li", {}, line)));
    list.dataset.shown = told.join("\n");
  }
};

// What the answer of the server changes

const take = (answer) => {
  const first = !page.version || answer.whole;
  const said = [];
  if (answer.whole) {
    page.rows.clear();
    page.lines.clear();
  }
  const changed = answer.rows.length || answer.gone.length || JSON.stringify(answer.jobs) !== JSON.stringify(page.jobs);
  for (const id of answer.gone) page.rows.delete(id);
  for (const row of answer.rows) {
    const before = page.rows.get(row.id);
    if (!first && row.state !== before?.state) said.push(`${nameOf(row)}: ${stateOf(row)}`);
    page.rows.set(row.id, row);
  }
  page.live = new Map(answer.live.filter((live) => page.rows.has(live.id)).map((live) => [live.id, live]));
  for (const line of answer.lines) page.lines.set(line.id, line);
  const drawn = new Set(answer.facets.flatMap((facet) => facet.lines));
  for (const id of page.lines.keys()) if (!drawn.has(id)) page.lines.delete(id);
  page.facets = answer.facets;
  if (changed || first) {
    page.jobs = answer.jobs;
    showTables();
  }
  page.version = answer.version;
  showCounts(answer.counts);
  showWork();
  named("running").hidden = !page.live.size;
  write(named("running").querySelector(".count"), String(page.live.size));
  showTold(answer.told, answer.none);
  showCurves(answer.hidden);
  if (said.length) write(named("news"), said.join("; "));
};

const ask = async (what) => {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE);
  try {
    const answer = await fetch(what, { signal: stop.signal, cache: "no-store", credentials: "omit" });
    if (answer.status === 404) return "another";
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // nobody is there
  } finally {
    clearTimeout(timer);
  }
};

let reached = Date.now(), pause = EVERY, timer = 0, asking = false;

const tell = (lost, text) => {
  named("reached").classList.toggle("lost", lost);
  document.body.classList.toggle("lost", lost);
  write(named("reached-text"), text);
};

const turn = async () => {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  const answer = await ask(`data?since=${page.version}`);
  asking = false;
  if (answer === "another") {
    tell(true, "This address is no more; type lottery watch again for a new one.");
    return;
  }
  if (answer) {
    take(answer);
    [reached, pause] = [Date.now(), EVERY];
    tell(false, `Live, at ${clock(reached)}`);
  } else {
    pause = Math.min(LONGEST, 2 * pause);
    tell(true, `Not reached since ${clock(reached)}; asking again`);
  }
  if (!document.hidden) timer = setTimeout(turn, pause);
};

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) turn();
});
setInterval(() => {
  if (document.hidden) return;
  for (const at of document.querySelectorAll(".when[data-at]")) write(at, ago(Number(at.dataset.at)));
}, 15000);
