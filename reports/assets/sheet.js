"use strict";
// One rater's rows. What it shows stands in the data block of this file, what it is told stays in
// this browser, and only the rater takes it out: "Save file". No server is asked for anything.
// Texts enter the page as text nodes only, so nothing in them can become markup.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const IDLE_MS = data.idle * 60000;
  const BIGGEST_FILE = 64e6; // bytes; anything larger was not saved by this page

  // -- what there is to rate ----------------------------------------------------------------------

  // Every screen is a step: the start, then for each section its introduction and rows, the end.
  const steps = [{ id: "start" }];
  data.sections.forEach((section, part) => {
    steps.push({ id: `intro-${part}` });
    section.rows.forEach(([token, prompt, reference, outputs], place) => {
      steps.push({ id: token, section, number: place + 1, prompt, reference, outputs });
    });
  });
  steps.push({ id: "finish" });
  const rows = steps.filter((step) => step.section);
  const stepOf = new Map(steps.map((step, place) => [step.id, place]));
  const END = steps.length - 1;

  // -- what was answered --------------------------------------------------------------------------

  const entries = new Map(); // row id -> answers (question name -> value), comment, minutes
  const complete = new Set(); // ids of rows with every question answered
  const blank = () => ({ answers: new Map(), comment: "", minutes: 0 });

  const entryOf = (row) => {
    if (!entries.has(row.id)) entries.set(row.id, blank());
    return entries.get(row.id);
  };

  const isTouched = (row) => {
    const entry = entries.get(row.id);
    return entry !== undefined && (entry.answers.size > 0 || entry.comment.trim() !== "");
  };

  const count = (row) => {
    const answers = entries.get(row.id)?.answers;
    const whole = answers && row.section.questions.every((asked) => answers.has(asked.name));
    if (whole) complete.add(row.id); else complete.delete(row.id);
  };

  const adopt = (row, entry) => {
    if (entry) entries.set(row.id, entry); else entries.delete(row.id);
    count(row);
  };

  // A row as it is stored and saved: only what was answered, in the order of the questions.
  const fieldsOf = (row, entry) => {
    const fields = row.section.questions
      .filter((asked) => entry.answers.has(asked.name))
      .map((asked) => [asked.name, entry.answers.get(asked.name)]);
    if (entry.comment.trim() !== "") fields.push(["comment", entry.comment]);
    if (entry.minutes > 0) fields.push(["minutes", entry.minutes]);
    return Object.fromEntries(fields);
  };

  // The reverse. Anything that the page would not have written is an error, in words.
  const entryFrom = (row, fields) => {
    const entry = blank();
    for (const [name, value] of Object.entries(fields)) {
      const asked = row.section.questions.find((question) => question.name === name);
      if (asked && asked.options.some((option) => option[0] === value)) entry.answers.set(name, value);
      else if (name === "comment" && typeof value === "string") entry.comment = value;
      else if (name === "minutes" && Number.isFinite(value) && value >= 0) entry.minutes = value;
      else if (name !== "row") {
        throw new Error(`In row ${row.id}, “${name}” cannot be ${JSON.stringify(value)?.slice(0, 80)}.`);
      }
    }
    return entry;
  };

  // -- what the browser keeps ---------------------------------------------------------------------

  // Each row has a key of its own, so that two tabs on one sheet do not undo each other's work.
  const PREFIX = `qlora-harness ${data.sheet} ${data.rater} `;
  let keeps = true; // whether the browser stores what it is given
  let unsaved = false; // answers that exist in this tab only

  const keep = (name, value) => {
    try {
      if (value === null) localStorage.removeItem(PREFIX + name);
      else localStorage.setItem(PREFIX + name, value);
    } catch {
      if (keeps) {
        notice("storage", "This browser does not keep your answers: they are lost when the page is "
          + "closed or loaded again. Please save a file often, and before you leave.", "warning");
      }
      keeps = false;
    }
  };

  const kept = (name) => {
    try { return localStorage.getItem(PREFIX + name); } catch { return null; }
  };

  const keepRow = (row) => {
    const entry = entries.get(row.id);
    if (entry) keep(`row ${row.id}`, JSON.stringify(fieldsOf(row, entry)));
  };

  // Takes over a stored row; false where it cannot be read.
  const restoreRow = (row, text) => {
    try {
      adopt(row, text === null ? null : entryFrom(row, JSON.parse(text)));
      return true;
    } catch {
      return false;
    }
  };

  const restore = () => {
    const lost = rows.filter((row) => !restoreRow(row, kept(`row ${row.id}`))).length;
    if (lost) {
      notice("lost", `What the browser kept of ${lost} rows cannot be read; they are open again.`, "warning");
    }
  };

  const changed = (row) => {
    unsaved = true;
    count(row);
    keepRow(row);
    paintProgress();
  };

  // Other tabs with the same sheet: one that opens says so, those that are open answer.
  const onStorage = (event) => {
    if (!event.key?.startsWith(PREFIX)) return;
    const name = event.key.slice(PREFIX.length);
    if (name.startsWith("tab")) {
      if (event.newValue === null) return;
      notice("tabs", "These rows are open in another tab or window too. Please close one of them; "
        + "both keep their answers in the same place.", "warning");
      if (name === "tab opened") keep("tab answered", `${Date.now()} ${Math.random()}`);
      return;
    }
    const row = name.startsWith("row ") ? steps[stepOf.get(name.slice(4))] : undefined;
    if (!row || !restoreRow(row, event.newValue)) return;
    paintProgress();
    if (row === steps[at]) paintRow(row);
  };

  // -- minutes ------------------------------------------------------------------------------------

  const now = () => performance.now();
  let lastInput = now();
  let counted = now(); // up to when time is accounted for
  let seen = document.visibilityState === "visible";

  // Adds the time since the last call to the row in view, but none beyond the idle limit.
  const countTime = () => {
    const until = Math.min(now(), lastInput + IDLE_MS);
    if (seen && steps[at].section && until > counted) {
      entryOf(steps[at]).minutes += (until - counted) / 60000;
    }
    counted = now();
  };

  const noteInput = () => {
    countTime();
    lastInput = now();
  };

  // Nothing counts while the page is not to be seen; that it is seen again is input.
  const onVisibility = () => {
    settle();
    seen = document.visibilityState === "visible";
    lastInput = now();
  };

  // Accounts for the row that is about to be left.
  const settle = () => {
    countTime();
    if (steps[at].section) keepRow(steps[at]);
  };

  // -- building blocks ----------------------------------------------------------------------------

  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };

  const button = (words, run, attributes = {}) => {
    const node = make("button", { type: "button", ...attributes }, words);
    node.addEventListener("click", run);
    return node;
  };

  const notice = (id, words, kind = "info") => {
    $(`notice-${id}`)?.remove();
    const box = make("div", { id: `notice-${id}`, class: `notice ${kind}` }, make("span", {}, words));
    if (id !== "storage") box.append(button("Dismiss", () => box.remove(), { class: "link" }));
    $("notices").append(box);
    return box;
  };

  const say = (words) => { $("said").textContent = words; };

  // Asks in a dialog; gives the value of the button that was chosen, "" for none.
  const ask = (title, words, choices) => new Promise((resolve) => {
    const dialog = $("ask");
    $("ask-title").textContent = title;
    $("ask-words").textContent = words;
    $("ask-choices").replaceChildren(...choices.map(([label, value, look]) =>
      button(label, () => dialog.close(value), look ? { class: look } : {})));
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });

  // A text: plain, or plain parts and escapes of unseen characters in turn.
  const textNodes = (text) => {
    const parts = typeof text === "string" ? [text] : text;
    if (parts.length === 1 && parts[0].trim() === "") {
      const words = parts[0] === "" ? data.empty : "(only white space)";
      return [make("span", { class: "note" }, words)];
    }
    return parts.map((part, place) => (place % 2 ? make("span", { class: "unseen" }, part) : part));
  };

  // Texts are not to be translated by the browser: raters judge what was written.
  const textBox = (title, place, look) => {
    const text = make("div", { class: "text", dir: "auto", lang: "", translate: "no" }, ...textNodes(data.texts[place]));
    return make("section", { class: `box ${look}` }, make("h2", {}, title), text);
  };

  // -- screens ------------------------------------------------------------------------------------

  let at = 0; // place of the step in view
  let lastRow = null; // place of the row that was left for the start or the end
  let active = null; // place of the question that digits answer

  const go = (place) => {
    settle();
    if (steps[at].section) lastRow = at;
    for (const old of document.querySelectorAll(".notice.info")) old.remove();
    at = Math.max(0, Math.min(END, place));
    keep("at", steps[at].id);
    paint();
    scrollTo(0, 0);
    const title = steps[at].section ? $("card-title") : $(`${steps[at].id}-title`) ?? introTitle();
    title.focus({ preventScroll: true });
  };

  const introTitle = () => $(steps[at].id).querySelector("h1");

  const paint = () => {
    const step = steps[at];
    const shown = step.section ? "card" : step.id;
    for (const screen of $("main").querySelectorAll(":scope > section")) screen.hidden = screen.id !== shown;
    document.querySelector("footer").hidden = !step.section && step.id !== "finish";
    $("next").disabled = at === END;
    if (step.section) paintRow(step);
    paintProgress();
  };

  const paintProgress = () => {
    const open = rows.length - complete.size;
    $("bar").value = complete.size;
    $("count").textContent = `${complete.size} of ${rows.length} answered`;
    $("begin").textContent = rows.some(isTouched) ? "Go on" : "Begin";
    $("finish-words").textContent = open
      ? `${complete.size} of ${rows.length} rows are answered; ${open} are still open.`
      : `All ${rows.length} rows are answered. Thank you!`;
    for (const node of document.querySelectorAll(".open-row")) node.hidden = open === 0;
    $("next-open").disabled = open === 0;
  };

  const paintRow = (row) => {
    const pair = row.section.kind === "pair";
    const texts = [textBox("Prompt", row.prompt, "given")];
    if (row.reference !== null) texts.push(textBox("Reference", row.reference, "given"));
    row.outputs.forEach((place, side) => {
      const title = pair ? make("span", { class: "side" }, "AB"[side]) : "Text to rate";
      texts.push(textBox(title, place, "judged"));
    });
    const questions = row.section.questions.map(questionBox);
    $("card-title").replaceChildren(
      `${row.section.noun} ${row.number} of ${row.section.rows.length} `,
      make("small", { id: "card-state" }),
    );
    $("card-body").replaceChildren(make("div", { class: `layout ${row.section.kind}` },
      make("div", { class: "texts" }, ...texts),
      make("div", { class: "questions" }, ...questions, commentBox(row))));
    shorten();
    active = firstOpen(row) ?? (row.section.questions.length === 1 ? 0 : null);
    paintAnswers(row);
  };

  // Long prompts scroll in a box of their own until the rater asks for all of them.
  const shorten = () => {
    for (const text of $("card-body").querySelectorAll(".given .text")) {
      text.classList.add("short");
      if (text.scrollHeight <= text.clientHeight + 4) {
        text.classList.remove("short");
        continue;
      }
      text.tabIndex = 0; // so that it can be scrolled by keys
      const more = button("Show all", () => {
        const short = text.classList.toggle("short");
        more.textContent = short ? "Show all" : "Show less";
      }, { class: "link" });
      text.previousElementSibling.append(more);
    }
  };

  const questionBox = (asked, place) => {
    const options = asked.options.map(([value, words, key], which) => {
      const cannot = which === asked.options.length - 1;
      const input = make("input", { type: "radio", name: `question-${place}`, "data-option": which });
      const label = make("label", { class: cannot ? "option cannot" : "option" }, input, make("kbd", {}, key.toUpperCase()));
      if (typeof value === "number" && String(value) !== key) label.append(make("b", {}, String(value)));
      label.append(make("span", { dir: "auto" }, words));
      return label;
    });
    return make("fieldset", { class: "question", "data-question": place },
      make("legend", {},
        make("b", {}, `${asked.title} `, make("span", { class: "tick", "aria-hidden": "true" })),
        make("span", { class: "asked", dir: "auto" }, asked.words)),
      button("clear", () => unanswer(place), { class: "link clear", "aria-label": `Clear ${asked.title}` }),
      make("div", { class: "options" }, ...options));
  };

  const commentBox = (row) => {
    const area = make("textarea", { id: "comment", rows: "2" });
    area.value = entries.get(row.id)?.comment ?? "";
    area.addEventListener("input", () => {
      entryOf(row).comment = area.value.toWellFormed?.() ?? area.value;
      changed(row);
    });
    return make("label", { class: "comment" }, make("span", {}, "Comment, if a reason is needed "), make("kbd", { "aria-hidden": "true" }, "C"), area);
  };

  // Brings what is checked, marked and ticked in line with the answers of the row in view.
  const paintAnswers = (row) => {
    const answers = entries.get(row.id)?.answers ?? new Map();
    row.section.questions.forEach((asked, place) => {
      const box = questionNode(place);
      const answered = answers.has(asked.name);
      box.classList.toggle("active", place === active && row.section.questions.length > 1);
      box.querySelector(".tick").textContent = answered ? "✓" : "";
      box.querySelector(".clear").hidden = !answered;
      for (const input of box.querySelectorAll("input")) {
        input.checked = answered && asked.options[input.dataset.option][0] === answers.get(asked.name);
      }
    });
    $("card-state").textContent = `row ${row.id}${complete.has(row.id) ? " · answered ✓" : ""}`;
    if (row.section.kind !== "pair") return;
    const won = answers.get(row.section.questions[0].name);
    $("card-body").querySelectorAll(".judged").forEach((box, side) => box.classList.toggle("won", won === "AB"[side]));
  };

  const questionNode = (place) => $("card-body").querySelector(`[data-question="${place}"]`);

  // -- answering ----------------------------------------------------------------------------------

  const firstOpen = (row) => {
    const answers = entries.get(row.id)?.answers;
    const place = row.section.questions.findIndex((asked) => !answers?.has(asked.name));
    return place < 0 ? null : place;
  };

  const following = (row, place) => {
    const total = row.section.questions.length;
    if (total === 1) return 0;
    return place + 1 < total ? place + 1 : firstOpen(row);
  };

  const answer = (place, which) => {
    const row = steps[at];
    const asked = row.section.questions[place];
    const [value, words] = asked.options[which];
    entryOf(row).answers.set(asked.name, value);
    changed(row);
    const left = row.section.questions.filter((one) => !entryOf(row).answers.has(one.name)).length;
    const point = typeof value === "number" ? `${value}, ` : "";
    say(`${asked.title}: ${point}${words}. ${left ? `${left} to go in this row.` : `Row answered; ${complete.size} of ${rows.length} done.`}`);
  };

  const unanswer = (place) => {
    const row = steps[at];
    entryOf(row).answers.delete(row.section.questions[place].name);
    changed(row);
    active = place;
    paintAnswers(row);
    say(`${row.section.questions[place].title}: no answer.`);
  };

  // By a radio button: the pointer goes on to the next question, arrow keys stay in theirs.
  const onChange = (event) => {
    const box = event.target.closest(".question");
    if (!box || event.target.type !== "radio") return;
    const place = Number(box.dataset.question);
    answer(place, Number(event.target.dataset.option));
    active = byPointer ? following(steps[at], place) : place;
    if (byPointer) event.target.blur(); // else a later ↓, meant to scroll, would change the answer
    paintAnswers(steps[at]);
  };

  // By a key of an option: goes on to the next question, with the focus if that was on a question.
  const press = (which) => {
    const row = steps[at];
    const place = active;
    const focused = document.activeElement.closest?.(".question");
    answer(place, which);
    active = following(row, place);
    paintAnswers(row);
    const next = active === null ? null : questionNode(active);
    if (active !== place) next?.scrollIntoView({ block: "nearest" });
    if (focused) (next ? next.querySelector("input:checked") ?? next.querySelector("input") : $("next")).focus();
  };

  const takeBack = () => {
    const row = steps[at];
    if (!row.section) return;
    const has = (place) => entries.get(row.id)?.answers.has(row.section.questions[place]?.name);
    let place = active ?? row.section.questions.length - 1;
    if (!has(place)) place -= 1;
    if (has(place)) unanswer(place);
  };

  // -- moving about -------------------------------------------------------------------------------

  const forward = () => { if (at < END) go(at + 1); };
  const back = () => { if (at > 0) go(at - 1); };

  const openFrom = (place) => {
    const isOpen = (step) => step.section && !complete.has(step.id);
    const later = steps.findIndex((step, other) => other > place && isOpen(step));
    return later >= 0 ? later : steps.findIndex(isOpen);
  };

  const nextOpen = () => {
    const place = openFrom(at);
    if (place < 0) go(END);
    else if (place === at) say("This is the only row that is still open.");
    else go(place);
  };

  const begin = () => {
    if (lastRow !== null) go(lastRow);
    else if (!rows.some(isTouched)) go(1);
    else go(complete.size === rows.length ? END : openFrom(0));
  };

  const comment = () => { if (steps[at].section) $("comment").focus(); };
  const help = () => $("help").showModal();

  const overview = () => {
    $("overview-body").replaceChildren(...data.sections.flatMap(overviewOf), overviewLegend());
    $("overview").showModal();
  };

  const overviewOf = (section) => {
    const first = stepOf.get(section.rows[0][0]);
    const leap = (place) => { $("overview").close(); go(place); };
    const parts = [make("h3", {}, section.title), jumpForm(section, (number) => leap(first + number - 1))];
    if (rows.length > data.overview) return parts;
    const cells = section.rows.map((unused, place) => rowButton(steps[first + place], () => leap(first + place)));
    return [...parts, make("div", { class: "grid" }, ...cells)];
  };

  const rowButton = (row, run) => {
    const [look, words] = complete.has(row.id) ? ["done", "answered"] : isTouched(row) ? ["part", "partly answered"] : ["open", "open"];
    const node = button(String(row.number), run, { class: look, "aria-label": `${row.section.noun} ${row.number}, ${words}` });
    if (row === steps[at]) node.setAttribute("aria-current", "step");
    return node;
  };

  const jumpForm = (section, run) => {
    const field = make("input", { type: "number", min: "1", max: String(section.rows.length), required: "" });
    const form = make("form", { class: "jump" },
      make("label", {}, `Go to number (1 to ${section.rows.length}) `, field), make("button", {}, "Go"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      run(field.valueAsNumber);
    });
    return form;
  };

  const overviewLegend = () => {
    if (rows.length > data.overview) return "";
    const marks = [["done", "answered"], ["part", "partly answered"], ["open", "open"]];
    return make("ul", { class: "legend" }, ...marks.map(([look, words]) => make("li", {}, make("i", { class: look }), words)));
  };

  // -- out and in ---------------------------------------------------------------------------------

  const save = async () => {
    settle();
    const touched = rows.filter(isTouched);
    const open = rows.length - complete.size;
    if (!touched.length) {
      notice("saved", "Nothing is answered yet, so there is nothing to save.");
      return;
    }
    if (open) {
      const choice = await ask("Some rows are still open",
        `${open} of ${rows.length} rows are not fully answered. You can save what there is now, go on later, and save again.`,
        [["Save what there is", "save", "primary"], ["Go to the first open row", "open"], ["Cancel", ""]]);
      if (choice === "open") go(openFrom(0));
      if (choice !== "save") return;
    }
    download(touched);
  };

  const savedRow = (row) => {
    const fields = fieldsOf(row, entries.get(row.id));
    const minutes = Math.round((fields.minutes ?? 0) * 100) / 100;
    delete fields.minutes;
    return { row: row.id, ...fields, ...(minutes > 0 ? { minutes } : {}) };
  };

  const download = (touched) => {
    const { format, version, sheet, rater } = data;
    const saved = { format, version, sheet, rater, saved: new Date().toISOString(), rows: touched.map(savedRow) };
    const url = URL.createObjectURL(new Blob([`${JSON.stringify(saved, null, 1)}\n`], { type: "application/json" }));
    const name = `${rater}-${sheet}.json`;
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000); // not before the browser has read it
    unsaved = false;
    notice("saved", `Saved ${name} with ${touched.length} of ${rows.length} rows; look for it among your downloads.`);
  };

  const readSaved = (text) => {
    let saved = null;
    try { saved = JSON.parse(text); } catch { /* the next line says so */ }
    if (saved?.format !== data.format || !Array.isArray(saved.rows)) throw new Error("It was not saved by a page like this one.");
    if (saved.version !== data.version) throw new Error("It was saved by another version of this page.");
    if (saved.sheet !== data.sheet) throw new Error(`It belongs to another sheet: ${String(saved.sheet).slice(0, 80)}, and this is ${data.sheet}.`);
    if (saved.rater !== data.rater) throw new Error(`It belongs to another rater: ${String(saved.rater).slice(0, 80)}, and this page is for ${data.rater}.`);
    return saved.rows.map((fields) => {
      const row = steps[stepOf.get(fields?.row)];
      if (!row?.section) throw new Error(`It has a row that this page does not have: ${String(fields?.row).slice(0, 80)}.`);
      return [row, entryFrom(row, fields)];
    });
  };

  const differ = ([row, theirs]) => {
    const mine = entries.get(row.id);
    if (!mine) return false;
    const other = [...theirs.answers].some(([name, value]) => mine.answers.has(name) && mine.answers.get(name) !== value);
    const both = mine.comment.trim() !== "" && theirs.comment.trim() !== "";
    return other || (both && mine.comment !== theirs.comment);
  };

  // Where both have an answer, the later argument's stands.
  const merged = (first, second) => ({
    answers: new Map([...first.answers, ...second.answers]),
    comment: second.comment.trim() === "" ? first.comment : second.comment,
    minutes: Math.max(first.minutes, second.minutes),
  });

  const load = async (file) => {
    let found;
    try {
      if (file.size > BIGGEST_FILE) throw new Error("It is too large to have been saved by this page.");
      found = readSaved(await file.text());
    } catch (problem) {
      notice("loaded", `${file.name} was not loaded. ${problem.message} Nothing was changed.`, "warning");
      return;
    }
    const clashes = found.filter(differ).length;
    const choice = clashes ? await ask("Two answers to the same rows",
      `${clashes} of the ${found.length} rows in ${file.name} have other answers here.`,
      [["Use the file's", "theirs", "primary"], ["Keep those here", "mine"], ["Cancel", ""]]) : "theirs";
    if (!choice) return;
    for (const [row, theirs] of found) {
      const mine = entries.get(row.id) ?? blank();
      adopt(row, choice === "theirs" ? merged(mine, theirs) : merged(theirs, mine));
      keepRow(row);
    }
    unsaved = true;
    lastRow = null;
    paint();
    notice("loaded", `Loaded ${found.length} rows from ${file.name}: ${complete.size} of ${rows.length} are answered now.`);
  };

  const clear = async () => {
    const touched = rows.filter(isTouched).length;
    const choice = await ask("Clear everything?",
      `This removes the answers to ${touched} rows from this browser, for good. Files that you saved stay as they are.`,
      [["Cancel", "", "primary"], ["Clear everything", "clear", "danger"]]);
    if (choice !== "clear") return;
    for (const row of rows) {
      if (entries.has(row.id)) keep(`row ${row.id}`, null);
    }
    entries.clear();
    complete.clear();
    lastRow = null;
    unsaved = false;
    paint();
    say("Everything is cleared.");
  };

  // -- keys ---------------------------------------------------------------------------------------

  const commands = new Map([
    ["enter", forward], ["n", forward], ["arrowright", forward], ["p", back], ["arrowleft", back],
    ["u", nextOpen], ["c", comment], ["o", overview], ["?", help], ["backspace", takeBack],
  ]);

  // What a key means here: an option of the marked question, else a command.
  const meaning = (key) => {
    const row = steps[at];
    const asked = active === null ? undefined : row.section?.questions[active];
    const which = asked ? asked.options.findIndex((option) => option[2] === key) : -1;
    if (which >= 0) return () => press(which);
    if (row.section && /^[0-9]$/.test(key) && firstOpen(row) === null) {
      return () => say("All questions of this row are answered. Enter goes on; Backspace takes back.");
    }
    return commands.get(key);
  };

  // Keyboards without Latin letters, or with digits behind Shift, are read by the key's place.
  const placeOf = (event) => {
    const [, letter, digit] = /^(?:Key([A-Z])|Digit(\d))$/.exec(event.code) ?? [];
    if (letter && event.key > "\u007f") return letter.toLowerCase();
    return digit && !event.shiftKey ? digit : "";
  };

  const onTyping = (event) => {
    if (event.key === "Escape") $("card-title").focus({ preventScroll: true });
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) forward();
  };

  const onKey = (event) => {
    byPointer = false;
    if (event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.target.id === "comment") {
      onTyping(event);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.key === "Enter" && event.target.closest("button, a")) return; // presses that button
    const run = meaning(event.key.toLowerCase()) ?? meaning(placeOf(event));
    if (!run) return;
    event.preventDefault();
    run();
  };

  // -- start --------------------------------------------------------------------------------------

  let byPointer = false; // whether the last input was by mouse or touch

  const listen = () => {
    const clicks = {
      "#begin": begin, ".onward": forward, "#next": forward, "#previous": back, "#next-open": nextOpen,
      ".open-row": () => go(openFrom(0)), "#to-start": () => go(0), "#to-overview": overview,
      "#to-help": help, ".save": save, ".load": () => $("file").click(), "#clear": clear,
    };
    for (const [selector, run] of Object.entries(clicks)) {
      for (const node of document.querySelectorAll(selector)) node.addEventListener("click", run);
    }
    $("file").addEventListener("change", () => {
      const [file] = $("file").files;
      if (file) load(file).finally(() => { $("file").value = ""; });
    });
    $("card-body").addEventListener("change", onChange);
    $("card-body").addEventListener("focusin", (event) => {
      const box = event.target.closest(".question");
      if (!box || !event.target.matches("input")) return;
      active = Number(box.dataset.question);
      paintAnswers(steps[at]);
    });
    addEventListener("pointerdown", () => { byPointer = true; }, true);
    addEventListener("keydown", onKey);
    addEventListener("storage", onStorage);
    document.addEventListener("visibilitychange", onVisibility);
    addEventListener("pagehide", settle);
    addEventListener("beforeunload", (event) => {
      if (keeps || !unsaved) return;
      event.preventDefault();
      event.returnValue = true; // for browsers that ask for it
    });
    for (const kind of ["keydown", "pointerdown", "pointermove", "wheel", "scroll"]) {
      addEventListener(kind, noteInput, { capture: true, passive: true });
    }
    setInterval(countTime, 1000);
  };

  restore();
  keep("tab opened", `${Date.now()} ${Math.random()}`);
  listen();
  for (const node of document.querySelectorAll("header [hidden], #start .actions")) node.hidden = false;
  at = stepOf.get(kept("at")) ?? 0;
  paint();
  if (rows.some(isTouched)) say(`Welcome back: ${complete.size} of ${rows.length} rows are answered.`);
})();
