// Runs before the page is drawn, so that it appears in its colours at once.
// "auto" follows the system.
(() => {
  "use strict";
  const NAME = "trit.theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;

  function choice() {
    try {
      const value = localStorage.getItem(NAME);
      return value === "light" || value === "dark" ? value : "auto";
    } catch {
      return root.dataset.choice ?? "auto";
    }
  }

  function apply(value = choice()) {
    const theme = value === "auto" ? (dark.matches ? "dark" : "light") : value;
    root.dataset.choice = value;
    root.dataset.theme = theme;
    document.querySelector("meta[name=theme-color]")?.setAttribute("content", theme === "dark" ? "#171918" : "#ffffff");
  }

  dark.addEventListener("change", () => apply(root.dataset.choice));
  addEventListener("storage", (event) => {
    if (event.key === NAME) apply();
  });
  addEventListener("trit-theme", (event) => {
    try {
      localStorage.setItem(NAME, event.detail);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    apply(event.detail);
  });
  apply();
})();
