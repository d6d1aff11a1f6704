// Two comforts for forms that work without them: a form is sent once, and a key is copied with one click.
(() => {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
  });
  // Back in the history the page may come as it was left: it can be sent again.
  addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; });
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copies]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copies);
    const said = document.getElementById(button.dataset.says);
    getSelection().selectAllChildren(source);
    said.textContent = "Selected: copy it with the keyboard.";
    await navigator.clipboard.writeText(source.textContent.trim());
    said.textContent = "Copied.";
  });
  document.querySelectorAll("[data-copies]").forEach((button) => { button.hidden = false; });
})();
