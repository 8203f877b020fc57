"use strict";
const table = document.getElementById("trials");
const body = table && table.tBodies[0];

function sortBy(header) {
  const place = header.cellIndex;
  const down = header.getAttribute("aria-sort") === "ascending";
  const key = (row) => row.cells[place].dataset.v ?? row.cells[place].textContent;
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    // What has no value stays at the end, whichever way the table is sorted.
    if (x === "" || y === "") return (x === "") - (y === "");
    const numbers = Number(x) - Number(y);
    const order = Number.isNaN(numbers) ? x.localeCompare(y) : numbers;
    return down ? -order : order;
  };
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...Array.from(body.rows).sort(compare));
}

if (table) {
  table.tHead.addEventListener("click", (event) => {
    if (event.target.closest("button")) sortBy(event.target.closest("th"));
  });
  document.getElementById("filter").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/);
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}
