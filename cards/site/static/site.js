// Sorting and filtering of tables. Without this script every table is still there, in its first order.
"use strict";

for (const part of document.querySelectorAll(".needs-js")) part.hidden = false;

function valueOf(row, column) {
  const text = row.cells[column].dataset.value;
  return text === undefined ? row.cells[column].textContent : text;
}

function sortBy(table, column, kind, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => {
    const x = valueOf(a, column), y = valueOf(b, column);
    if (kind === "text") return sign * x.localeCompare(y, "en", { numeric: true });
    const p = Number.parseFloat(x), q = Number.parseFloat(y);
    if (Number.isNaN(p) || Number.isNaN(q)) return Number.isNaN(p) - Number.isNaN(q); // unknown values last
    return sign * (p - q);
  });
  table.tBodies[0].append(...rows);
}

function makeSortable(table) {
  for (const head of table.tHead.rows[0].cells) {
    if (!head.dataset.sort) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const first = head.dataset.first || "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const direction = before === first ? other : first;
      for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction);
      sortBy(table, head.cellIndex, head.dataset.sort, direction);
      showMarks(table);
    });
  }
}

// A mark compares a row with the one that was below it: it is hidden when another row stands there.
function showMarks(table) {
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  for (const row of table.tBodies[0].rows) {
    const mark = row.querySelector(".mark");
    if (!mark) continue;
    const next = rows[rows.indexOf(row) + 1];
    mark.hidden = !next || next.dataset.name !== row.dataset.below;
  }
}

function filter(form) {
  const tasks = new Set([...form.elements.namedItem("model").form.querySelectorAll("[name=task]:checked")].map((box) => box.value));
  const wanted = form.elements.namedItem("model").value.trim().toLowerCase();
  let shown = 0;
  for (const board of document.querySelectorAll(".board")) {
    board.hidden = !tasks.has(board.dataset.task);
    let here = 0;
    for (const row of board.querySelectorAll("tbody tr")) {
      row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
      here += !row.hidden;
    }
    if (!board.hidden) shown += here;
    showMarks(board.querySelector("table"));
  }
  form.querySelector("output").textContent = `${shown} row${shown === 1 ? "" : "s"}`;
}

for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
const tools = document.querySelector("form.tools[aria-label='Filter']");
if (tools) {
  tools.addEventListener("input", () => filter(tools));
  tools.addEventListener("submit", (event) => event.preventDefault());
  filter(tools);
}
