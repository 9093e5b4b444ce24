// The browser of all examples. The page holds them as compressed blocks: an index, decoded once the
// page stands, and chunks of texts, decoded when an example of theirs is looked at or searched.
// What a model wrote is set as text, never as HTML.
(() => {
  const section = document.getElementById("browser");
  if (!section) return;

  const EXTRA_ROWS = 6; // drawn above and below what is in view
  const CACHED_CHUNKS = 12;
  const SLICE_MS = 25; // work between two pauses, so that frames come in time
  const SHOWN_CHARS = 20000; // of a text, until all of it is asked for
  const COMPARED_WORDS = 1200; // of a text; the table of a comparison has this many squared cells
  const SHOWN_VARIANTS = 6; // beside each other, until more are asked for
  const MINUS = "\u2212";
  // What cannot be seen, or reorders what is around it: the expression of harness/pages.py.
  const UNSEEN = new RegExp(
    "([\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069\\u00ad\\u180e" +
    "\\u200b\\u2028\\u2029\\u2060-\\u2065\\u206a-\\u206f\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff\\ufffe\\uffff" +
    "\\u{e0000}-\\u{e007f}])", "u");
  // A word; of scripts that are written without spaces each character.
  const WORD = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]|(?:(?![\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}])[\p{L}\p{M}\p{N}_])+/gu;

  const parts = {};
  for (const item of section.querySelectorAll("[data-part]")) parts[item.dataset.part] = item;
  const filters = [...section.querySelectorAll("[data-filter]")].map((button, place) => ({
    name: button.dataset.filter,
    flag: Number(button.dataset.bit),
    mask: 1 << place,
    button,
  }));

  let index = null; // the decoded index
  let task = null; // the task that is listed
  let state = null; // what is chosen, all of which a link can hold
  let masks = null; // filters that hold, for each example
  let hits = null; // of the search: 0 not looked at yet, 1 found, 2 not found; null: no search
  let list = []; // examples listed, in order
  let touched = false; // whether anyone has chosen anything; until then the address stays as it is

  // -- small things ---------------------------------------------------------------------------

  const pause = () => new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(0);
  });

  const make = (tag, className, ...children) => {
    const item = document.createElement(tag);
    if (className) item.className = className;
    item.append(...children);
    return item;
  };

  const button = (words, action) => {
    const item = make("button", "", words);
    item.type = "button";
    item.addEventListener("click", action);
    return item;
  };

  const count = (n) => n.toLocaleString("en");
  const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

  const plainNumber = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
  const number = (value, scale, signed = false) => {
    if (Number.isNaN(value)) return "\u2014";
    const shown = scale ? ((100 * value) / scale).toFixed(1) : plainNumber.format(value);
    const text = Number(shown.replaceAll(",", "")) === 0 ? shown.replace("-", "") : shown;
    const sign = signed && Number(shown.replaceAll(",", "")) > 0 ? "+" : "";
    return sign + text.replace("-", MINUS);
  };

  // -- decoding -------------------------------------------------------------------------------

  const fromBase64 = (text) => {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const characters = atob(text);
    const bytes = new Uint8Array(characters.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
    return bytes;
  };

  const unpack = (id) => {
    const packed = new Blob([fromBase64(document.getElementById(id).textContent)]);
    return new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  };

  const parse = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

  const readIndex = (buffer) => {
    const length = new DataView(buffer).getUint32(0, true);
    const header = parse(new Uint8Array(buffer, 4, length));
    const base = 4 + length + (-length & 3);
    for (const item of header.tasks) {
      const n = item.ids.length;
      const each = n * item.variants.length;
      const array = (Type, name, size) => new Type(buffer, base + item.arrays[name], size);
      item.n = n;
      item.values = array(Float32Array, "values", each * item.metrics.length);
      item.chars = array(Uint32Array, "chars", each);
      item.groups = array(Uint16Array, "groups", each);
      item.chunk = array(Uint16Array, "chunk", n);
      item.flags = array(Uint8Array, "flags", each);
      item.split = array(Uint8Array, "split", n);
      item.place = new Map(item.ids.map((id, i) => [id, i]));
      item.members = membersOf(item.chunk, header.noChunk);
      item.slot = new Uint16Array(n);
      for (const members of item.members.values()) members.forEach((i, slot) => { item.slot[i] = slot; });
    }
    return header;
  };

  // Examples by chunk; within a chunk they stand in the order of the data.
  const membersOf = (chunks, none) => {
    const found = new Map();
    chunks.forEach((chunk, i) => {
      if (chunk === none) return;
      if (!found.has(chunk)) found.set(chunk, []);
      found.get(chunk).push(i);
    });
    return found;
  };

  const cache = new Map(); // the chunk last used stands last
  const chunkTexts = (chunk) => {
    const found = cache.get(chunk) ?? unpack(`chunk-${chunk}`).then(parse);
    cache.delete(chunk);
    cache.set(chunk, found);
    if (cache.size > CACHED_CHUNKS) cache.delete(cache.keys().next().value);
    return found;
  };

  const hasTexts = (i) => task.chunk[i] !== index.noChunk;

  // -- values ---------------------------------------------------------------------------------

  const valueOf = (i, variant, metric = state.metric) =>
    metric < 0 || variant < 0 ? NaN : task.values[(metric * task.variants.length + variant) * task.n + i];
  const deltaOf = (i) => (state.baseline === state.candidate
    ? NaN : valueOf(i, state.candidate) - valueOf(i, state.baseline));
  const sideOf = (delta) => {
    if (!delta || Number.isNaN(delta)) return "";
    return delta > 0 === task.metrics[state.metric].higher ? "better" : "worse";
  };
  const scaleOf = () => task.metrics[state.metric]?.scale;

  // -- which examples, in which order ---------------------------------------------------------

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

  const splitOnce = (text, mark) => {
    const place = text.indexOf(mark);
    return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + mark.length)];
  };

  // -- search ---------------------------------------------------------------------------------

  let searchRun = 0;
  let searched = ""; // the last search that went through to its end
  let progress = ""; // how far the search is, in words
  let notice = ""; // what is wrong with a link

  const patternOf = (query) => new RegExp(query.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu");

  const matches = (pattern, texts) => texts.some((text) => {
    pattern.lastIndex = 0;
    return pattern.test(text);
  });

  const search = async () => {
    const run = ++searchRun;
    const { query } = state;
    const owner = task;
    progress = "";
    if (!query) {
      hits = null;
      searched = "";
      arrange();
      return;
    }
    const pattern = patternOf(query);
    // What did not hold the beginning of the words holds no more of them.
    const narrower = hits && searched && query.toLowerCase().includes(searched.toLowerCase());
    const known = narrower ? hits.map((hit) => (hit === 1 ? 0 : 2)) : new Uint8Array(task.n);
    searched = "";
    task.ids.forEach((id, i) => { if (matches(pattern, [id])) known[i] = 1; });
    hits = known;
    progress = "Searching \u2026 ";
    showStatus(); // the list stays as it is until something is found
    let looked = 0, begun = performance.now(), drawn = begun;
    for (const [chunk, members] of owner.members) {
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

  // -- text -----------------------------------------------------------------------------------

  const escapeOf = (character) => {
    const point = character.codePointAt(0);
    const digits = point.toString(16);
    if (point < 0x100) return `\\x${digits.padStart(2, "0")}`;
    return point < 0x10000 ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
  };

  // A text with its unseen characters as escapes and what was searched for marked.
  const spell = (parent, text, find = null) => {
    if (find) {
      let end = 0;
      for (const match of text.matchAll(find)) {
        spell(parent, text.slice(end, match.index));
        const mark = make("mark", "found");
        spell(mark, match[0]);
        parent.append(mark);
        end = match.index + match[0].length;
      }
      if (end) { spell(parent, text.slice(end)); return; }
    }
    text.split(UNSEEN).forEach((part, place) => {
      if (place % 2) parent.append(make("span", "unseen", escapeOf(part)));
      else if (part) parent.append(part);
    });
  };

  // A box that holds a text: marks are [start, end, class], in order.
  const textBox = (text, marks, find, label) => {
    const box = make("div", "text");
    box.dir = "auto";
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", label);
    if (!text.trim()) {
      spell(box, text);
      box.append(make("span", "note", text ? "(only white space)" : "(empty)"));
      return box;
    }
    let shown = text.length > SHOWN_CHARS ? SHOWN_CHARS : text.length;
    if (text.charCodeAt(shown - 1) >> 10 === 0x36) shown++; // the first half of a character
    let end = 0;
    for (const [from, to, name] of marks) {
      if (to > shown) break;
      spell(box, text.slice(end, from), find);
      const mark = make("mark", name);
      spell(mark, text.slice(from, to), find);
      box.append(mark);
      end = to;
    }
    spell(box, text.slice(end, shown), find);
    if (shown < text.length) {
      const rest = button(`Show ${count(text.length - shown)} more characters`, () => {
        rest.remove();
        spell(box, text.slice(shown), find);
      });
      box.append(rest);
    }
    return box;
  };

  // -- comparing words ------------------------------------------------------------------------

  const wordsOf = (text) => {
    const words = [];
    for (const match of text.slice(0, 12 * COMPARED_WORDS).matchAll(WORD)) {
      if (words.length === COMPARED_WORDS) break;
      words.push({ from: match.index, to: match.index + match[0].length, word: match[0].toLowerCase() });
    }
    return words;
  };

  // Which words two texts have in common, in the same order: a longest common subsequence.
  // Equal ends are set aside first, because most texts that are compared differ little.
  const common = (first, second) => {
    const inFirst = new Set(), inSecond = new Set();
    const same = (a, b) => first[a].word === second[b].word;
    let start = 0, endA = first.length, endB = second.length;
    while (start < endA && start < endB && same(start, start)) { inFirst.add(start); inSecond.add(start); start++; }
    while (endA > start && endB > start && same(endA - 1, endB - 1)) { inFirst.add(--endA); inSecond.add(--endB); }
    const width = endB - start + 1;
    const table = new Uint16Array((endA - start + 1) * width);
    for (let a = endA - 1; a >= start; a--) {
      for (let b = endB - 1; b >= start; b--) {
        const cell = (a - start) * width + b - start;
        table[cell] = same(a, b)
          ? table[cell + width + 1] + 1 : Math.max(table[cell + width], table[cell + 1]);
      }
    }
    for (let a = start, b = start; a < endA && b < endB;) {
      const cell = (a - start) * width + b - start;
      if (same(a, b)) { inFirst.add(a++); inSecond.add(b++); }
      else if (table[cell + width] >= table[cell + 1]) a++;
      else b++;
    }
    return [inFirst, inSecond];
  };

  const marksOf = (words, classOf) => words.flatMap(({ from, to }, place) => {
    const name = classOf(place);
    return name ? [[from, to, name]] : [];
  });

  // Marks of all texts of an example: { references: [marks], outputs: Map of variant -> marks }.
  const compare = async (references, outputs, isCurrent) => {
    const marks = { references: references.map(() => []), outputs: new Map() };
    const other = task.variants.indexOf(state.diff);
    const against = state.diff === "reference" ? references : outputs.has(other) ? [outputs.get(other)] : [];
    if (!against.length) return marks;
    const targets = against.map(wordsOf);
    const held = new Map(); // variant -> for each target the places of its words that the variant has
    for (const [variant, text] of outputs) {
      if (variant === other) continue;
      const words = wordsOf(text);
      const shared = [];
      for (const target of targets) {
        shared.push(common(target, words));
        await pause();
        if (!isCurrent()) return null;
      }
      held.set(variant, shared.map((pair) => pair[0]));
      // Of several references the one with which it has most words in common counts.
      const best = shared.reduce((most, pair) => (pair[1].size > most.size ? pair[1] : most), new Set());
      marks.outputs.set(variant, marksOf(words, (place) => (best.has(place) ? "" : "extra")));
    }
    const before = held.get(state.baseline), after = held.get(state.candidate);
    const classOf = (target) => (place) => {
      if (!after) return before && !before[target].has(place) ? "missing" : "";
      const old = before && state.baseline !== state.candidate && before[target].has(place);
      if (after[target].has(place)) return before && !old && state.baseline !== state.candidate ? "won" : "";
      return old ? "lost" : "missing";
    };
    const own = targets.map((words, target) => marksOf(words, classOf(target)));
    if (state.diff === "reference") marks.references = own;
    else marks.outputs.set(other, own[0]);
    return marks;
  };

  // -- the list -------------------------------------------------------------------------------

  let rowHeight = 34, headHeight = 34, pool = [], activePlace = -1;

  const columns = () => {
    const shown = state.shown.map((variant) => ({ key: `value:${task.variants[variant]}`, variant }));
    return [
      { key: "id", words: "Id" },
      { key: "", words: `What ${task.candidate} wrote`, className: "browser-start" },
      ...shown.map((item) => ({
        ...item,
        words: task.variants[item.variant],
        className: item.variant === state.candidate ? "num candidate" : "num other",
      })),
      { key: "delta", words: "Difference", className: "num" },
    ];
  };

  const drawHead = () => {
    const cells = columns().map(({ key, words, className }) => {
      const cell = make("div", className ?? "");
      cell.setAttribute("role", "columnheader");
      cell.title = words;
      if (!key) { cell.textContent = words; return cell; }
      if (key === state.sort) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      const sorter = button(words, () => sortBy(key));
      sorter.className = "sort";
      sorter.tabIndex = -1; // the same can be chosen above, and the list is one stop
      cell.append(sorter);
      return cell;
    });
    parts.head.replaceChildren(...cells);
    parts.grid.setAttribute("aria-colcount", cells.length);
    const middle = `repeat(${state.shown.length}, 92px)`;
    const least = 120 + 160 + 92 * state.shown.length + 92 + 12 * (state.shown.length + 2) + 28;
    parts.grid.style.setProperty("--columns", `minmax(120px, 200px) minmax(160px, 1fr) ${middle} 92px`);
    parts.grid.style.setProperty("--least", `${least}px`);
    pool.forEach((row) => row.remove());
    pool = [];
  };

  const makeRow = () => {
    const row = make("div", "browser-row");
    row.setAttribute("role", "row");
    columns().forEach(({ className }) => {
      const cell = make("div", className ?? "browser-id");
      cell.setAttribute("role", "gridcell");
      row.append(cell);
    });
    parts.rows.append(row);
    return row;
  };

  const fillRow = (row, place) => {
    const i = list[place];
    row.place = place;
    row.id = `browser-row-${place}`;
    row.style.top = `${place * rowHeight}px`;
    row.setAttribute("aria-rowindex", place + 2);
    row.setAttribute("aria-selected", i === state.open);
    row.hidden = false;
    const [id, start, ...values] = row.children;
    id.replaceChildren();
    spell(id, task.ids[i]);
    if (task.splits.length > 1) id.append(" ", make("span", "quiet", task.splits[task.split[i]]));
    start.replaceChildren();
    start.dir = "auto";
    spell(start, task.starts[i]);
    state.shown.forEach((variant, column) => {
      values[column].textContent = number(valueOf(i, variant), scaleOf());
    });
    const delta = deltaOf(i);
    const last = values[values.length - 1];
    last.textContent = number(delta, scaleOf(), true);
    last.className = `num ${sideOf(delta)}`;
  };

  // Only rows in view exist. A row that stays in view keeps its element, so scrolling writes little.
  const drawRows = (afresh = false) => {
    const height = Math.max(rowHeight, parts.grid.clientHeight - headHeight);
    const first = Math.max(0, Math.floor(parts.grid.scrollTop / rowHeight) - EXTRA_ROWS);
    const size = Math.ceil(height / rowHeight) + 1 + 2 * EXTRA_ROWS;
    while (pool.length < size) pool.push(makeRow());
    const last = Math.min(list.length, first + size);
    for (let place = first; place < first + pool.length; place++) {
      const row = pool[place % pool.length];
      if (place >= last) { row.hidden = true; row.place = -1; row.setAttribute("aria-selected", false); }
      else if (afresh || row.place !== place) fillRow(row, place);
    }
    const active = pool.find((row) => row.place === activePlace && activePlace >= 0);
    if (active) parts.grid.setAttribute("aria-activedescendant", active.id);
    else parts.grid.removeAttribute("aria-activedescendant");
  };

  const measureRows = () => {
    const style = getComputedStyle(parts.grid);
    rowHeight = parseFloat(style.getPropertyValue("--row")) || 34;
    headHeight = parts.head.offsetHeight;
  };

  const drawAll = () => {
    measureRows();
    activePlace = list.indexOf(state.open);
    parts.grid.setAttribute("aria-rowcount", list.length + 1);
    parts.rows.style.height = `${Math.max(1, list.length) * rowHeight}px`;
    drawRows(true);
  };

  const reveal = (place) => {
    const { grid } = parts;
    const height = grid.clientHeight - headHeight;
    const top = place * rowHeight;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + rowHeight > grid.scrollTop + height) grid.scrollTop = top + rowHeight - height;
  };

  const showStatus = () => {
    const bare = list.reduce((sum, i) => sum + !hasTexts(i), 0);
    const all = `${count(list.length)} of ${plural(task.n, "example")}`;
    const without = bare ? `, ${count(bare)} of them without texts in this page` : "";
    const hint = hits && !progress && task.members.size && bareTotal() ? " (only texts in this page were searched)" : "";
    parts.status.textContent = `${notice}${progress}${all}${without}${hint}`;
    parts.reset.hidden = !(state.only.size || state.query || state.split >= 0);
  };

  const bareTotal = () => task.chunk.reduce((sum, chunk) => sum + (chunk === index.noChunk), 0);

  // -- the open example -----------------------------------------------------------------------

  let detailRun = 0;
  let promptOpen = true;

  const showDetail = async () => {
    const run = ++detailRun;
    const isCurrent = () => run === detailRun;
    const i = state.open;
    if (i < 0) { parts.detail.hidden = true; return; }
    const entry = hasTexts(i) ? (await chunkTexts(task.chunk[i]))[task.slot[i]] : null;
    if (!isCurrent()) return;
    const body = entry ? await textsOf(i, entry, isCurrent) : [make("p", "empty",
      "The texts of this example had no room in this page; report.json and examples.csv are complete.")];
    if (!body) return;
    parts.detail.replaceChildren(detailHead(i), ...body);
    parts.detail.hidden = false;
    for (const box of parts.detail.querySelectorAll(".text")) {
      if (box.scrollHeight > box.clientHeight) box.tabIndex = 0; // so that keys can scroll it
    }
  };

  const detailHead = (i) => {
    const title = make("h3", "");
    spell(title, task.ids[i]);
    const place = list.indexOf(i);
    const delta = deltaOf(i);
    const head = make("header", "", title, make("span", "tag", task.splits[task.split[i]]));
    if (!Number.isNaN(delta)) {
      head.append(make("span", sideOf(delta), `${number(delta, scaleOf(), true)} ${task.metrics[state.metric].label}`));
    }
    head.append(make("span", "quiet", place < 0 ? "not in the list" : `${count(place + 1)} of ${count(list.length)}`));
    const link = make("a", "permalink", "Link");
    link.href = hashOf(i);
    const steps = make("span", "browser-steps", link,
      button("Previous", () => step(-1)), button("Next", () => step(1)), differ());
    const back = button("Back to the list", leaveDetail);
    back.className = "browser-back";
    head.append(steps);
    head.prepend(back);
    return head;
  };

  const diffChoices = () => ["none", "reference", ...state.shown.map((variant) => task.variants[variant])];
  const differ = () => {
    const select = make("select", "");
    for (const name of diffChoices()) {
      const words = { none: "nothing", reference: "the reference" }[name] ?? name;
      select.append(new Option(words, name, false, name === state.diff));
    }
    select.addEventListener("change", () => { state.diff = select.value; changed(); showDetail(); });
    return make("label", "", "Compare words with ", select);
  };

  const textsOf = async (i, [prompt, references, outputs], isCurrent) => {
    const written = new Map(state.shown.filter((v) => outputs[v]).map((v) => [v, outputs[v][0]]));
    const marks = await compare(references, written, isCurrent);
    if (!marks) return null;
    const find = state.query ? patternOf(state.query) : null;
    const box = make("details", "browser-prompt", make("summary", "", "Prompt"), textBox(prompt, [], find, "Prompt"));
    box.open = promptOpen;
    box.addEventListener("toggle", () => { promptOpen = box.open; });
    const longest = Math.max(0, ...references.map((text) => text.length), ...[...written.values()].map((text) => text.length));
    const grid = make("div", longest > 160 ? "outputs long" : "outputs");
    const target = make("div", "output reference", make("h4", "", references.length === 1 ? "reference" : "references"));
    references.forEach((text, place) => target.append(textBox(text, marks.references[place], find, "Reference")));
    grid.append(target, ...state.shown.map((v) => outputBox(i, v, outputs[v], marks.outputs.get(v) ?? [], find)));
    return [box, grid, ...legend()];
  };

  const outputBox = (i, variant, output, marks, find) => {
    const name = task.variants[variant];
    const value = make("span", "quiet", number(valueOf(i, variant), scaleOf()));
    const box = make("div", "output", make("h4", "", make("span", "", name), value));
    if (variant === state.candidate) box.classList.add("chosen");
    if (variant === state.pointed) box.classList.add("pointed");
    box.dataset.variant = name;
    if (!output) {
      box.append(make("p", "empty", `No output. ${task.missing[name] ?? ""}`));
      return box;
    }
    const [text, finish, made, given, cut] = output;
    box.append(textBox(text, marks, find, `Output of ${name}`));
    const others = task.metrics.flatMap((metric, m) => (m === state.metric ? []
      : [`${metric.label}\u00a0${number(valueOf(i, variant, m), metric.scale)}`]));
    const ended = { length: "stopped by max_new_tokens", stop: "ended by a stop string", eos: "ended by itself" }[finish];
    const facts = [
      others.join(", "),
      `${plural(made, "token")}, ${ended}; prompt ${plural(given, "token")}${cut ? `, ${count(cut)} cut` : ""}`,
    ];
    for (const fact of facts) if (fact) box.append(make("p", "quiet", fact));
    const tags = make("p", "browser-tags");
    for (const item of filters) {
      if (item.flag & task.flags[variant * task.n + i]) {
        tags.append(make("span", "tag worse", item.button.firstChild.textContent.trim()), " ");
      }
    }
    if (tags.childNodes.length) box.append(tags);
    const link = make("a", "permalink quiet", "Link");
    link.href = hashOf(i, variant);
    link.setAttribute("aria-label", `Link to the output of ${name}`);
    box.append(link);
    return box;
  };

  const legend = () => {
    if (state.diff === "none") return [];
    const target = state.diff === "reference" ? "the reference" : state.diff;
    const words = {
      extra: `not in ${target}`,
      lost: `the baseline has it, the candidate does not`,
      won: `the candidate has it, the baseline does not`,
      missing: `the candidate lacks it`,
    };
    const line = make("p", "small quiet browser-legend", `Words against ${target}: `);
    Object.entries(words).forEach(([name, meaning]) => line.append(make("mark", name, meaning), " \u00b7 "));
    line.append(`case and punctuation aside; of each text the first ${count(COMPARED_WORDS)} words.`);
    return [line];
  };

  // -- choosing -------------------------------------------------------------------------------

  const open = (place, { focus = false, pointed = -1 } = {}) => {
    if (place < 0 || place >= list.length) return Promise.resolve();
    state.open = list[place];
    state.pointed = pointed;
    activePlace = place;
    touched = true;
    section.classList.add("touched");
    reveal(place);
    drawRows(true);
    writeHash();
    return showDetail().then(() => { if (focus) enterDetail(); });
  };

  const step = (by) => open(activePlace < 0 ? 0 : Math.min(list.length - 1, Math.max(0, activePlace + by)));

  const enterDetail = () => {
    section.classList.add("reading");
    parts.detail.focus({ preventScroll: true });
    parts.detail.scrollIntoView({ block: "nearest", behavior: "instant" });
  };

  const leaveDetail = () => {
    section.classList.remove("reading");
    drawAll();
    parts.grid.focus();
  };

  const sortBy = (key) => {
    const again = key === state.sort;
    // Differences begin with the worst, everything else with the smallest.
    const first = key === "delta" ? !(task.metrics[state.metric]?.higher ?? true) : key === "change";
    state.down = again ? !state.down : first;
    state.sort = key;
    changed();
    showControls();
    drawHead();
    arrange();
    parts.grid.scrollTop = 0;
    drawRows();
  };

  const changed = () => {
    touched = true;
    notice = "";
    section.classList.add("touched");
    writeHash();
  };

  // Anything that changes which columns, values or filters there are.
  const refresh = () => {
    classify();
    showControls();
    drawHead();
    arrange();
    showDetail();
  };

  const defaults = (item) => {
    const variants = item.variants.map((_, place) => place);
    const sides = [item.variants.indexOf(item.baseline), item.variants.indexOf(item.candidate)].filter((v) => v >= 0);
    const first = [...new Set([...sides, ...variants])].slice(0, SHOWN_VARIANTS);
    return {
      task: index.tasks.indexOf(item),
      split: -1,
      metric: item.metrics.length ? 0 : -1,
      baseline: item.variants.indexOf(item.baseline),
      candidate: item.variants.indexOf(item.candidate),
      shown: variants.filter((v) => first.includes(v)),
      only: new Set(),
      query: "",
      sort: "data",
      down: false,
      open: -1,
      pointed: -1,
      diff: "reference",
    };
  };

  const enter = (place, changes = {}) => {
    task = index.tasks[place];
    state = { ...defaults(task), ...changes };
    hits = null;
    searched = "";
    searchRun++;
    cache.clear();
  };

  // -- links ----------------------------------------------------------------------------------
  // #example/<task>/<id>/<variant>?split=…&only=…: what is as it would be anyway is left out.

  const hashOf = (i = state.open, variant = -1) => {
    const path = ["#example", task.task];
    if (i >= 0) path.push(task.ids[i]);
    if (i >= 0 && variant >= 0) path.push(task.variants[variant]);
    const standard = defaults(task);
    const name = (v) => task.variants[v] ?? "";
    const values = new URLSearchParams();
    const put = (key, value, usual) => { if (value !== usual) values.set(key, value); };
    put("split", task.splits[state.split] ?? "", "");
    put("metric", task.metrics[state.metric]?.name ?? "", task.metrics[standard.metric]?.name ?? "");
    put("baseline", name(state.baseline), name(standard.baseline));
    put("candidate", name(state.candidate), name(standard.candidate));
    put("show", state.shown.map(name).join("|"), standard.shown.map(name).join("|"));
    put("only", [...state.only].sort().join("|"), "");
    put("q", state.query, "");
    put("sort", (state.down ? "-" : "") + state.sort, standard.sort);
    put("diff", state.diff, standard.diff);
    const text = values.toString();
    return path.map((part, place) => (place ? encodeURIComponent(part) : part)).join("/") + (text ? `?${text}` : "");
  };

  const writeHash = () => {
    if (!touched) return;
    try { history.replaceState(null, "", hashOf()); } catch { /* too often, or a page without address */ }
  };

  const decoded = (text) => { try { return decodeURIComponent(text); } catch { return text; } };

  const readHash = () => {
    if (!location.hash.startsWith("#example/")) return null;
    const [path, query] = splitOnce(location.hash.slice("#example/".length), "?");
    const [name, id, variant] = path.split("/").map(decoded);
    const place = index.tasks.findIndex((item) => item.task === name);
    if (place < 0) return null;
    const item = index.tasks[place];
    const values = new URLSearchParams(query);
    const of = (key, names) => {
      const at = values.has(key) ? names.indexOf(values.get(key)) : -1;
      return at < 0 ? {} : { [key]: at };
    };
    const changes = {
      ...of("split", item.splits),
      ...of("metric", item.metrics.map((metric) => metric.name)),
      ...of("baseline", item.variants),
      ...of("candidate", item.variants),
      query: values.get("q") ?? "",
      diff: values.get("diff") ?? "reference",
      only: new Set((values.get("only") ?? "").split("|").filter((key) => filters.some((f) => f.name === key))),
    };
    const sort = values.get("sort") ?? "data";
    changes.down = sort.startsWith("-");
    changes.sort = knownSort(item, sort.replace(/^-/, "")) ? sort.replace(/^-/, "") : "data";
    if (values.has("show")) {
      const names = values.get("show").split("|");
      changes.shown = item.variants.flatMap((own, v) => (names.includes(own) ? [v] : []));
    }
    changes.pointed = item.variants.indexOf(variant ?? "");
    if (changes.pointed >= 0) {
      const shown = changes.shown ?? defaults(item).shown;
      changes.shown = [...new Set([...shown, changes.pointed])].sort((a, b) => a - b);
    }
    return { place, changes, id };
  };

  const knownSort = (item, sort) => {
    const [by, name] = splitOnce(sort, ":");
    return ["data", "id", "delta", "change"].includes(by) ||
      (["value", "length"].includes(by) && item.variants.includes(name));
  };

  const follow = async (target) => {
    enter(target.place, target.changes);
    const i = target.id === undefined ? undefined : task.place.get(target.id);
    state.open = i ?? -1;
    touched = true;
    section.classList.add("touched");
    refresh();
    if (i === undefined) {
      if (target.id) notice = `There is no example ${target.id}. `;
      showStatus();
      if (state.query) search().catch(fail);
      section.scrollIntoView({ behavior: "instant" });
      return;
    }
    if (activePlace >= 0) { reveal(activePlace); drawRows(); }
    await showDetail();
    section.classList.add("reading");
    const pointed = parts.detail.querySelector(".pointed");
    (pointed ?? parts.detail).scrollIntoView({ behavior: "instant" });
    parts.detail.focus({ preventScroll: true });
    if (!state.query) return;
    search().then(() => {
      if (activePlace >= 0) { reveal(activePlace); drawRows(); }
      showDetail();
    }, fail);
  };

  // -- controls -------------------------------------------------------------------------------

  const options = (select, pairs, chosen) => {
    select.replaceChildren(...pairs.map(([value, words]) => new Option(words, value)));
    select.value = String(chosen);
    select.closest("label").hidden = pairs.length < 2;
  };

  const showControls = () => {
    const variants = task.variants.map((name, v) => [v, name]);
    options(parts.task, index.tasks.map((item, place) => [place, item.task]), state.task);
    const sizes = task.splits.map((name, s) => [s, `${name} (${count(task.split.reduce((sum, own) => sum + (own === s), 0))})`]);
    options(parts.split, sizes.length > 1 ? [[-1, "all"], ...sizes] : sizes, sizes.length > 1 ? state.split : 0);
    options(parts.metric, task.metrics.map((metric, m) => [m, metric.label]), state.metric);
    options(parts.baseline, state.baseline < 0 ? [[-1, "none"], ...variants] : variants, state.baseline);
    options(parts.candidate, variants, state.candidate);
    options(parts.sort, [
      ["data", "order of the data"],
      ["id", "id"],
      ["delta", "difference"],
      ["change", "size of the difference"],
      ...state.shown.map((v) => [`value:${task.variants[v]}`, `value of ${task.variants[v]}`]),
      ...state.shown.map((v) => [`length:${task.variants[v]}`, `length of ${task.variants[v]}`]),
    ], state.sort);
    parts.direction.textContent = state.down ? "\u2193 descending" : "\u2191 ascending";
    if (document.activeElement !== parts.search) parts.search.value = state.query;
    showVariants();
  };

  const showVariants = () => {
    const chips = [...parts.variants.querySelectorAll("button")];
    if (chips.length === task.variants.length && chips.every((chip, v) => chip.textContent === task.variants[v])) {
      chips.forEach((chip, v) => chip.setAttribute("aria-pressed", state.shown.includes(v)));
      return; // the same buttons, so that the one in use keeps the focus
    }
    chips.forEach((chip) => chip.remove());
    task.variants.forEach((name, v) => {
      const chip = button(name, () => toggleVariant(v));
      chip.className = "chip";
      chip.setAttribute("aria-pressed", state.shown.includes(v));
      parts.variants.append(chip);
    });
  };

  const toggleVariant = (variant) => {
    const shown = state.shown.includes(variant)
      ? state.shown.filter((v) => v !== variant) : [...state.shown, variant].sort((a, b) => a - b);
    if (!shown.length) return; // one at least
    state.shown = shown;
    if (task.variants[variant] === state.diff) state.diff = "reference";
    if (!knownSort({ variants: shown.map((v) => task.variants[v]) }, state.sort)) state.sort = "data";
    changed();
    refresh();
  };

  const listen = () => {
    const choose = (part, key) => parts[part].addEventListener("change", () => {
      state[key] = Number(parts[part].value);
      changed();
      refresh();
    });
    ["split", "metric", "baseline", "candidate"].forEach((key) => choose(key, key));
    parts.task.addEventListener("change", () => {
      enter(Number(parts.task.value));
      refresh();
      parts.grid.scrollTop = 0;
      state.open = list[0] ?? -1;
      changed();
      drawAll();
      showDetail();
    });
    parts.sort.addEventListener("change", () => sortBy(parts.sort.value));
    parts.direction.addEventListener("click", () => sortBy(state.sort));
    for (const item of filters) {
      item.button.addEventListener("click", () => {
        if (!state.only.delete(item.name)) state.only.add(item.name);
        changed();
        arrange();
        parts.grid.scrollTop = 0;
        drawRows();
      });
    }
    let waiting = 0;
    parts.search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => startSearch(parts.search.value), 150);
    });
    parts.reset.addEventListener("click", () => {
      state.only.clear();
      state.split = -1;
      parts.search.value = "";
      showControls();
      startSearch("");
    });
    listenToGrid();
    addEventListener("keydown", onKey);
    addEventListener("hashchange", () => {
      const target = readHash();
      if (target) follow(target);
    });
    addEventListener("resize", () => { if (!parts.grid.hidden) drawAll(); });
    parts.keys.addEventListener("click", () => parts.help.showModal());
    parts.close.addEventListener("click", () => parts.help.close());
  };

  const startSearch = (query) => {
    state.query = query;
    changed();
    parts.grid.scrollTop = 0;
    search().then(() => { if (state.open >= 0) showDetail(); }, fail);
  };

  const listenToGrid = () => {
    let drawing = false;
    parts.grid.addEventListener("scroll", () => {
      if (drawing) return;
      drawing = true;
      requestAnimationFrame(() => { drawing = false; drawRows(); });
    }, { passive: true });
    parts.rows.addEventListener("click", (event) => {
      const row = event.target.closest("[role=row]");
      if (!row || row.place < 0) return;
      const phone = matchMedia("(max-width: 760px)").matches;
      open(row.place, { focus: phone });
    });
  };

  // -- keys -----------------------------------------------------------------------------------

  const inView = () => {
    const box = section.getBoundingClientRect();
    return box.top < innerHeight * 0.6 && box.bottom > innerHeight * 0.4;
  };

  const gridKey = (key) => {
    const page = Math.max(1, Math.floor((parts.grid.clientHeight - headHeight) / rowHeight) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -list.length, End: list.length };
    if (key in moves) { step(moves[key]); return true; }
    if (key !== "Enter" || state.open < 0) return false;
    touched = true;
    enterDetail();
    return true;
  };

  const actions = {
    j: () => step(1),
    k: () => step(-1),
    "/": () => { section.classList.remove("reading"); parts.search.focus(); parts.search.select(); },
    f: () => { section.classList.remove("reading"); filters[0].button.focus(); },
    d: () => {
      const choices = diffChoices();
      state.diff = choices[(choices.indexOf(state.diff) + 1) % choices.length];
      changed();
      showDetail();
    },
    "?": () => parts.help.showModal(),
  };

  const onEscape = (target) => {
    if (target === parts.search) {
      parts.search.value = "";
      startSearch("");
      parts.grid.focus();
      return true;
    }
    if (!section.contains(target) || target === parts.grid) return false;
    leaveDetail();
    return true;
  };

  const onKey = (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || parts.help.open) return;
    const { target, key } = event;
    let used = false;
    if (key === "Escape") used = onEscape(target);
    else if (target === parts.grid && gridKey(key)) used = true;
    else if (target === parts.search && key === "Enter") { parts.grid.focus(); used = true; }
    else if (!target.closest?.("input, select, textarea") && parts.shortcuts.checked && key in actions &&
      (section.contains(target) || inView())) { actions[key](); used = true; }
    if (used) event.preventDefault();
  };

  // -- beginning ------------------------------------------------------------------------------

  const begin = async () => {
    index = readIndex(await unpack("browser-index"));
    await pause();
    enter(0);
    linkPicked();
    listen();
    parts.options.open = !matchMedia("(max-width: 760px)").matches;
    section.querySelector(".browser-app").hidden = false;
    document.getElementById("browser-plain").hidden = true;
    const target = readHash();
    if (target) await follow(target);
    else {
      refresh();
      state.open = list[0] ?? -1; // something to see; it is not printed, and not in the address
      drawAll();
      await showDetail();
    }
    section.classList.add("ready");
  };

  // From the examples picked above, which are of the first task, to the same ones here.
  const linkPicked = () => {
    for (const title of document.querySelectorAll("#examples .example h3")) {
      if (!task.place.has(title.textContent)) continue;
      const link = make("a", "permalink small", "In the list below");
      link.href = `#example/${encodeURIComponent(task.task)}/${encodeURIComponent(title.textContent)}`;
      title.parentElement.append(link);
    }
  };

  const fail = (error) => {
    const plain = document.getElementById("browser-plain");
    plain.hidden = false;
    plain.prepend(`The examples could not be read here (${error.message}). `);
  };

  // The page is read and drawn first.
  const start = () => (window.requestIdleCallback ?? setTimeout)(() => begin().catch(fail), { timeout: 1000 });
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
})();
