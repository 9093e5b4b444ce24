// The list: a grid of which only the rows in view exist, and the line above it that counts.

const EXTRA_ROWS = 6; // drawn above and below what is in view

let rowHeight = 34, headHeight = 34;
let pool = []; // the rows that exist, all in use over and over
let activePlace = -1; // of the open example in the list

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
  const active = pool.find((row) => activePlace >= 0 && row.place === activePlace);
  if (active) parts.grid.setAttribute("aria-activedescendant", active.id);
  else parts.grid.removeAttribute("aria-activedescendant");
};

const measureRows = () => {
  const style = getComputedStyle(parts.grid);
  rowHeight = parseFloat(style.getPropertyValue("--row")) || 34;
  headHeight = parts.head.offsetHeight;
};

// Everything anew: another list, or another size.
const drawAll = () => {
  measureRows();
  activePlace = list.indexOf(state.open);
  parts.grid.setAttribute("aria-rowcount", list.length + 1);
  parts.rows.style.height = `${Math.max(1, list.length) * rowHeight}px`;
  drawRows(true);
};

// The open example, if it is listed, comes into view.
const reveal = (afresh = false) => {
  if (activePlace < 0) return;
  const { grid } = parts;
  const height = grid.clientHeight - headHeight;
  const top = activePlace * rowHeight;
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top + rowHeight > grid.scrollTop + height) grid.scrollTop = top + rowHeight - height;
  drawRows(afresh);
};

const toTop = () => {
  parts.grid.scrollTop = 0;
  drawRows();
};

const showStatus = () => {
  const bare = list.reduce((sum, i) => sum + !hasTexts(i), 0);
  const all = `${count(list.length)} of ${plural(task.n, "example")}`;
  const without = bare ? `, ${count(bare)} of them without texts in this page` : "";
  const hint = hits && !progress && task.members.size && task.bare ? " (only texts in this page were searched)" : "";
  const split = state.split >= 0 && task.splits.length > 1 ? `, ${task.splits[state.split]} split` : "";
  parts.status.textContent = `${notice}${progress}${all}${split}${without}${hint}`;
  parts.none.hidden = list.length > 0 || Boolean(progress);
  parts.grid.hidden = !parts.none.hidden;
  parts.reset.hidden = !(state.only.size || state.query || state.split >= 0);
};
