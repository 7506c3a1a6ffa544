// Runs before the first paint, so that a chosen theme does not flash. Without a choice the system decides.
(() => {
  const NAME = "brandpulse-theme";
  const root = document.documentElement;
  let chosen = null;
  try { chosen = localStorage.getItem(NAME); } catch { /* storage may be forbidden */ }
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const system = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const say = () => button.setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try { localStorage.setItem(NAME, root.dataset.theme); } catch { /* then it lasts as long as the page */ }
      say();
    });
    system.addEventListener("change", say);
    say();
  });
})();
