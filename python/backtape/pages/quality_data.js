// What the page knows: packed columns, measures of a cell, words.

const data = JSON.parse(document.getElementById("data").textContent);
const nSessions = data.sessions.length;
const nSymbols = data.symbols.length;
const find = (id) => document.getElementById(id);

// Columns

function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes.buffer;
}

const TYPES = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };

function unpacked(column, length) {
  const values = new TYPES[column.type](bytesOf(column.values));
  if (column.at === null) return values;
  const all = new TYPES[column.type](length).fill(column.most);
  new Uint32Array(bytesOf(column.at)).forEach((place, i) => { all[place] = values[i]; });
  return all;
}

const cells = {};
for (const [name, column] of Object.entries(data.cells)) cells[name] = unpacked(column, nSessions * nSymbols);
const ranges = {};
for (const [name, column] of Object.entries(data.ranges)) ranges[name] = unpacked(column, data.ranges_held);

const cellOf = (symbol, session) => symbol * nSessions + session;
const missingIn = (cell) => data.expected[cell % nSessions] - cells.present[cell] - cells.filled[cell];

/** Whether a symbol has bars neither in nor before, or neither in nor after a session of the report. */
const isAbsent = (symbol, session) =>
  data.first[symbol] < 0 || session < data.first[symbol] || session > data.last[symbol];

// Measures: the level of a cell, from 0 (nothing to see) to 7, and what the levels mean

const PERCENTS = ["100 %", "99 to 100", "95 to 99", "90 to 95", "75 to 90", "50 to 75", "0 to 50", "0 %"];
const COUNTED = { 0: "0", 1: "1", 2: "2 to 9", 4: "10 to 99", 6: "100 to 999", 7: "1,000 and more" };

const percent = (part, whole) => (whole > 0 ? (100 * part) / whole : 100);

function percentLevel(value) {
  if (value >= 100) return 0;
  if (value >= 99) return 1;
  if (value >= 95) return 2;
  if (value >= 90) return 3;
  if (value >= 75) return 4;
  if (value >= 50) return 5;
  return value > 0 ? 6 : 7;
}

const countLevel = (n) => (n >= 1000 ? 7 : n >= 100 ? 6 : n >= 10 ? 4 : n >= 2 ? 2 : n);

const share = (words, there) => ({
  words, legend: PERCENTS, absent: true,
  level: (cell) => percentLevel(percent(there(cell), data.expected[cell % nSessions])),
  badness: (cell) => data.expected[cell % nSessions] - there(cell),
});
const number = (words, name) => ({
  words, legend: COUNTED, absent: false,
  level: (cell) => countLevel(cells[name][cell]),
  badness: (cell) => cells[name][cell],
});

const measures = { quality: share("quality", (cell) => cells.present[cell]) };
if (data.with_fill) {
  measures.quality_filled = share("quality with fills", (cell) => cells.present[cell] + cells.filled[cell]);
  measures.filled = number("filled bars", "filled");
}
measures.extra = number("extra bars", "extra");
measures.out_of_hours = number("bars out of hours", "out_of_hours");
measures.duplicate = number("duplicates", "duplicate");
measures.rejected = number("rejected rows", "rejected");

// Time and words

const clock = new Intl.DateTimeFormat("en-GB", {
  timeZone: data.zone, hourCycle: "h23", hour: "2-digit", minute: "2-digit",
  ...(data.seconds % 60 ? { second: "2-digit" } : {}),
});
const time = (seconds) => clock.format(new Date(seconds * 1000));
const count = (n) => n.toLocaleString("en-US");
// Rounded down: 100 stands for nothing missing.
const percentText = (value) => (value >= 100 ? "100 %" : (Math.floor(value * 100) / 100).toFixed(2) + " %");

function factsOf(symbol, session) {
  const cell = cellOf(symbol, session);
  const expected = data.expected[session];
  const present = cells.present[cell];
  const facts = [
    ["quality", percentText(percent(present, expected))],
    ["expected", count(expected)],
    ["present", count(present)],
  ];
  if (data.with_fill) facts.push(["filled", count(cells.filled[cell])]);
  facts.push(["missing", count(missingIn(cell))]);
  for (const name of ["extra", "duplicate", "out_of_hours", "rejected"]) {
    if (cells[name][cell]) facts.push([name.replaceAll("_", " "), count(cells[name][cell])]);
  }
  return facts;
}
