// The trace, and where everything of it stands on the canvas. Nothing here draws or listens.

const data = JSON.parse(document.getElementById("data").textContent);

const FAMILIES = {
  Ping: "views", GetView: "views", ViewReply: "views", Superseded: "views",
  Request: "calls", Reply: "calls", Refused: "calls", SessionGone: "calls",
  Forward: "copies", Confirm: "copies",
  Piece: "transfer", PieceReceived: "transfer",
};
const MESSAGES = new Set(["sent", "received", "lost"]);
const MARKS = {
  timer: "timers", signal: "timers", event: "events",
  called: "calls made", answered: "calls made", started: "lives", stopped: "lives",
  paused: "lives", resumed: "lives", fault: "faults", broken: "faults",
};

const moments = data.moments.map(([time, lane, sort, text, fields, ignored], index) => ({
  index, time, lane, sort: data.sorts[sort], text: data.texts[text], fields: data.fields[fields],
  kind: ignored ? "ignored" : MARKS[data.sorts[sort]] || "", arrows: [],
}));
const lanes = data.lanes.map(([name, sort, silent]) => ({ name, sort, silent, shown: true, y: 0 }));
const spans = data.spans.map(([lane, first, last, look, text]) => (
  { lane, first, last, look: data.looks[look], text: data.texts[text] }));
const arrows = data.arrows.map(([source, target, sent, ended, ending, kind]) => (
  { source, target, sent, ended, ending: data.endings[ending], kind: data.kinds[kind],
    family: FAMILIES[data.kinds[kind]] || "tools" }));
const bands = data.bands.map(([number, first, last, text]) => ({ number, first, last, text }));
for (const arrow of arrows) {
  moments[arrow.sent].arrows.push(arrow);
  if (arrow.ended !== arrow.sent) moments[arrow.ended].arrows.push(arrow);
}

// What can be shown or hidden, with how often it is there. Timers are hidden at first: they are
// many, and say little.
const kinds = new Map();
for (const { kind, family } of arrows) count(kind, family);
for (const { kind } of moments) if (kind) count(kind, "mark");

function count(name, family) {
  if (!kinds.has(name)) kinds.set(name, { name, family, count: 0, shown: name !== "timers" });
  kinds.get(name).count += 1;
}

const STRIP = 30;    // with the numbers of views
const TOP = STRIP + (moments.some(({ lane }) => lane < 0) ? 20 : 0);  // with what concerns all lanes
const BOTTOM = 26;   // the axis
const MARKS_MAX = 600;
const MARGIN = 24;   // free room left and right of everything
// Explorers count steps instead of time: whole numbers, and something happens in each.
const steps = moments.length > 1 && moments.every(({ time }) => Number.isInteger(time)) &&
  moments[moments.length - 1].time - moments[0].time < moments.length;
const scene = {
  width: 100, height: 100,
  byOrder: steps,
  left: 0,        // what stands at the left edge, in units of the axis
  scale: 0,       // pixels for each unit
};

/** Where on the axis a moment stands; the end of the trace is one behind the last. */
function position(index) {
  if (scene.byOrder) return index;
  return moments.length ? moments[Math.min(index, moments.length - 1)].time : 0;
}

function x(index) { return (position(index) - scene.left) * scene.scale; }

function extent() {
  const first = moments.length ? position(0) : 0;
  const last = moments.length ? position(moments.length - 1) : 0;
  return [first, Math.max(last, first + (scene.byOrder ? 1 : 0.01))];
}

function fitScale() {
  const [first, last] = extent();
  return Math.max(scene.width - 2 * MARGIN, 50) / (last - first);
}

/** Keep the picture in sight, and zoom within reason. */
function clamp() {
  const [first, last] = extent();
  const most = scene.byOrder ? 160 : 20000;
  scene.scale = Math.min(Math.max(scene.scale, fitScale()), Math.max(most, fitScale()));
  const margin = MARGIN / scene.scale;
  const right = last + margin - scene.width / scene.scale;
  scene.left = Math.max(first - margin, Math.min(scene.left, right));
}

function fit() {
  scene.scale = fitScale();
  scene.left = -Infinity;
  clamp();
}

function zoom(factor, at = scene.width / 2) {
  const held = scene.left + at / scene.scale;
  scene.scale *= factor;
  clamp();
  scene.left = held - at / scene.scale;
  clamp();
}

function pan(pixels) {
  scene.left += pixels / scene.scale;
  clamp();
}

/** Show the part of the axis that begins and ends with two moments. */
function showBetween(first, last) {
  scene.scale = (scene.width - 2 * MARGIN) / Math.max(position(last) - position(first), 1e-3);
  clamp();
  scene.left = position(first) - MARGIN / scene.scale;
  clamp();
}

function reveal(index) {
  const at = x(index);
  if (at < MARGIN || at > scene.width - MARGIN) pan(at - scene.width / 2);
}

/** Give every lane its height; returns the height of the whole. */
function arrange(width, height) {
  const room = height - TOP - BOTTOM;
  const row = Math.max(44, Math.min(150, room / Math.max(lanes.length, 1)));
  lanes.forEach((lane, place) => { lane.y = TOP + row * (place + 0.5); });
  scene.width = width;
  scene.height = Math.max(height, TOP + BOTTOM + row * lanes.length);
  return scene.height;
}

function isShown(arrow) {
  return kinds.get(arrow.kind).shown && lanes[arrow.source].shown && lanes[arrow.target].shown;
}

function isMarkShown(moment) {
  return moment.kind && kinds.get(moment.kind).shown && (moment.lane < 0 || lanes[moment.lane].shown);
}

/** Where an arrow begins and ends on the canvas; half of it where one end is not known. */
function line(arrow) {
  const from = { x: x(arrow.sent), y: lanes[arrow.source].y };
  const to = { x: x(arrow.ended), y: lanes[arrow.target].y };
  const part = { "not seen to arrive": 0.4, lost: arrow.sent === arrow.ended ? 0.6 : 0.86 }[arrow.ending];
  if (part) {
    const further = arrow.ending === "lost" ? 0 : 14;
    to.x = from.x + (to.x - from.x) * part + further;
    to.y = from.y + (to.y - from.y) * part;
  }
  if (arrow.ending === "not seen to be sent") {
    from.x = to.x - 14;
    from.y = to.y + (from.y - to.y) * 0.4;
  }
  return [from, to];
}

function isInSight(from, to) {
  return Math.max(from.x, to.x) >= -20 && Math.min(from.x, to.x) <= scene.width + 20;
}

function arrowsInSight() {
  return arrows.filter((arrow) => isShown(arrow) && isInSight(...line(arrow)));
}

/** Marks in sight; where they would cover each other, only lives and faults. */
function marksInSight() {
  const seen = moments.filter((moment) => {
    const place = { x: x(moment.index) };
    return isMarkShown(moment) && isInSight(place, place);
  });
  return seen.length <= MARKS_MAX ? seen : seen.filter(({ kind }) => kind === "lives" || kind === "faults");
}

/** Marks of one lane stand above it, so that arrows do not cover them. */
function markPlace(moment) {
  const offset = { timer: 0, signal: 0, started: 0, stopped: 0, paused: 0, resumed: 0 }[moment.sort];
  const y = moment.lane < 0 ? STRIP + 8 : lanes[moment.lane].y;
  return { x: x(moment.index), y: moment.lane < 0 || offset === 0 ? y : y - 13 };
}

/** What lies under the pointer: {moment} or {arrow}, or null. */
function under(px, py) {
  let best = null;
  let nearest = 8;
  for (const moment of marksInSight()) {
    const place = markPlace(moment);
    const far = Math.hypot(px - place.x, moment.lane < 0 ? Math.min(Math.abs(py - place.y), 8) : py - place.y);
    if (far < nearest) { nearest = far; best = { moment }; }
  }
  if (best) return best;
  nearest = 6;
  for (const arrow of arrowsInSight()) {
    const far = distance(px, py, ...line(arrow));
    if (far < nearest) { nearest = far; best = { arrow }; }
  }
  return best;
}

function distance(px, py, from, to) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const along = Math.max(0, Math.min(1, ((px - from.x) * dx + (py - from.y) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(px - from.x - along * dx, py - from.y - along * dy);
}
