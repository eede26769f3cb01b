// Draws what is in sight of the scene onto the canvas.

const canvas = document.getElementById("canvas");
const pen = canvas.getContext("2d");
const HEADS_MAX = 1500;   // arrows in sight from which on they have no heads
const WORDS_MAX = 70;     // arrows in sight up to which each is labelled
const BAR = 8;            // half the height of a lane's bar
const OPEN_ENDS = new Set(["lost", "not seen to arrive"]);
const PLAIN = new Set(["view server", "client"]);  // what they are is written beside the lane
const FONT = '"DejaVu Sans", sans-serif';

let colours = {};
const colour = (name) => colours[name] ??=
  getComputedStyle(document.documentElement).getPropertyValue(`--${name.replace(" ", "-")}`).trim();
const forgetColours = () => { colours = {}; };

/** Draw everything; `hot` is what the pointer or the keyboard is at: {moment}, {arrow}, {span}. */
function paint(hot) {
  const dots = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(scene.width * dots), Math.round(scene.height * dots)];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    canvas.style.height = `${scene.height}px`;
  }
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  pen.clearRect(0, 0, scene.width, scene.height);
  paintBands();
  paintAxis();
  for (const lane of lanes) stroke([[0, lane.y], [scene.width, lane.y]], colour("line"));
  const seen = arrowsInSight();
  paintArrows(seen, hot);
  lanes.forEach(paintLane);
  for (const arrow of seen) paintEnding(arrow, seen.length <= HEADS_MAX);
  paintMarks(hot);
}

function type(size, weight = "") { pen.font = `${weight} ${size}px ${FONT}`.trim(); }

function stroke(points, style, width = 1, dash = []) {
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.setLineDash(dash);
  pen.beginPath();
  points.forEach(([px, py], place) => (place ? pen.lineTo(px, py) : pen.moveTo(px, py)));
  pen.stroke();
  pen.setLineDash([]);
}

/** Write a text that is cut where there is no room for all of it. */
function words(text, px, py, room) {
  if (room < 14) return 0;
  let shown = text;
  if (pen.measureText(text).width > room) {
    let most = Math.floor(text.length * room / pen.measureText(text).width);
    while (most > 0 && pen.measureText(`${text.slice(0, most)}…`).width > room) most -= 1;
    shown = most > 1 ? `${text.slice(0, most)}…` : "";
  }
  pen.fillText(shown, px, py);
  return pen.measureText(shown).width;
}

// -- behind everything --------------------------------------------------------------------------

function paintBands() {
  for (const band of bands) {
    const [from, to] = [x(band.first), band.last >= moments.length ? scene.width : x(band.last)];
    if (to < 0 || from > scene.width) continue;
    if (band.number % 2 === 0) {
      pen.fillStyle = colour("band");
      pen.fillRect(from, 0, to - from, scene.height - BOTTOM);
    }
    stroke([[from, 0], [from, scene.height - BOTTOM]], colour("line"), 1);
    pen.textBaseline = "middle";
    pen.fillStyle = colour("ink");
    type(12, "bold");
    const start = Math.max(from, 0) + 8;
    const used = words(`view ${band.number}`, start, STRIP / 2, to - start - 4);
    type(12);
    pen.fillStyle = colour("soft");
    words(band.text, start + used + 8, STRIP / 2, to - start - used - 14);
  }
}

function paintAxis() {
  const base = scene.height - BOTTOM;
  stroke([[0, base], [scene.width, base]], colour("line"));
  const wanted = 110 / scene.scale;
  let step = 10 ** Math.ceil(Math.log10(wanted));
  if (step / 5 >= wanted) step /= 5; else if (step / 2 >= wanted) step /= 2;
  if (scene.byOrder) step = Math.max(1, Math.round(step));
  type(11);
  pen.textBaseline = "middle";
  pen.textAlign = "center";
  const last = scene.left + scene.width / scene.scale;
  for (let at = Math.ceil(scene.left / step) * step; at <= last; at += step) {
    const text = axisText(at, step);
    if (!text) continue;
    const px = (at - scene.left) * scene.scale;
    stroke([[px, base], [px, base + 4]], colour("soft"));
    pen.fillStyle = colour("soft");
    const room = scene.width - pen.measureText(text).width / 2;
    pen.fillText(text, Math.min(px, room), base + 14);
  }
  pen.textAlign = "left";
}

function axisText(at, step) {
  if (!scene.byOrder) return timeText(at, Math.max(0, -Math.floor(Math.log10(step))));
  const moment = moments[Math.round(at)];
  return moment ? timeText(moment.time, 1) : "";
}

function timeText(time, digits = 1) {
  if (steps) return `step ${time}`;
  return `${time.toFixed(Math.min(digits, 3)).replace("-0", "0")} ms`;
}

// -- lanes --------------------------------------------------------------------------------------

function paintLane(lane, place) {
  if (!lane.shown) return;
  for (const span of spans) {
    if (span.lane !== place) continue;
    const from = Math.max(x(span.first), -10);
    const to = span.last >= moments.length ? scene.width + 10 : Math.min(x(span.last), scene.width + 10);
    if (to < 0 || from > scene.width) continue;
    if (span.look === "stopped") {
      stroke([[from, lane.y], [to, lane.y]], colour("stopped"), 1.5, [2, 5]);
    } else {
      paintBar(span, lane.y, from, to);
    }
  }
}

function paintBar(span, y, from, to) {
  pen.fillStyle = colour(span.look);
  pen.beginPath();
  pen.roundRect(from, y - BAR, Math.max(to - from - 1, 1.5), 2 * BAR, 4);
  pen.fill();
  if (["filling", "paused", "stuck"].includes(span.look)) hatch(from, y, to);
  type(11, "bold");
  pen.textBaseline = "middle";
  pen.fillStyle = isLight(colour(span.look)) ? "#15181e" : "#ffffff";
  const start = Math.max(from, 0) + 7;
  const text = span.text.startsWith(span.look) || PLAIN.has(span.look) ? span.text : `${span.look}: ${span.text}`;
  words(text, start, y + 0.5, to - start - 6);
}

function hatch(from, y, to) {
  pen.save();
  pen.clip();
  pen.globalAlpha = 0.28;
  for (let at = Math.floor(from / 8) * 8; at < to + 16; at += 8) {
    stroke([[at, y + BAR], [at + 12, y - BAR]], colour("page"), 2.5);
  }
  pen.restore();
}

function isLight(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return red * 0.3 + green * 0.59 + blue * 0.11 > 150;
}

// -- messages -----------------------------------------------------------------------------------

function paintArrows(seen, hot) {
  const heads = seen.length <= HEADS_MAX;
  const lettered = seen.length <= WORDS_MAX;
  pen.globalAlpha = Math.max(0.3, Math.min(0.9, 1.1 - seen.length / 3000));
  for (const arrow of seen) paintArrow(arrow, heads, 1.2);
  pen.globalAlpha = 1;
  if (lettered) seen.forEach(letter);
  for (const arrow of hotArrows(hot)) paintArrow(arrow, true, 2.8);
}

/** The arrows to stand out: the one itself, or those of the moment. */
function hotArrows(hot) {
  if (hot?.arrow) return [hot.arrow];
  return hot?.moment ? hot.moment.arrows.filter(isShown) : [];
}

/** An arrow touches the edges of the bars, not their middles. */
function edges(arrow) {
  const [from, to] = line(arrow);
  const down = Math.sign(lanes[arrow.target].y - lanes[arrow.source].y);
  if (arrow.ending !== "not seen to be sent") from.y += down * BAR;
  if (!OPEN_ENDS.has(arrow.ending)) to.y -= down * BAR;
  return [from, to];
}

function paintArrow(arrow, heads, width) {
  const [from, to] = edges(arrow);
  const dash = arrow.ending === "received" ? [] : arrow.ending === "received again" ? [7, 4] : [3, 3];
  stroke([[from.x, from.y], [to.x, to.y]], colour(arrow.family), width, dash);
  if (heads && !OPEN_ENDS.has(arrow.ending)) head(from, to, colour(arrow.family), width);
}

/** What ends before it arrives is marked, in front of the lanes. */
function paintEnding(arrow, large) {
  if (!OPEN_ENDS.has(arrow.ending)) return;
  const [, to] = line(arrow);
  if (arrow.ending === "lost") cross(to.x, to.y, large ? 4 : 2, colour("bad"), large ? 2 : 0.8);
  else ring(to.x, to.y, large ? 3 : 1.5, colour(arrow.family));
}

function head(from, to, style, width) {
  const angle = Math.atan2(to.y - from.y, to.x - from.x);
  const size = 5.5 + width;
  pen.fillStyle = style;
  pen.beginPath();
  pen.moveTo(to.x, to.y);
  for (const side of [-0.38, 0.38]) {
    pen.lineTo(to.x - size * Math.cos(angle + side), to.y - size * Math.sin(angle + side));
  }
  pen.fill();
}

function cross(px, py, size, style, width) {
  stroke([[px - size, py - size], [px + size, py + size]], style, width);
  stroke([[px - size, py + size], [px + size, py - size]], style, width);
}

function ring(px, py, size, style) {
  pen.strokeStyle = style;
  pen.fillStyle = colour("page");
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.arc(px, py, size, 0, 2 * Math.PI);
  pen.fill();
  pen.stroke();
}

/** Write the kind of a message along its arrow, where the arrow is long enough. */
function letter(arrow) {
  const [from, to] = edges(arrow);
  type(10);
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  if (length < pen.measureText(arrow.kind).width + 28) return;
  let angle = Math.atan2(to.y - from.y, to.x - from.x);
  if (Math.abs(angle) > Math.PI / 2) angle += Math.PI;
  pen.save();
  const part = 0.5 / Math.max(1, Math.abs(arrow.source - arrow.target));  // before the next lane's bar
  pen.translate(from.x + (to.x - from.x) * part, from.y + (to.y - from.y) * part);
  pen.rotate(angle);
  pen.textAlign = "center";
  pen.textBaseline = "bottom";
  pen.lineWidth = 3;
  pen.strokeStyle = colour("page");
  pen.strokeText(arrow.kind, 0, -2);
  pen.fillStyle = colour(arrow.family);
  pen.fillText(arrow.kind, 0, -2);
  pen.restore();
}

// -- marks --------------------------------------------------------------------------------------

function paintMarks(hot) {
  const [everywhere, somewhere] = [[], []];
  for (const moment of marksInSight()) (moment.lane < 0 ? everywhere : somewhere).push(moment);
  everywhere.forEach((moment, place) => {
    const next = place + 1 < everywhere.length ? x(everywhere[place + 1].index) : scene.width;
    paintFault(moment, Math.min(300, next - x(moment.index)));
  });
  for (const moment of somewhere) paintMark(moment, markPlace(moment), hot?.moment === moment);
  if (hot?.moment && hot.moment.lane >= 0 && !isMarkShown(hot.moment)) {
    ring(x(hot.moment.index), lanes[hot.moment.lane].y, 4.5, colour("ink"));
  }
}

/** What concerns all lanes; the text has the room that is left before the next one. */
function paintFault(moment, room) {
  const px = x(moment.index);
  const isBroken = moment.sort === "broken";
  stroke([[px, STRIP], [px, scene.height - BOTTOM]], colour("bad"), isBroken ? 3 : 1, isBroken ? [] : [2, 3]);
  pen.fillStyle = colour("bad");
  pen.beginPath();
  pen.moveTo(px, STRIP);
  pen.lineTo(px + 9, STRIP + 5);
  pen.lineTo(px, STRIP + 10);
  pen.fill();
  type(11, isBroken ? "bold" : "");
  pen.textBaseline = "top";
  const before = px + room > scene.width - 20 && px > scene.width - 260;
  pen.textAlign = before ? "right" : "left";
  words(moment.text, px + (before ? -6 : 13), STRIP + 1, before ? Math.min(600, px - 20) : room - 18);
  pen.textAlign = "left";
}

function paintMark(moment, { x: px, y: py }, isHot) {
  const size = isHot ? 6 : 3.5;
  const style = colour(isHot ? "ink" : "soft");
  switch (moment.sort) {
    case "started": ring(px, py, size + 2, colour("good")); break;
    case "stopped": cross(px, py, size + 3, colour("bad"), 3); break;
    case "paused": case "resumed": ring(px, py, size, colour("ink")); break;
    case "fault": case "broken": cross(px, py, size, colour("bad"), 2); break;
    case "timer": case "signal":
      stroke([[px, py - BAR - 3], [px, py + BAR + 3]], style, isHot ? 2.5 : 1);
      break;
    case "called": shape([[px - size, py - size], [px + size, py - size], [px, py + size]], "", style); break;
    case "answered": shape([[px - size, py - size], [px + size, py - size], [px, py + size]], style, style); break;
    default: shape([[px, py - size], [px + size, py], [px, py + size], [px - size, py]],
      moment.kind === "ignored" ? "" : style, style);
  }
}

function shape(corners, fill, edge) {
  pen.beginPath();
  corners.forEach(([px, py], place) => (place ? pen.lineTo(px, py) : pen.moveTo(px, py)));
  pen.closePath();
  pen.fillStyle = fill || colour("page");
  pen.fill();
  pen.lineWidth = 1;
  pen.strokeStyle = edge;
  pen.stroke();
}
