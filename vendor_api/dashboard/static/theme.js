// Light, dark, or as the system says: kept in this browser, and set before the page is painted.
(() => {
  const root = document.documentElement;
  const chosen = localStorage.getItem("vl2v-theme");
  if (chosen) root.dataset.theme = chosen;
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#theme")) return;
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const present = root.dataset.theme || (dark ? "dark" : "light");
    root.dataset.theme = present === "dark" ? "light" : "dark";
    localStorage.setItem("vl2v-theme", root.dataset.theme);
    document.dispatchEvent(new Event("vl2v:theme"));
  });
  document.addEventListener("DOMContentLoaded", () => {
    // On a phone the menu is one line that scrolls sideways.
    const here = document.querySelector(".menu [aria-current]");
    const menu = here && here.closest("ul");
    if (menu) menu.scrollLeft = here.offsetLeft - menu.clientWidth / 2 + here.clientWidth / 2;
  });
})();
