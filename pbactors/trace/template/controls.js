// What a person does: zoom, move, look at something, choose what is shown.

const byId = (id) => document.getElementById(id);
const card = byId("card");
let hovered = null;   // what the pointer is at
let chosen = null;    // what was clicked, or reached by keys
let waiting = false;

/** Draw again, once before the next frame. */
function refresh() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    paint(hovered ?? chosen);
    showCard(hovered ?? chosen);
  });
}

// -- what is said of something ------------------------------------------------------------------

function nameOf(lane) { return lane < 0 ? "everywhere" : lanes[lane].name; }

function saidOf({ moment, arrow, span }) {
  if (arrow) return saidOfMessage(arrow, moments[arrow.sent]);
  if (span) return [`${lanes[span.lane].name}: ${span.look}`, `from ${timeText(moments[span.first].time)}`,
    moments[span.first].fields];
  if (moment.arrows.length && MESSAGES.has(moment.sort)) return saidOfMessage(moment.arrows[0], moment);
  return [moment.text, `${timeText(moment.time)}, ${nameOf(moment.lane)}: ${moment.sort}`, moment.fields];
}

function saidOfMessage(arrow, moment) {
  const [sent, ended] = [moments[arrow.sent], moments[arrow.ended]];
  const source = MESSAGES.has(sent.sort) ? sent : ended;
  const took = arrow.sent === arrow.ended ? "" : steps
    ? `, ${arrow.ending} at ${timeText(ended.time)}`
    : `, ${arrow.ending} after ${(ended.time - sent.time).toFixed(2)} ms`;
  const unknown = arrow.sent === arrow.ended ? `, ${arrow.ending}` : "";
  return [source.text, `${lanes[arrow.source].name} → ${lanes[arrow.target].name}, ` +
    `${timeText(sent.time, 2)}${took}${unknown}`, source.fields];
}

function showCard(what) {
  card.hidden = !what;
  if (!what) return;
  const [title, about, fields] = saidOf(what);
  card.replaceChildren(element("b", title), element("p", about));
  const rows = Object.entries(fields).filter(([name]) => name !== "kind");
  if (rows.length) {
    const list = element("dl", "");
    for (const [name, value] of rows) {
      const texts = Array.isArray(value) ? value : [value];
      list.append(element("dt", name), element("dd", texts.map(plain).join("\n") || "-"));
    }
    card.append(list);
  }
  place(what);
}

function plain(value) { return typeof value === "string" ? value || "-" : JSON.stringify(value); }

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  made.style.whiteSpace = name === "dd" ? "pre-wrap" : "";
  return made;
}

/** Put the card beside what it speaks of, wherever there is room. */
function place(what) {
  const main = canvas.parentElement;
  const spot = spotOf(what);
  const across = canvas.offsetLeft + spot.x;
  const left = across + 18 + card.offsetWidth < main.clientWidth ? across + 18 : across - 18 - card.offsetWidth;
  const lowest = main.scrollTop + main.clientHeight - card.offsetHeight - 6;
  card.style.left = `${Math.max(6, left)}px`;
  card.style.top = `${Math.max(main.scrollTop + 6, Math.min(spot.y + 14, lowest))}px`;
}

function spotOf({ moment, arrow, span }) {
  if (pointer && hovered) return pointer;
  if (moment) return { x: x(moment.index), y: moment.lane < 0 ? TOP : lanes[moment.lane].y };
  if (span) return { x: Math.max(0, x(span.first)), y: lanes[span.lane].y };
  const [from, to] = line(arrow);
  return { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
}

// -- pointer ------------------------------------------------------------------------------------

let pointer = null;
let dragged = null;   // where the pointer was last while it drags, and how far it came

function at(event) {
  const box = canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

function look({ x: px, y: py }) {
  const found = under(px, py);
  if (found) return found;
  const place = lanes.findIndex((lane) => lane.shown && Math.abs(lane.y - py) <= BAR);
  const span = spans.find((each) => each.lane === place && x(each.first) <= px &&
    (each.last >= moments.length || px < x(each.last)));
  return span ? { span } : null;
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  dragged = { x: event.clientX, far: 0 };
});
canvas.addEventListener("pointermove", (event) => {
  pointer = at(event);
  if (dragged) {
    pan(dragged.x - event.clientX);
    dragged.far += Math.abs(event.clientX - dragged.x);
    dragged.x = event.clientX;
  }
  hovered = dragged && dragged.far > 4 ? null : look(pointer);
  refresh();
});
canvas.addEventListener("pointerup", (event) => {
  if (dragged && dragged.far <= 4) chosen = look(at(event));
  dragged = null;
  refresh();
});
canvas.addEventListener("pointerleave", () => { pointer = null; hovered = null; dragged = null; refresh(); });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) pan(event.deltaX || event.deltaY);
  else zoom(Math.exp(-event.deltaY / 300), at(event).x);
  hovered = null;
  refresh();
}, { passive: false });

// -- keys ---------------------------------------------------------------------------------------

function isReachable(moment) {
  if (MESSAGES.has(moment.sort)) return moment.arrows.some(isShown);
  return moment.sort === "status" ? lanes[moment.lane]?.shown : isMarkShown(moment);
}

/** Choose the next moment that is shown, on this lane or on any. */
function step(by) {
  let index = chosen ? momentOf(chosen).index + by : moments.findIndex((moment) => x(moment.index) >= 0);
  while (index >= 0 && index < moments.length && !isReachable(moments[index])) index += by;
  if (index >= 0 && index < moments.length) choose(moments[index]);
}

/** Choose the moment of the nearest lane above or below that is nearest in the order. */
function change(by) {
  if (!chosen) return step(1);
  const here = momentOf(chosen);
  for (let lane = here.lane + by; lane >= 0 && lane < lanes.length; lane += by) {
    const there = moments.filter((moment) => moment.lane === lane && isReachable(moment));
    const far = (moment) => Math.abs(moment.index - here.index);
    if (there.length) return choose(there.reduce((best, next) => (far(next) < far(best) ? next : best)));
  }
}

function momentOf({ moment, arrow, span }) { return moment ?? moments[arrow ? arrow.sent : span.first]; }

function follow() {
  const moment = chosen && momentOf(chosen);
  const arrow = chosen?.arrow ?? moment?.arrows[0];
  if (arrow) choose(moments[arrow.sent === moment.index ? arrow.ended : arrow.sent]);
}

function choose(moment) {
  hovered = null;
  chosen = { moment };
  reveal(moment.index);
}

const KEYS = {
  "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), "0": fit,
  ArrowLeft: (shift) => (shift ? pan(-120) : step(-1)), ArrowRight: (shift) => (shift ? pan(120) : step(1)),
  ArrowUp: () => change(-1), ArrowDown: () => change(1),
  Enter: follow, Escape: () => { chosen = hovered = null; },
};
canvas.addEventListener("keydown", (event) => {
  const act = KEYS[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act(event.shiftKey);
  refresh();
});

// -- what is shown ------------------------------------------------------------------------------

const MARK_SIGNS = { ignored: "soft", faults: "bad", lives: "good" };

function makeKinds() {
  const order = ["views", "calls", "copies", "transfer", "tools", "mark"];
  const sorted = [...kinds.values()].sort((a, b) => order.indexOf(a.family) - order.indexOf(b.family));
  for (const kind of sorted) {
    const label = element("label", "");
    const box = element("input", "");
    Object.assign(box, { type: "checkbox", checked: kind.shown, name: kind.name });
    box.addEventListener("change", () => { kind.shown = box.checked; refresh(); });
    const dot = element("i", "");
    dot.style.background = `var(--${kind.family === "mark" ? MARK_SIGNS[kind.name] ?? "soft" : kind.family})`;
    label.append(box, dot, kind.name, element("small", kind.count));
    byId("kinds").append(label);
  }
}

function makeLabels() {
  for (const lane of lanes) {
    const button = element("button", lane.name);
    button.append(element("small", lane.silent ? `${lane.sort}, not recorded` : lane.sort));
    button.title = "Show or hide this node";
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      lane.shown = !lane.shown;
      button.setAttribute("aria-pressed", lane.shown);
      refresh();
    });
    byId("labels").append(button);
  }
}

function makeLegend() {
  const sample = (text, drawing) => {
    const item = element("span", "");
    item.innerHTML = `<svg width="22" height="12" viewBox="0 0 22 12">${drawing}</svg>`;
    item.append(text);
    byId("legend").append(item);
  };
  const bar = (style) => `<rect y="1" width="22" height="10" rx="3" fill="var(--${style})"/>`;
  const way = (style, more = "") =>
    `<path d="M0 6h${more ? 15 : 20}" stroke="var(--${style})" stroke-width="1.6" ${more ? 'stroke-dasharray="3 3"' : ""}/>` +
    (more || `<path d="M22 6l-7-3.2v6.4z" fill="var(--${style})"/>`);
  for (const look of data.looks) {
    if (spans.some((span) => span.look === look && look !== "stopped")) sample(look, bar(look.replace(" ", "-")));
  }
  sample("stopped", '<path d="M0 6h22" stroke="var(--stopped)" stroke-width="1.6" stroke-dasharray="2 4"/>');
  const endings = {
    lost: '<path d="M14 2l7 8m0-8l-7 8" stroke="var(--bad)" stroke-width="2"/>',
    "received again": '<path d="M22 6l-7-3.2v6.4z" fill="var(--copies)"/>',
    "not seen to arrive": '<circle cx="18" cy="6" r="3" fill="none" stroke="var(--copies)" stroke-width="1.5"/>',
  };
  for (const [ending, drawing] of Object.entries(endings)) {
    if (arrows.some((arrow) => arrow.ending === ending)) sample(ending, way("copies", drawing));
  }
}

function summarize() {
  const [first, last] = moments.length ? [moments[0].time, moments[moments.length - 1].time] : [0, 0];
  const long = steps ? `${last - first} steps` : `${((last - first) / 1000).toFixed(2)} s`;
  byId("summary").textContent = `${moments.length.toLocaleString("en")} moments in ${long}, ` +
    `${arrows.length.toLocaleString("en")} messages, ${lanes.length} nodes`;
  const broken = moments.find((moment) => moment.sort === "broken");
  if (!broken) return;
  byId("broken").hidden = false;
  byId("broken").textContent = `Broken: ${broken.text}`;
  byId("broken").addEventListener("click", () => { choose(broken); canvas.focus(); refresh(); });
}

function resize() {
  const main = canvas.parentElement;
  const held = scene.scale / fitScale();
  arrange(main.clientWidth - byId("labels").offsetWidth, main.clientHeight);
  byId("labels").style.height = `${scene.height}px`;
  [...byId("labels").children].forEach((label, place) => { label.style.top = `${lanes[place].y}px`; });
  if (held <= 1.001) fit(); else clamp();
  refresh();
}

byId("in").addEventListener("click", () => { zoom(1.6); refresh(); });
byId("out").addEventListener("click", () => { zoom(1 / 1.6); refresh(); });
byId("fit").addEventListener("click", () => { fit(); refresh(); });
byId("axis").value = scene.byOrder ? "order" : "time";
byId("axis").addEventListener("change", (event) => {
  const middle = moments.findIndex((moment) => x(moment.index) >= scene.width / 2);
  const share = fitScale() / scene.scale;
  scene.byOrder = event.target.value === "order";
  scene.scale = fitScale() / share;
  scene.left = position(Math.max(middle, 0)) - scene.width / scene.scale / 2;
  clamp();
  refresh();
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { forgetColours(); refresh(); });
new ResizeObserver(resize).observe(canvas.parentElement);

makeKinds();
makeLabels();
makeLegend();
summarize();
resize();
