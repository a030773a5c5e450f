"use strict";
// Sortable tables, and folded parts unfolded for printing. The page is whole without it.
(() => {
  const number = /^-?[\d.]+$/;
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.sort ?? cell.textContent.trim();
    return number.test(text) ? Number(text) : text.toLowerCase();
  };
  const order = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.ariaSort === "ascending";
        for (const each of heads) each.removeAttribute("aria-sort");
        head.ariaSort = down ? "descending" : "ascending";
        const rows = [...body.rows].map((row, place) => ({ row, place, key: value(row, column) }));
        rows.sort((a, b) => (down ? -1 : 1) * order(a.key, b.key) || a.place - b.place);
        body.append(...rows.map((each) => each.row));
      });
    });
  }
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
    opened = [];
  });
})();
