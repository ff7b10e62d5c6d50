// Sets what the reader has chosen before the first paint: the theme, and which columns of tables are away. The dashboard writes the same keys.
try {
  const theme = localStorage.getItem("decnet-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  const parsed = new MutationObserver(() => {
    for (const table of document.querySelectorAll('table[data-off=""]')) {
      // Its second class is its name.
      const away = localStorage.getItem(`decnet-columns-${table.classList[1]}`);
      if (away) table.dataset.off = away;
    }
  });
  parsed.observe(document, { childList: true, subtree: true });
  addEventListener("DOMContentLoaded", () => parsed.disconnect());
} catch {
  // A browser that keeps nothing shows the theme of the machine, and every column.
}
