// Sets the chosen theme before the first paint. The theme menu of the dashboard writes the same key.
try {
  const theme = localStorage.getItem("decnet-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // A browser that keeps nothing shows the theme of the machine.
}
