// Draw curves as SVG, in the colours, dashes and markers of the figures of lottery plot.

const LOOKS = document.body.dataset.looks.split(" "); // a marker each, with - in front a hollow one
const MARGIN = { top: 12, right: 14, bottom: 40, left: 52 };
const BAND = 42; // pixels at the right, for the word beside the dense net
const SQUASHED = 6; // times as high as the others need, that an axis would have to be
const LEAST = 2; // points of a share that the others are taken to need: less is no shape
const SIZE = 4.2; // of a marker, in pixels from its middle
const APART = 34; // pixels between two ticks of which one is an end
const BESIDE = 5; // pixels between lines that share their places, and so would hide each other
const GRIDS = [[1, 1.5, 2, 3, 4, 5, 7], [1, 2, 5], [1]]; // digits of ticks on a logarithmic axis
const hiddenLines = new Set(); // what readers have turned off
const wholeCharts = new Set(); // ... and where they want to see all of y
const charts = new Map(); // id -> the figure and what it shows

const SHAPES = {
  o: (s) => `M${-s} 0a${s} ${s} 0 1 0 ${2 * s} 0a${s} ${s} 0 1 0 ${-2 * s} 0z`,
  s: (s) => `M${-s} ${-s}h${2 * s}v${2 * s}h${-2 * s}z`,
  "^": (s) => `M0 ${-1.15 * s}L${1.1 * s} ${0.9 * s}H${-1.1 * s}z`,
  v: (s) => `M0 ${1.15 * s}L${1.1 * s} ${-0.9 * s}H${-1.1 * s}z`,
  D: (s) => `M0 ${-1.3 * s}L${1.2 * s} 0L0 ${1.3 * s}L${-1.2 * s} 0z`,
  P: (s) => `M${-0.4 * s} ${-1.1 * s}h${0.8 * s}v${0.7 * s}h${0.7 * s}v${0.8 * s}h${-0.7 * s}v${0.7 * s}h${-0.8 * s}v${-0.7 * s}h${-0.7 * s}v${-0.8 * s}h${0.7 * s}z`,
};

const lookClass = (look) => (look === null ? "look-none" : `look${look}`);

const marker = (look, x, y, more = "") => {
  const said = look === null ? "o" : LOOKS[look];
  const hollow = said.startsWith("-") ? " hollow" : "";
  const shape = SHAPES[said.replace("-", "")] ?? SHAPES.o;
  return make("path", { class: `mark${hollow}${more}`, d: shape(SIZE), transform: `translate(${x} ${y})` });
};

// How a line looks, beside its name.
function swatchOf(look) {
  const line = make("path", { class: "stroke", d: "M1 8H27" });
  return make("svg", { class: `swatch ${lookClass(look)}`, viewBox: "0 0 28 16", "aria-hidden": "true" }, line, marker(look, 14, 8));
}

// Of steps there may be many digits; of other numbers three say enough, or more where ticks are near.
const tidy = (value, step = 0) => {
  const digits = Math.max(3, step ? Math.ceil(Math.log10(Math.abs(value) / step + 1e-9)) + 2 : 0);
  return String(Number(value.toPrecision(Math.min(12, Number.isFinite(digits) ? digits : 3))));
};
const gapOf = (ticks) => Math.min(...ticks.slice(1).map((tick, at) => tick - ticks[at]));

const logTicks = (low, high) => {
  for (const digits of GRIDS) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      for (const digit of digits) {
        const tick = digit * 10 ** power;
        if (tick >= low * 0.9999 && tick <= high * 1.0001) found.push(tick);
      }
    }
    if (found.length <= 7) return found;
  }
  return [low, high];
};

const linearTicks = (low, high, most = 5) => {
  const rough = (high - low) / (most - 1) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((digit) => digit * power >= rough * 0.8);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + step * 1e-6; at += 1) found.push(at * step);
  return found;
};

// From values to pixels; `log` and `flip` as the axis of a figure has them.
const scaleOf = (values, from, to, { log = false, flip = false, room = 0.05, ends = false } = {}) => {
  const by = log ? Math.log10 : (value) => value;
  let [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  if (low === high) [low, high] = log ? [low / 1.2, high * 1.2] : [low - (Math.abs(low) * 0.05 || 1), high + (Math.abs(high) * 0.05 || 1)];
  const [start, end] = [by(low), by(high)];
  const pad = room * (end - start);
  const share = (value) => (by(value) - start + pad) / (end - start + 2 * pad);
  const place = (value) => from + (flip ? 1 - share(value) : share(value)) * (to - from);
  const inner = log ? logTicks(low, high) : linearTicks(low - room * (high - low), high + room * (high - low));
  const apart = (a, b) => Math.abs(place(a) - place(b)) > APART;
  const ticks = ends ? [low, ...inner.filter((tick) => apart(tick, low) && apart(tick, high)), high] : inner;
  return { place, ticks };
};

const axes = (x, y, width, height, what, right) => {
  const { top, bottom, left } = MARGIN;
  const made = [];
  for (const tick of y.ticks) {
    const at = y.place(tick);
    made.push(make("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }));
    made.push(make("text", { x: left - 8, y: at + 4, "text-anchor": "end" }, tidy(tick, gapOf(y.ticks))));
  }
  for (const tick of x.ticks) {
    const at = x.place(tick);
    made.push(make("line", { class: "axis", x1: at, x2: at, y1: height - bottom, y2: height - bottom + 4 }));
    made.push(make("text", { x: at, y: height - bottom + 17, "text-anchor": "middle" }, tidy(tick, gapOf(x.ticks))));
  }
  made.push(make("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }));
  made.push(make("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, what));
  return made;
};

const strokeOf = (line, x, y, beside) => {
  const group = make("g", { class: `line ${lookClass(line.look)}`, "data-line": line.id });
  const places = line.points.map((point) => [x.place(point.x) + beside, y.place(point.y)]);
  if (places.length > 1) group.append(make("path", { class: "stroke", d: `M${places.map((p) => p.join(" ")).join("L")}` }));
  line.points.forEach((point, at) => {
    const [across, up] = places[at];
    if (point.low !== null && point.high !== null && point.low < point.high) {
      const [low, high] = [y.place(point.low), y.place(point.high)];
      group.append(make("path", { class: "interval", d: `M${across - 3} ${low}h6m-3 0V${high}m-3 0h6` }));
    }
    if (line.marked || at === places.length - 1) group.append(marker(line.look, across, up, point.whole ? "" : " part"));
    if (line.end && at === places.length - 1) group.append(make("text", { class: "end", x: across + 7, y: up + 4 }, line.end));
    if (line.marked) group.append(make("circle", { class: "hit", cx: across, cy: up, r: 10 }, make("title", {}, `${line.label}\n${point.words}`)));
  });
  return group;
};

// The lowest of what is shown where lines below it squash the others, as figures cut it; -Infinity for none.
const edgeOf = (spans, dense, least) => {
  const sorted = [...spans].sort((one, other) => other[0] - one[0] || other[1] - one[1]);
  for (let most = sorted.length - 1; most >= Math.ceil(sorted.length / 2); most -= 1) {
    const kept = sorted.slice(0, most);
    const low = Math.min(...kept.map((span) => span[0]), ...dense), high = Math.max(...kept.map((span) => span[1]), ...dense);
    if (high > low && high - sorted[most][0] >= SQUASHED * Math.max(high - low, least)) return low;
  }
  return -Infinity;
};

const rangeOf = (values) => [Math.min(...values), Math.max(...values)];
const known = (values) => values.filter((value) => value !== null && value !== undefined);
const ends = (points) => known(points.flatMap((p) => [p.y, p.low, p.high]));

// Where y begins and ends, and in words what lies beyond; the dense nets are always seen.
const cutOf = (chart, lines) => {
  const spans = lines.map((line) => rangeOf(ends(line.points)));
  const dense = chart.dense.map((net) => net.mean);
  const least = chart.unit ? LEAST : 0;
  const low = edgeOf(spans, dense, least), high = -edgeOf(spans.map(([a, b]) => [-b, -a]), dense.map((one) => -one), least);
  const said = (value) => `${tidy(value)}${chart.unit && ` ${chart.unit}`}`;
  const beyond = (line, span, sign) => {
    const at = sign > 0 ? 0 : 1, edge = sign > 0 ? low : high;
    if (sign * span[at] >= sign * edge) return [];
    const mean = rangeOf(line.points.map((point) => point.y))[at];
    const way = sign > 0 ? "down" : "up";
    return sign * mean < sign * edge ? [`${line.label} ${way} to ${said(mean)}`] : [`interval of ${line.label} ${way} to ${said(span[at])}`];
  };
  const gone = [["below", low, 1], ["above", high, -1]].flatMap(([where, edge, sign]) => {
    const some = Number.isFinite(edge) ? lines.flatMap((line, at) => beyond(line, spans[at], sign)) : [];
    return some.length ? [`Not shown, ${where} ${said(edge)}: ${some.join(", ")}.`] : [];
  });
  const [lowest, highest] = rangeOf(spans.flat());
  return { range: [Math.max(low, lowest), Math.min(high, highest)], said: gone.join(" ") };
};

const denseOf = (chart, y, from, to) =>
  chart.dense.flatMap((net) => {
    const kind = net.look === null ? "dense" : `dense ${lookClass(net.look)}`;
    const across = make("line", { class: kind, x1: from, x2: to, y1: y.place(net.mean), y2: y.place(net.mean) });
    if (chart.dense.length > 1 || net.low === null || net.high === null || net.low >= net.high) return [across];
    const [low, high] = [y.place(net.low), y.place(net.high)];
    return [make("rect", { class: "dense", x: from, width: to - from, y: high, height: low - high }), across];
  });

let clips = 0; // so that no two have a name

// Draw a chart, and return in words what of it is not shown.
const plot = (svg, chart) => {
  const { width, height } = svg.getBoundingClientRect();
  const lines = chart.lines.filter((line) => line.points.length && !hiddenLines.has(line.id));
  const points = lines.flatMap((line) => line.points);
  if (!width || !points.length) {
    svg.replaceChildren();
    return "";
  }
  const nets = chart.dense.flatMap((net) => known(chart.dense.length > 1 ? [net.mean] : [net.mean, net.low, net.high]));
  const values = [...ends(points), ...nets];
  const log = chart.logarithmic && Math.min(...values) > 0;
  const right = chart.dense.length ? BAND : MARGIN.right;
  const cut = log || !chart.density ? { said: "" } : cutOf(chart, lines);
  const shown = cut.said && !wholeCharts.has(chart.id) ? [...cut.range, ...chart.dense.map((net) => net.mean)] : values;
  const { top, bottom, left } = MARGIN;
  const across = points.map((p) => p.x);
  const x = scaleOf(chart.density ? across : [0, 1, ...across], left, width - right, { log: chart.density, flip: chart.density, room: 0.04, ends: chart.density });
  const y = scaleOf(shown, height - bottom, top, { log });
  const step = Math.min(BESIDE, 24 / lines.length);
  const strokes = lines.map((line, at) => strokeOf(line, x, y, chart.density ? step * (at - (lines.length - 1) / 2) : 0));
  const drawn = make("g", {}, ...denseOf(chart, y, left, width - right), ...strokes);
  const parts = [...axes(x, y, width, height, chart.across, right), drawn];
  if (shown !== values) {
    const clip = `clip-${(clips += 1)}`;
    drawn.setAttribute("clip-path", `url(#${clip})`);
    parts.unshift(make("clipPath", { id: clip }, make("rect", { x: 0, y: 0, width, height: height - bottom })));
  }
  if (chart.dense.length) {
    const at = y.place(Math.max(...chart.dense.map((net) => net.mean)));
    parts.push(make("text", { class: "dense", x: width - right + 6, y: at + 4 }, "dense"));
  }
  svg.replaceChildren(...parts);
  return cut.said;
};

const legendOf = (chart, redraw, figure) =>
  chart.lines.map((line) => {
    const button = make("button", { type: "button", "aria-pressed": String(!hiddenLines.has(line.id)) }, swatchOf(line.look), line.label);
    const ask = (asked) => () => {
      figure.classList.toggle("asked", asked && !hiddenLines.has(line.id));
      for (const at of figure.querySelectorAll(".line")) at.classList.toggle("meant", at.dataset.line === line.id);
    };
    button.addEventListener("click", () => {
      if (!hiddenLines.delete(line.id)) hiddenLines.add(line.id);
      button.setAttribute("aria-pressed", String(!hiddenLines.has(line.id)));
      figure.classList.remove("asked");
      redraw();
    });
    for (const [event, asked] of [["mouseenter", true], ["mouseleave", false], ["focus", true], ["blur", false]]) button.addEventListener(event, ask(asked));
    return make("li", {}, button);
  });

const numbersOf = (chart) => {
  const rows = chart.lines.flatMap((line) => line.points.map((point) => make("tr", {}, make("th", { scope: "row" }, line.label), make("td", {}, point.words))));
  return make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `${chart.title}: the numbers` }, make("table", {}, make("tbody", {}, ...rows)));
};

const figureOf = (chart) => {
  const title = make("h3", {}), about = make("p", {}), gone = make("span", {});
  const whole = make("button", { type: "button", class: "again" });
  const beyond = make("p", { class: "beyond", hidden: "" }, gone, whole);
  const svg = make("svg", { class: "plot", role: "img" });
  const legend = make("ul", { class: "legend", "aria-label": "Lines; a line can be turned off" });
  const node = make("figure", { class: "chart" }, make("figcaption", {}, title, about, beyond), svg, legend);
  const held = { node, shown: "", named: "" };
  const redraw = () => {
    const said = plot(svg, held.chart), all = wholeCharts.has(held.chart.id);
    beyond.hidden = !said;
    write(gone, all ? "" : `${said} `);
    write(whole, all ? "Show where most lines are" : "Show all");
  };
  whole.addEventListener("click", () => {
    if (!wholeCharts.delete(held.chart.id)) wholeCharts.add(held.chart.id);
    redraw();
  });
  const fold = make("details", { class: "fold" }, make("summary", {}, "The numbers"));
  const fill = () => fold.open && fold.replaceChildren(fold.firstElementChild, numbersOf(held.chart));
  fold.addEventListener("toggle", fill);
  if (chart.density) node.append(fold);
  new ResizeObserver(redraw).observe(svg);
  held.show = (now) => {
    held.chart = now;
    write(title, now.title);
    write(about, now.about);
    svg.setAttribute("aria-label", `${now.title}: ${now.about}; ${several(now.lines.length, "line")}: ${now.lines.map((line) => line.label).join("; ")}`);
    const names = JSON.stringify(now.lines.map((line) => [line.id, line.label, line.look]));
    if (names !== held.named) {
      const focus = [...legend.children].findIndex((item) => item.contains(document.activeElement));
      legend.replaceChildren(...legendOf(now, redraw, node));
      legend.children[focus]?.firstElementChild.focus();
      held.named = names;
    }
    const all = JSON.stringify(now);
    if (all !== held.shown) {
      redraw();
      fill();
      held.shown = all;
    }
  };
  return held;
};

// What is to be drawn: of every facet its configs against density, then what is at work.

const byDensity = (facet) => {
  const lines = facet.lines.flatMap((id, look) => {
    const line = page.lines.get(id);
    const points = line?.points.map(([x, y, low, high, words, whole]) => ({ x, y, low, high, words, whole }));
    return line ? [{ id, look, label: line.label, points, marked: true }] : [];
  });
  const better = facet.higher ? "" : ", lower is better";
  const more = facet.more ? `; the ${lines.length} that changed last, ${several(facet.more, "more config")} not drawn: name some, as in lottery watch prune=imp` : "";
  const across = facet.dense.length > 1 ? "; dashed across, the dense nets" : "";
  const about = `${facet.measure}${facet.unit && ` (${facet.unit})`}${better}, mean and 95 % interval over replicates${across}${more}`;
  return { id: `density ${facet.id}`, title: facet.title, about, across: "weights kept (%)", density: true, logarithmic: facet.logarithmic, unit: facet.unit, dense: facet.dense, lines };
};

const atWork = () => {
  const groups = new Map();
  for (const [id, live] of page.live) {
    if (!live.curve?.length) continue;
    const row = page.rows.get(id);
    const title = `${row.model} on ${row.dataset}, at work`;
    const key = `${title} ${live.measure}`;
    if (!groups.has(key)) groups.set(key, { id: `work ${key}`, title, about: live.about, across: "training step", density: false, logarithmic: live.logarithmic, unit: "", dense: [], lines: [] });
    const points = live.curve.map(([x, y]) => ({ x, y, low: null, high: null, words: "", whole: true }));
    groups.get(key).lines.push({ id: `work ${id}`, look: lookOf(row.line), label: `${nameOf(row)}, ${live.where}`, points, marked: false, end: String(row.replicate) });
  }
  return [...groups.values()];
};

function showCurves(hidden) {
  const wanted = [...page.facets.map(byDensity).filter((chart) => chart.lines.length), ...atWork()];
  const kept = new Set(wanted.map((chart) => chart.id));
  for (const id of charts.keys()) if (!kept.has(id)) charts.delete(id);
  for (const chart of wanted) if (!charts.has(chart.id)) charts.set(chart.id, figureOf(chart));
  named("curves").hidden = !wanted.length;
  arrange(named("charts"), wanted.map((chart) => charts.get(chart.id).node));
  for (const chart of wanted) charts.get(chart.id).show(chart);
  write(named("curves-note"), hidden ? `${several(hidden, "more pair")} of model and data not drawn: name some, as in lottery watch dataset=digits` : "");
}

turn();
