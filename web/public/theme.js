// Loaded before the first paint: a chosen theme wins over the system's.
(function () {
  try {
    var chosen = localStorage.getItem('hawker-theme');
    if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
  } catch (_) {}
})();
