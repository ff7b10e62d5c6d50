// Fetches the WASM and lets it take over the page. Without it the page stays what it is: plain HTML that works.
import start, { hydrate } from "/pkg/decnet.js";

await start({ module_or_path: "/pkg/decnet.wasm" });
hydrate();
// For tests: links and forms are the app's own from here on.
document.documentElement.dataset.hydrated = "";
