// Which examples are listed, in which order: filters, sorting, search.

const SLICE_MS = 25; // work between two pauses, so that frames come in time

let masks = null; // filters that hold, for each example
let list = []; // examples listed, in order
let hits = null; // of the search: 0 not looked at yet, 1 found, 2 not found; null: no search
let searchRun = 0;
let searched = ""; // the last search that went through to its end
let progress = ""; // how far the search is, in words

// Which filters hold of which examples.
const classify = () => {
  const n = task.n;
  masks = new Uint16Array(n);
  const own = Object.fromEntries(filters.map((item) => [item.name, item.mask]));
  const flagged = filters.filter((item) => item.flag);
  for (let i = 0; i < n; i++) {
    let flags = 0, first = -1, mask = 0;
    for (const variant of state.shown) {
      const place = variant * n + i;
      flags |= task.flags[place];
      if (task.flags[place] & index.missing) continue;
      if (first < 0) first = task.groups[place];
      else if (task.groups[place] !== first) mask |= own.differ;
    }
    for (const item of flagged) if (flags & item.flag) mask |= item.mask;
    const side = sideOf(deltaOf(i));
    if (side) mask |= own[side];
    masks[i] = mask;
  }
};

// The list anew: what filters and search leave, in order; and what each filter would leave.
const arrange = () => {
  const wanted = filters.reduce((sum, item) => (state.only.has(item.name) ? sum | item.mask : sum), 0);
  const counts = filters.map(() => 0);
  list = [];
  for (let i = 0; i < task.n; i++) {
    if (state.split >= 0 && task.split[i] !== state.split) continue;
    if (hits && hits[i] !== 1) continue;
    if ((masks[i] & wanted) === wanted) list.push(i);
    filters.forEach((item, place) => {
      const need = wanted | item.mask;
      if ((masks[i] & need) === need) counts[place]++;
    });
  }
  filters.forEach((item, place) => {
    item.button.lastElementChild.textContent = count(counts[place]);
    item.button.classList.toggle("none", !counts[place]);
    item.button.setAttribute("aria-pressed", state.only.has(item.name));
  });
  order();
};

const order = () => {
  const [by, name] = splitOnce(state.sort, ":");
  const variant = task.variants.indexOf(name);
  const direction = state.down ? -1 : 1;
  if (by === "id") {
    const { ids } = task;
    list.sort((a, b) => direction * (ids[a] < ids[b] ? -1 : ids[a] > ids[b] ? 1 : 0) || a - b);
  } else if (by === "data") {
    list.sort((a, b) => direction * (a - b));
  } else {
    const keys = new Float64Array(task.n);
    for (const i of list) keys[i] = sortKey(by, variant, i);
    list.sort((a, b) => compareNumbers(keys[a], keys[b], direction) || a - b);
  }
  showStatus();
  drawAll();
};

const sortKey = (by, variant, i) => {
  if (by === "delta") return deltaOf(i);
  if (by === "change") return Math.abs(deltaOf(i));
  if (by === "value") return valueOf(i, variant);
  return task.flags[variant * task.n + i] & index.missing ? NaN : task.chars[variant * task.n + i];
};

// Examples without a value come last, whichever the direction.
const compareNumbers = (a, b, direction) => {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
  return direction * (a - b);
};

const forgetSearch = () => {
  searchRun++; // one that is under way ends at its next pause
  hits = null;
  searched = progress = "";
};

const patternOf = (query) => new RegExp(query.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu");

const matches = (pattern, texts) => texts.some((text) => {
  pattern.lastIndex = 0;
  return pattern.test(text);
});

// Looks for the words of the state. Whoever looks for something else ends it, so that after each
// pause it may be over.
const search = async () => {
  const { query } = state;
  // What did not hold a part of the words holds no more of them.
  const narrower = hits && searched && query.toLowerCase().includes(searched.toLowerCase());
  const known = narrower ? hits.map((hit) => (hit === 1 ? 0 : 2)) : new Uint8Array(task.n);
  forgetSearch();
  if (!query) { arrange(); return; }
  const run = searchRun;
  const pattern = patternOf(query);
  task.ids.forEach((id, i) => { if (matches(pattern, [id])) known[i] = 1; });
  hits = known;
  progress = "Searching \u2026 ";
  showStatus(); // the list stays as it is until something is found
  let looked = 0, begun = performance.now(), drawn = begun;
  for (const [chunk, members] of task.members) {
    looked += members.length;
    if (members.some((i) => !known[i])) {
      const entries = await chunkTexts(chunk);
      if (run !== searchRun) return;
      members.forEach((i, slot) => { known[i] ||= found(pattern, entries[slot]) ? 1 : 2; });
    }
    if (performance.now() - begun > SLICE_MS) {
      await pause();
      if (run !== searchRun) return;
      begun = performance.now();
    }
    if (performance.now() - drawn > 200) {
      progress = `Searching \u2026 ${count(looked)} of ${count(task.n)}. `;
      arrange();
      await pause();
      if (run !== searchRun) return;
      begun = drawn = performance.now();
    }
  }
  progress = "";
  searched = query;
  arrange();
};

const found = (pattern, [prompt, references, outputs]) =>
  matches(pattern, [prompt, ...references]) ||
  outputs.some((output) => output && matches(pattern, [output[0]]));
