// The heat map: a canvas as large as what is seen of it, whatever the number of cells.

// State

let measure = measures.quality;
let rows = [];
let cursor = null; // {row, column}
const map = find("map");
const canvas = find("canvas");
const pen = canvas.getContext("2d");
const tip = find("tip");
const image = document.createElement("canvas");
const TOP = 70;
const LETTER = 7;
const longestName = data.symbols.reduce((longest, name) => Math.max(longest, name.length), 4);
const LEFT = Math.min(180, LETTER * longestName + 14);
let columnWidth = 10;
let rowHeight = 15;

/** How bad a symbol is between its first and last bar, and in all. */
function badnessOf(symbol) {
  let inside = 0;
  let all = 0;
  for (let session = 0; session < nSessions; session++) {
    const badness = measure.badness(cellOf(symbol, session));
    all += badness;
    if (!measure.absent || !isAbsent(symbol, session)) inside += badness;
  }
  return [inside, all];
}

function choose() {
  const wanted = find("filter").value.trim().toLowerCase();
  rows = [];
  data.symbols.forEach((name, symbol) => {
    if (name.toLowerCase().includes(wanted)) rows.push(symbol);
  });
  if (find("order").value === "worst") {
    const badness = new Map(rows.map((symbol) => [symbol, badnessOf(symbol)]));
    const [inside, all] = [0, 1].map((place) => (symbol) => badness.get(symbol)[place]);
    rows.sort((a, b) => inside(b) - inside(a) || all(b) - all(a) || a - b);
  }
  find("shown").textContent = `${count(rows.length)} of ${count(nSymbols)} symbols`;
  cursor = null;
  paint();
  lay();
}

// Drawing: the canvas is as large as what is seen of it, whatever the number of cells

function lay() {
  const high = Math.max(160, Math.min(window.innerHeight * 0.7, 900));
  rowHeight = find("fit").checked ? Math.max(1, Math.min(15, Math.floor((high - TOP - 20) / Math.max(rows.length, 1)))) : 15;
  map.style.height = `${Math.min(high, TOP + rowHeight * Math.max(rows.length, 1) + 20)}px`;
  const wide = map.clientWidth;
  columnWidth = Math.max(4, Math.min(36, Math.floor((wide - LEFT - 2) / nSessions)));
  find("space").style.width = `${Math.max(wide, LEFT + columnWidth * nSessions + 2)}px`;
  find("space").style.height = `${TOP + rowHeight * rows.length + 2}px`;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round(map.clientHeight * ratio);
  canvas.style.width = `${wide}px`;
  canvas.style.height = `${map.clientHeight}px`;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  draw();
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The cells as an image, a pixel each: to scroll is to copy a part of it. */
function paint() {
  const rgb = (name) => [1, 3, 5].map((place) => parseInt(colour(name).slice(place, place + 2), 16));
  const levels = [0, 1, 2, 3, 4, 5, 6, 7].map((level) => rgb(`--l${level}`));
  const absent = rgb("--absent");
  image.width = nSessions;
  image.height = Math.max(rows.length, 1);
  const brush = image.getContext("2d");
  const pixels = brush.createImageData(image.width, image.height);
  let at = 0;
  for (const symbol of rows) {
    for (let session = 0; session < nSessions; session++) {
      const [red, green, blue] = isGone(symbol, session) ? absent : levels[measure.level(cellOf(symbol, session))];
      pixels.data[at++] = red;
      pixels.data[at++] = green;
      pixels.data[at++] = blue;
      pixels.data[at++] = 255;
    }
  }
  brush.putImageData(pixels, 0, 0);
}

const isGone = (symbol, session) =>
  measure.absent && cells.present[cellOf(symbol, session)] === 0 && isAbsent(symbol, session);

function seen() {
  const left = map.scrollLeft;
  const top = map.scrollTop;
  return {
    left, top,
    firstRow: Math.floor(top / rowHeight),
    lastRow: Math.min(rows.length, Math.ceil((top + map.clientHeight - TOP) / rowHeight)),
    firstColumn: Math.floor(left / columnWidth),
    lastColumn: Math.min(nSessions, Math.ceil((left + map.clientWidth - LEFT) / columnWidth)),
  };
}

function draw() {
  const view = seen();
  const width = map.clientWidth;
  const height = map.clientHeight;
  const page = colour("--page");
  const [columns, lines] = [view.lastColumn - view.firstColumn, view.lastRow - view.firstRow];
  const x = LEFT + view.firstColumn * columnWidth - view.left;
  const y = TOP + view.firstRow * rowHeight - view.top;
  pen.fillStyle = page;
  pen.fillRect(0, 0, width, height);
  if (columns > 0 && lines > 0) {
    pen.imageSmoothingEnabled = false;
    const [wide, high] = [columns * columnWidth, lines * rowHeight];
    pen.drawImage(image, view.firstColumn, view.firstRow, columns, lines, x, y, wide, high);
    if (rowHeight >= 6) drawGrid(view, x, y, wide, high);
  }
  drawCursor(view);
  drawNames(view, page, width, height);
}

/** Keeps cells apart, and makes dashes of those outside a symbol's first and last bar. */
function drawGrid(view, x, y, wide, high) {
  const thin = Math.floor((rowHeight - 3) / 2);
  for (let row = view.firstRow; row < view.lastRow; row++) {
    const top = y + (row - view.firstRow) * rowHeight;
    for (let column = view.firstColumn; column < view.lastColumn; column++) {
      if (!isGone(rows[row], column)) continue;
      const left = x + (column - view.firstColumn) * columnWidth;
      pen.fillRect(left, top, columnWidth, thin);
      pen.fillRect(left, top + thin + 2, columnWidth, rowHeight - thin - 2);
    }
    pen.fillRect(x, top + rowHeight - 1, wide, 1);
  }
  if (columnWidth < 6) return;
  for (let left = x + columnWidth - 1; left < x + wide; left += columnWidth) pen.fillRect(left, y, 1, high);
}

function drawCursor(view) {
  if (cursor === null) return;
  const x = LEFT + cursor.column * columnWidth - view.left;
  const y = TOP + cursor.row * rowHeight - view.top;
  // Two frames, so that it shows on every colour.
  for (const [name, width] of [["--page", 5], ["--text", 2]]) {
    pen.strokeStyle = colour(name);
    pen.lineWidth = width;
    pen.strokeRect(x - 2, y - 2, columnWidth + 3, rowHeight + 3);
  }
}

function drawNames(view, page, width, height) {
  pen.fillStyle = page;
  pen.fillRect(0, 0, LEFT, height);
  pen.fillRect(0, 0, width, TOP);
  pen.fillStyle = colour("--text");
  pen.font = "11px ui-monospace, monospace";
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  pen.save();
  pen.beginPath();
  pen.rect(0, TOP, LEFT, height - TOP);
  pen.clip();
  const eachRow = Math.ceil(12 / rowHeight);
  for (let row = view.firstRow; row < view.lastRow; row++) {
    if (row % eachRow) continue;
    const y = TOP + (row + 0.5) * rowHeight - view.top;
    pen.fillText(data.symbols[rows[row]], LEFT - 6, y, LEFT - 10);
  }
  pen.restore();
  pen.save();
  pen.beginPath();
  pen.rect(LEFT - 8, 0, width - LEFT + 8, TOP);
  pen.clip();
  pen.textAlign = "left";
  const eachColumn = Math.ceil(14 / columnWidth);
  for (let column = view.firstColumn - (view.firstColumn % eachColumn); column < view.lastColumn; column += eachColumn) {
    pen.save();
    pen.translate(LEFT + (column + 0.5) * columnWidth - view.left, TOP - 4);
    pen.rotate(-Math.PI / 3.2);
    pen.fillText(data.sessions[column], 0, 0);
    pen.restore();
  }
  pen.restore();
}

// Pointer and keys

function cellAt(event) {
  const box = canvas.getBoundingClientRect();
  const x = event.clientX - box.left;
  const y = event.clientY - box.top;
  if (x < LEFT || y < TOP) return null;
  const column = Math.floor((x - LEFT + map.scrollLeft) / columnWidth);
  const row = Math.floor((y - TOP + map.scrollTop) / rowHeight);
  return row < rows.length && column < nSessions ? { row, column } : null;
}

function showTip(event) {
  const at = cellAt(event);
  tip.hidden = at === null;
  if (at === null) return;
  const symbol = rows[at.row];
  const lines = [`${data.symbols[symbol]}  ${data.sessions[at.column]}`];
  for (const [name, value] of factsOf(symbol, at.column)) lines.push(`${name}: ${value}`);
  tip.textContent = lines.join("\n");
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - box.width - 4)}px`;
  tip.style.top = `${Math.min(event.clientY + 14, window.innerHeight - box.height - 4)}px`;
}

function moveTo(row, column) {
  cursor = {
    row: Math.max(0, Math.min(rows.length - 1, row)),
    column: Math.max(0, Math.min(nSessions - 1, column)),
  };
  const x = cursor.column * columnWidth;
  const y = cursor.row * rowHeight;
  const wide = map.clientWidth - LEFT - columnWidth - 2;
  const high = map.clientHeight - TOP - rowHeight - 2;
  map.scrollLeft = Math.max(x - wide, Math.min(x, map.scrollLeft));
  map.scrollTop = Math.max(y - high, Math.min(y, map.scrollTop));
  const symbol = rows[cursor.row];
  const facts = factsOf(symbol, cursor.column).map(([name, value]) => `${name} ${value}`);
  find("said").textContent = `${data.symbols[symbol]}, ${data.sessions[cursor.column]}: ${facts.join(", ")}`;
  draw();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || rows.length === 0) return;
  const at = cursor ?? { row: 0, column: -1 };
  const page = Math.max(1, Math.floor((map.clientHeight - TOP) / rowHeight) - 1);
  const steps = {
    ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
    PageUp: [-page, 0], PageDown: [page, 0], Home: [0, -nSessions], End: [0, nSessions],
  };
  if (event.key in steps) {
    const [down, right] = steps[event.key];
    moveTo(at.row + down, cursor === null && right === 0 ? 0 : at.column + right);
  } else if ((event.key === "Enter" || event.key === " ") && cursor !== null) {
    showDetail(rows[cursor.row], cursor.column);
  } else {
    return;
  }
  event.preventDefault();
}

// What is missing in a cell

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== "") made.textContent = text;
  parent.append(made);
  return made;
}

function rangesOf(cell) {
  let low = 0;
  let high = ranges.cell.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges.cell[middle] < cell) low = middle + 1;
    else high = middle;
  }
  const found = [];
  for (let i = low; i < ranges.cell.length && ranges.cell[i] === cell; i++) found.push(i);
  return found;
}

function showDetail(symbol, session) {
  const cell = cellOf(symbol, session);
  const detail = find("detail");
  detail.replaceChildren();
  element("h3", `${data.symbols[symbol]}, ${data.sessions[session]}`, detail).tabIndex = -1;
  const facts = factsOf(symbol, session).map(([name, value]) => `${name} ${value}`);
  element("p", facts.join(" · "), detail);
  const found = rangesOf(cell);
  const held = found.reduce((sum, i) => sum + ranges.missing[i] + ranges.filled[i], 0);
  const rest = data.expected[session] - cells.present[cell] - held;
  if (found.length) detail.append(rangeTable(found, session));
  if (found.length === 0 && rest === data.expected[session] && rest > 0) {
    element("p", "The whole session is missing.", detail);
  } else if (rest > 0) {
    element("p", `${count(rest)} more bars are missing in shorter ranges, which this page leaves out; the tables of the report have all of them.`, detail);
  } else if (found.length === 0) {
    element("p", "Nothing is missing.", detail);
  }
  find("said").textContent = `${data.symbols[symbol]}, ${data.sessions[session]}: ${count(found.length)} missing ranges shown below`;
}

function rangeTable(found, session) {
  const table = document.createElement("table");
  const head = element("tr", "", element("thead", "", table));
  const names = ["from", "to", "missing", ...(data.with_fill ? ["filled"] : []), "cause", "scope"];
  const words = new Set(["from", "to", "cause", "scope"]);
  for (const name of names) element("th", name, head).className = words.has(name) ? "word" : "";
  const body = element("tbody", "", table);
  for (const i of found) {
    const start = data.origin[session] + ranges.start[i];
    const value = {
      from: time(start), to: time(start + ranges.length[i]), missing: count(ranges.missing[i]),
      filled: count(ranges.filled[i]), cause: data.causes[ranges.cause[i]], scope: data.scopes[ranges.scope[i]],
    };
    const row = element("tr", "", body);
    for (const name of names) element("td", value[name], row).className = words.has(name) ? "word" : "";
  }
  return table;
}

function showLegend() {
  const legend = find("legend");
  legend.replaceChildren();
  const add = (background, words) => {
    const item = element("span", "", legend);
    element("i", "", item).style.background = background;
    item.append(words);
  };
  for (const [level, words] of Object.entries(measure.legend)) add(`var(--l${level})`, words);
  if (measure.absent) {
    add("linear-gradient(var(--page) 42%, var(--absent) 42% 58%, var(--page) 58%)", "before its first or after its last bar");
  }
}

// Beginning

function begin() {
  find("map-section").hidden = false;
  for (const [name, one] of Object.entries(measures)) element("option", one.words, find("measure")).value = name;
  find("measure").addEventListener("change", (event) => {
    measure = measures[event.target.value];
    showLegend();
    choose();
  });
  find("controls").addEventListener("submit", (event) => event.preventDefault());
  find("order").addEventListener("change", choose);
  find("filter").addEventListener("input", choose);
  find("fit").addEventListener("change", lay);
  map.addEventListener("scroll", draw);
  map.addEventListener("keydown", onKey);
  canvas.addEventListener("mousemove", showTip);
  canvas.addEventListener("mouseleave", () => { tip.hidden = true; });
  canvas.addEventListener("click", (event) => {
    const at = cellAt(event);
    if (at === null) return;
    moveTo(at.row, at.column);
    showDetail(rows[at.row], at.column);
  });
  new ResizeObserver(lay).observe(map.parentElement);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    paint();
    draw();
  });
  showLegend();
  choose();
}

if (nSessions * nSymbols > 0) begin();
