"use strict";
// Enhancements only: without this script everything is still there to read.
(() => {
  const root = document.documentElement;
  const button = document.querySelector("button.theme");
  const names = { "": "Theme: auto", light: "Theme: light", dark: "Theme: dark" };
  const order = ["", "light", "dark"];
  const stored = (() => {
    try { return localStorage.getItem("harness-theme") || ""; } catch { return ""; }
  })();
  const show = (theme) => {
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    button.textContent = names[theme];
  };
  let theme = order.includes(stored) ? stored : "";
  show(theme);
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    show(theme);
    try { localStorage.setItem("harness-theme", theme); } catch { /* a file may have no storage */ }
  });

  // Sort a table's rows by a column; rows that belong to groups are left as they are.
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = (cell.dataset.sort ?? cell.textContent).trim();
    const value = Number(text.replace(/\u2212/g, "-").replace(/,/g, "").match(/^[+-]?\d*\.?\d+(e[+-]?\d+)?/i)?.[0]);
    return text && !Number.isNaN(value) ? value : text.toLowerCase();
  };
  const compare = (a, b) => {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 3) continue;
    for (const head of table.tHead.rows[0].cells) {
      const sorter = document.createElement("button");
      sorter.type = "button";
      sorter.className = "sort";
      sorter.append(...head.childNodes);
      head.append(sorter);
      sorter.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [key(row, head.cellIndex), row]);
        rows.sort((a, b) => (down ? compare(b[0], a[0]) : compare(a[0], b[0])));
        body.append(...rows.map((pair) => pair[1]));
      });
    }
  }

  // What is folded on screen is open on paper.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const item of opened) item.open = true;
  });
  addEventListener("afterprint", () => { for (const item of opened) item.open = false; });
})();
