// Tables that sort by a click on a head, and a page that loads itself again while its run goes on.
"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.key === undefined) return cell.textContent.trim();
    return cell.dataset.key === "" ? null : Number(cell.dataset.key);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [key(row, column), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // what is missing stands last, either way
        return down ? compare(b, a) : compare(a, b);
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}

// what a reader has set survives the next load: the place, what is open, and what explore.js keeps
const memory = {
  name: "report " + location.pathname,
  read() {
    try {
      return JSON.parse(sessionStorage.getItem(this.name)) || {};
    } catch {
      return {};
    }
  },
  write(content) {
    try {
      sessionStorage.setItem(this.name, JSON.stringify({ ...this.read(), ...content }));
    } catch {
      // a browser that keeps nothing shows the top of the page again
    }
  },
};

const refresh = Number(document.querySelector('meta[name="refresh-seconds"]')?.content);
const before = memory.read();
const reloaded = performance.getEntriesByType("navigation")[0]?.type === "reload";
if (before.reloads && reloaded) {
  const details = document.querySelectorAll("details");
  (before.open || []).forEach((isOpen, i) => details[i] && (details[i].open = isOpen));
  history.scrollRestoration = "manual";
  addEventListener("load", () => scrollTo(0, before.scroll || 0));
} else {
  memory.write({ explore: null });
}
memory.write({ reloads: refresh > 0 });
if (refresh > 0) {
  addEventListener("pagehide", () => {
    memory.write({ scroll: scrollY, open: [...document.querySelectorAll("details")].map((item) => item.open) });
  });
  setTimeout(() => location.reload(), 1000 * refresh);
}
