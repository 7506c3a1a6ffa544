// Runs before the first paint, so that a chosen theme does not flash. Without a choice the system decides.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("brandpulse-theme"); } catch { /* storage may be forbidden */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
