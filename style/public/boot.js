// Fetches the WASM and lets it take over the page. Without it the page stays what it is: plain HTML that works.
const link = (selector) => document.querySelector(`link${selector}`)?.href;
const glue = link('[rel="modulepreload"][href$="/decnet.js"]');
const { default: start, hydrate } = await import(glue);
await start({ module_or_path: new URL("decnet.wasm", glue) });
// The server names the file that this page's own part of the WASM is in.
const [, piece] = /\/page_(\w+)\.wasm$/.exec(link('[rel="preload"][href*="/page_"]')) ?? [];
if (await hydrate(piece)) {
  // For tests: links and forms are the app's own from here on.
  document.documentElement.dataset.hydrated = "";
  if ("requestIdleCallback" in window) requestIdleCallback(prefetch);
}

// The parts of the other pages, so that they are there when the reader goes on.
function prefetch() {
  const { pieces } = document.querySelector('script[src="/boot.js"]').dataset;
  for (const file of pieces?.split(" ") ?? []) {
    const later = Object.assign(document.createElement("link"), { rel: "prefetch", as: "fetch", crossOrigin: "anonymous" });
    later.href = new URL(`${file}.wasm`, glue);
    document.head.append(later);
  }
}
