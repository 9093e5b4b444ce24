// What is chosen, and the values that follow from it. Variants, metrics, splits and examples are
// their places in the task's arrays; -1 is none.

const SHOWN_VARIANTS = 6; // beside each other, until more are asked for

let task = null; // the task that is listed
let state = null; // what is chosen, all of which a link can hold

// What is chosen of a task as long as nobody has chosen anything.
const defaults = (item) => {
  const variants = item.variants.map((_, place) => place);
  const sides = [item.variants.indexOf(item.baseline), item.variants.indexOf(item.candidate)].filter((v) => v >= 0);
  const first = [...new Set([...sides, ...variants])].slice(0, SHOWN_VARIANTS);
  return {
    task: index.tasks.indexOf(item),
    split: item.splits.length > 1 ? item.splits.indexOf("report") : -1, // figures are of that one
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
  forgetSearch();
};

const knownSort = (item, sort) => {
  const [by, name] = splitOnce(sort, ":");
  return ["data", "id", "delta", "change"].includes(by) ||
    (["value", "length"].includes(by) && item.variants.includes(name));
};

const valueOf = (i, variant, metric = state.metric) =>
  metric < 0 || variant < 0 ? NaN : task.values[(metric * task.variants.length + variant) * task.n + i];
const deltaOf = (i) => (state.baseline === state.candidate
  ? NaN : valueOf(i, state.candidate) - valueOf(i, state.baseline));
const sideOf = (delta) => {
  if (!delta || Number.isNaN(delta)) return "";
  return delta > 0 === task.metrics[state.metric].higher ? "better" : "worse";
};
const scaleOf = () => task.metrics[state.metric]?.scale;
