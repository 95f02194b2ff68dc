"use strict";
// Long tables show ten rows at a time. Without this script every row is simply there.
(() => {
  const size = 10;
  for (const table of document.querySelectorAll("table.paged")) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length <= size) continue;
    const last = Math.ceil(rows.length / size) - 1;
    const pager = document.createElement("div");
    pager.className = "pager";
    pager.setAttribute("role", "group");
    pager.setAttribute("aria-label", "Pages of: " + table.caption.textContent.trim());
    const button = (text, step) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.addEventListener("click", () => show(page + step));
      return made;
    };
    const back = button("Previous", -1), next = button("Next", 1);
    const status = document.createElement("span");
    status.setAttribute("role", "status");
    let page = 0;
    const show = (wanted) => {
      const top = pager.getBoundingClientRect().top;
      page = Math.min(Math.max(wanted, 0), last);
      table.dataset.page = page;
      rows.forEach((row, i) => { row.hidden = Math.floor(i / size) !== page; });
      status.textContent = `Rows ${page * size + 1}–${Math.min((page + 1) * size, rows.length)} of ${rows.length}`;
      // A disabled button loses the focus, so hand it to its neighbour first.
      if (page === last && document.activeElement === next) back.focus();
      if (page === 0 && document.activeElement === back) next.focus();
      back.disabled = page === 0;
      next.disabled = page === last;
      // Pages differ in height: keep the buttons under the reader's pointer.
      if (pager.isConnected) scrollBy({ top: pager.getBoundingClientRect().top - top, behavior: "instant" });
    };
    pager.addEventListener("keydown", (event) => {
      const wanted = { ArrowLeft: page - 1, ArrowRight: page + 1, Home: 0, End: last }[event.key];
      if (wanted === undefined) return;
      event.preventDefault();
      back.disabled = next.disabled = false;
      show(wanted);
    });
    pager.append(back, next, status);
    show(0);
    table.closest(".scroll").after(pager);
  }
})();
