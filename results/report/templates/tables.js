// Tables sort by a click on a heading, or by Enter and Space on it.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const compare = (a, b, number) => number ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true });
  const sort = (column, upwards) => {
    const number = heads[column].dataset.sort === "number";
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    // Array.sort is stable; what has no value stays below in both directions.
    const rows = [...body.rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      return compare(x, y, number) * (upwards ? 1 : -1);
    });
    body.append(...rows);
    heads.forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", upwards ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  };
  heads.forEach((head, column) => {
    if (!head.dataset.sort) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sorter";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      sort(column, now ? now === "descending" : "lowFirst" in head.dataset);
    });
  });
}
