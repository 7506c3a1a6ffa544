// Applies the stored theme before the first paint to avoid a flash. Without one, the system setting applies.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("brandpulse-theme"); } catch { /* storage may be blocked */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
