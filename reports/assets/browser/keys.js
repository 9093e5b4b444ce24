// Keys, while the section has the focus or is in view.

const inView = () => {
  const box = section.getBoundingClientRect();
  return box.top < innerHeight * 0.6 && box.bottom > innerHeight * 0.4;
};

const gridKey = (key) => {
  const page = Math.max(1, Math.floor((parts.grid.clientHeight - headHeight) / rowHeight) - 1);
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -list.length, End: list.length };
  if (key in moves) { step(moves[key]); return true; }
  if (key !== "Enter" || state.open < 0) return false;
  changed();
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
    compareWith(choices[(choices.indexOf(state.diff) + 1) % choices.length]);
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
