// What the reader chooses with: selects, buttons, filters, the search field, the pointer.

const isPhone = () => matchMedia("(max-width: 760px)").matches; // as in browser.css

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
  toTop();
};

// Anything that changes which columns, values or filters there are.
const refresh = () => {
  classify();
  showControls();
  drawHead();
  arrange();
  return showDetail();
};

const listen = () => {
  for (const key of ["split", "metric", "baseline", "candidate"]) {
    parts[key].addEventListener("change", () => {
      state[key] = Number(parts[key].value);
      changed();
      refresh();
      openHit();
    });
  }
  parts.task.addEventListener("change", () => {
    enter(Number(parts.task.value));
    refresh();
    parts.grid.scrollTop = 0;
    openFirst();
    changed();
  });
  parts.sort.addEventListener("change", () => sortBy(parts.sort.value));
  parts.direction.addEventListener("click", () => sortBy(state.sort));
  for (const item of filters) {
    item.button.addEventListener("click", () => {
      if (!state.only.delete(item.name)) state.only.add(item.name);
      changed();
      arrange();
      toTop();
      openHit();
    });
  }
  let waiting = 0;
  parts.search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => startSearch(parts.search.value), 150);
  });
  parts.reset.addEventListener("click", showAll);
  parts.again.addEventListener("click", () => { showAll(); parts.grid.focus(); });
  listenToGrid();
  addEventListener("keydown", onKey);
  addEventListener("hashchange", () => {
    const target = readHash();
    if (target) follow(target);
  });
  addEventListener("resize", drawAll);
  parts.keys.addEventListener("click", () => parts.help.showModal());
  parts.close.addEventListener("click", () => parts.help.close());
};

const showAll = () => {
  state.only.clear();
  state.split = -1;
  parts.search.value = "";
  showControls();
  startSearch("");
};

const startSearch = (query) => {
  state.query = query;
  changed();
  parts.grid.scrollTop = 0;
  search().then(() => { if (!progress) return openHit() ?? showDetail(); }).catch(fail);
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
    open(row.place).then(() => { if (isPhone()) enterDetail(); });
  });
};
