// Fetches the WASM and lets it take over the page. Without it the page stays what it is: plain HTML that works.
const link = (selector) => document.querySelector(`link${selector}`)?.href;
const glue = link('[rel="modulepreload"][href$="/decnet.js"]');
await takeOver().catch(stay);

async function takeOver() {
  const { default: start, hydrate } = await import(glue);
  const module = new URL("decnet.wasm", glue);
  // Pages that fetch it at the same time can lose it to the browser's cache, where only one may write: once more, past the cache.
  await start({ module_or_path: module }).catch(() => start({ module_or_path: fetch(module, { cache: "no-store" }) }));
  // The server names the files that this page's own parts of the WASM are in.
  const files = [...document.querySelectorAll('link[rel="preload"][href*="/page_"]')];
  const names = files.map(({ href }) => /\/page_(\w+)\.wasm$/.exec(href)[1]);
  if (await hydrate([...new Set(names)])) {
    // For tests: links and forms are the app's own from here on.
    document.documentElement.dataset.hydrated = "";
    if ("requestIdleCallback" in window) requestIdleCallback(prefetch);
  }
}

// What does not move by itself has to say so.
function stay(error) {
  console.error(error);
  const told = Object.assign(document.createElement("p"), { className: "away" });
  told.setAttribute("role", "alert");
  told.textContent = "This page did not load whole: nothing on it moves by itself. Reload it to try again.";
  document.querySelector("main")?.prepend(told);
  const dot = document.querySelector(".live-dot");
  if (!dot) return;
  dot.className = "live-dot lost";
  dot.title = told.textContent;
  dot.querySelector("span").textContent = "not live";
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
