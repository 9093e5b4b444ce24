// Addresses: what is chosen, as a link that can be sent along with the file.
// #example/<task>/<id>/<variant>?split=…&only=…: what is as it would be anyway is left out.

let notice = ""; // what is wrong with a link

const hashOf = (i = state.open, variant = -1) => {
  const path = ["#example", task.task];
  if (i >= 0) path.push(task.ids[i]);
  if (i >= 0 && variant >= 0) path.push(task.variants[variant]);
  const standard = defaults(task);
  const name = (v) => task.variants[v] ?? "";
  const values = new URLSearchParams();
  const put = (key, value, usual) => { if (value !== usual) values.set(key, value); };
  put("split", task.splits[state.split] ?? "all", task.splits[standard.split] ?? "all");
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

// After every choice of the reader. Until the first one the address stays as it is, and nothing of
// the section is printed.
const changed = () => {
  notice = "";
  section.classList.add("touched");
  try { history.replaceState(null, "", hashOf()); } catch { /* too often, or a page without address */ }
};

const decoded = (text) => { try { return decodeURIComponent(text); } catch { return text; } };

// What the address asks for, as far as it is known here; null: nothing.
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
    ...(values.get("split") === "all" ? { split: -1 } : {}),
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

// Shows what a link asks for.
const follow = async ({ place, changes, id }) => {
  enter(place, changes);
  state.open = task.place.get(id) ?? -1;
  if (state.open >= 0 && !("split" in changes) && task.split[state.open] !== state.split) state.split = -1;
  notice = id && state.open < 0 ? `There is no example ${id}. ` : "";
  section.classList.add("touched");
  const shown = refresh();
  reveal();
  await shown;
  section.classList.toggle("reading", state.open >= 0);
  if (state.open < 0) section.scrollIntoView({ behavior: "instant" });
  else {
    // The head with the id and the prompt, and the output as well; the head goes where both do not fit.
    parts.detail.scrollIntoView({ behavior: "instant" });
    parts.detail.querySelector(".pointed")?.scrollIntoView({ block: "nearest", behavior: "instant" });
    parts.detail.focus({ preventScroll: true });
  }
  if (state.query) search().then(() => { reveal(); showDetail(); }, fail);
};
