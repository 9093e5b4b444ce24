// Texts of models, which are set as text and never as HTML, and the comparison of their words.

const SHOWN_CHARS = 20000; // of a text, until all of it is asked for
const COMPARED_WORDS = 1200; // of a text; the table of a comparison has this many squared cells
// What cannot be seen, or reorders what is around it: the expression of harness/render/pages.py.
const UNSEEN = new RegExp(
  "([\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069\\u00ad\\u180e" +
  "\\u200b\\u2028\\u2029\\u2060-\\u2065\\u206a-\\u206f\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff\\ufffe\\uffff" +
  "\\u{e0000}-\\u{e007f}])", "u");
// A word; of scripts that are written without spaces each character.
const WORD = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]|(?:(?![\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}])[\p{L}\p{M}\p{N}_])+/gu;

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
