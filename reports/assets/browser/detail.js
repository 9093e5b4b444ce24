// The open example: its prompt, reference and outputs beside each other, with words compared.

let detailRun = 0;
let promptOpen = true; // or folded, from one example to the next

const showDetail = () => drawDetail().catch(fail);

// Texts are unpacked and compared meanwhile; if another example is asked for, this one is dropped.
const drawDetail = async () => {
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
const compareWith = (name) => {
  state.diff = name;
  changed();
  showDetail();
};

const differ = () => {
  const select = make("select", "");
  for (const name of diffChoices()) {
    const words = { none: "nothing", reference: "the reference" }[name] ?? name;
    select.append(new Option(words, name, false, name === state.diff));
  }
  select.addEventListener("change", () => compareWith(select.value));
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
  const box = make("div", "output", make("h4", "", wholeText(name), value));
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
    : [wholeText(`${metric.label}\u00a0${number(valueOf(i, variant, m), metric.scale)}`)]));
  const ended = { length: "stopped by max_new_tokens", stop: "ended by a stop string", eos: "ended by itself" }[finish];
  const facts = [
    others.flatMap((other, place) => (place ? [", ", other] : [other])),
    [`${plural(made, "token")}, ${ended}; prompt ${plural(given, "token")}${cut ? `, ${count(cut)} cut` : ""}`],
  ];
  for (const fact of facts) if (fact.length) box.append(make("p", "quiet", ...fact));
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

const open = (place) => {
  if (place < 0 || place >= list.length) return Promise.resolve();
  state.open = list[place];
  state.pointed = -1;
  activePlace = place;
  reveal(true);
  changed();
  return showDetail();
};

const step = (by) => open(activePlace < 0 ? 0 : Math.min(list.length - 1, Math.max(0, activePlace + by)));

// The list changed: what is open is one of it. Address and focus stay. null: nothing to do.
const openHit = () => (list.includes(state.open) ? null : openFirst());

// Something to see from the start; it is not printed, and not in the address.
const openFirst = () => {
  state.open = list[0] ?? -1;
  state.pointed = -1;
  drawAll();
  return showDetail();
};

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
