"use strict";
// Without this script the page is whole; it adds sorting, copying and folding at once.
(() => {
  const order = new Intl.Collator("en", { numeric: true });
  const text = (cell) => cell.textContent.trim();

  // Numbers by their value, words by their letters; empty cells stay below in both directions.
  const compare = (a, b, sign) => {
    const empty = Number(!text(a)) - Number(!text(b));
    if (empty) return empty;
    const numbers = "order" in a.dataset && "order" in b.dataset;
    const by = numbers ? a.dataset.order - b.dataset.order : order.compare(text(a), text(b));
    return sign * by;
  };

  const sort = (head) => {
    const table = head.closest("table");
    const rows = [...table.tBodies[0].rows];
    const falling = head.getAttribute("aria-sort") === "ascending";
    rows.sort((a, b) => compare(a.cells[head.cellIndex], b.cells[head.cellIndex], falling ? -1 : 1));
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    table.tBodies[0].append(...rows);
  };

  for (const head of document.querySelectorAll("thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }

  const copy = async (code, button) => {
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      document.execCommand("copy"); // what older browsers know; the text is selected
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  };

  for (const box of document.querySelectorAll(".command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-describedby", box.querySelector("p").id);
    button.addEventListener("click", () => copy(box.querySelector("code"), button));
    box.prepend(button);
  }

  // A link into a fold opens it, also where the address is that of the link already, so that the
  // browser goes nowhere; paper shows all of them.
  const reveal = (hash) => {
    const there = document.getElementById(hash.slice(1)); // none is called ""
    for (let at = there; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    return there;
  };
  const follow = () => reveal(location.hash)?.scrollIntoView();
  addEventListener("click", ({ target }) => reveal(target.closest?.('a[href^="#"]')?.hash ?? ""));
  addEventListener("hashchange", follow);
  follow();

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const box of folded) box.open = true;
  });
  addEventListener("afterprint", () => folded.forEach((box) => (box.open = false)));

  const narrow = matchMedia("(max-width: 72rem)");
  const contents = document.querySelector("nav details");
  const fit = () => (contents.open = !narrow.matches);
  narrow.addEventListener("change", fit);
  fit();
})();
