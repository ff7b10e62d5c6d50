// How long it takes until the first page is alive, for a slow machine on a slow network, and what it loads until then.

import { expect, type Browser } from "@playwright/test";
import { Host, type Session } from "../host";
import { test } from "../test";

/** Four times slower than this machine, 10 Mbit/s, 20 ms away. */
const SLOWER = 4;
const NETWORK = { offline: false, latency: 20, downloadThroughput: 10_000_000 / 8, uploadThroughput: 10_000_000 / 8 };
const BAR_MS = 2_000;
const ROUNDS = 5;

/** What a page tells of its coming, in milliseconds since it was asked for. */
interface Coming {
  paint: number;
  alive: number;
  live: number;
  shift: number;
}

interface Round extends Coming {
  /** Bytes that came over the network until the page was alive, by kind. */
  loaded: Map<string, number>;
  requests: number;
}

const kind = (url: string) => /\.(wasm|js|css|woff2|svg)$/.exec(new URL(url).pathname)?.[1] ?? "html and data";

async function round(browser: Browser, baseURL: string, storageState: Session): Promise<Round> {
  const context = await browser.newContext({ baseURL, storageState });
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  await devtools.send("Network.enable");
  await devtools.send("Network.emulateNetworkConditions", NETWORK);
  await devtools.send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
  const urls = new Map<string, string>();
  const bytes = new Map<string, number>();
  devtools.on("Network.requestWillBeSent", ({ requestId, request }) => urls.set(requestId, request.url));
  devtools.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => bytes.set(requestId, encodedDataLength));
  await page.addInitScript(() => {
    const coming = { alive: 0, live: 0, shift: 0 };
    Object.assign(window, { coming });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
        if (!entry.hadRecentInput) coming.shift += entry.value;
      }
    }).observe({ type: "layout-shift", buffered: true });
    new MutationObserver(() => {
      const now = performance.now();
      if (document.documentElement.hasAttribute("data-hydrated")) coming.alive ||= now;
      if (document.querySelector(".live-dot.open")) coming.live ||= now;
    }).observe(document, { attributes: true, subtree: true, childList: true });
  });
  await page.goto("/");
  await page.locator("html[data-hydrated]").waitFor({ state: "attached" });
  const loaded = new Map<string, number>();
  const done = [...bytes];
  for (const [id, size] of done) {
    const key = kind(urls.get(id)!);
    loaded.set(key, (loaded.get(key) ?? 0) + size);
  }
  await page.locator(".live-dot.open").waitFor();
  const coming: Coming = await page.evaluate(() => ({
    ...(window as unknown as { coming: Coming }).coming,
    paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
  }));
  await context.close();
  return { ...coming, loaded, requests: done.length };
}

const median = (numbers: number[]) => numbers.sort((a, b) => a - b)[numbers.length >> 1];

test("the first page of a slow machine on a slow network", async ({ browser }) => {
  const host = await Host.start();
  try {
    await host.decnet(["demo", "seed", "--yes", "--events", "20000"]);
    const session = await host.signIn();
    const rounds: Round[] = [];
    for (let i = 0; i < ROUNDS; i++) rounds.push(await round(browser, host.url, session));
    const of = (value: (round: Round) => number) => median(rounds.map(value));
    const alive = of((r) => r.alive);
    const paint = of((r) => r.paint);
    console.log(`  alive after       ${alive.toFixed(0)} ms, to the bar of ${BAR_MS} ms: ${(alive / BAR_MS).toFixed(2)}`);
    console.log(`  first paint after ${paint.toFixed(0)} ms; alive to first paint: ${(alive / paint).toFixed(2)}`);
    console.log(`  event stream open after ${of((r) => r.live).toFixed(0)} ms`);
    console.log(`  layout shift      ${of((r) => r.shift).toFixed(4)} (good: below 0.1)`);
    const [first] = rounds;
    const all = [...first.loaded.values()].reduce((a, b) => a + b, 0);
    const parts = [...first.loaded].map(([name, size]) => `${name} ${size}`).join(", ");
    console.log(`  loaded until then ${all} bytes in ${first.requests} transfers: ${parts}`);
    expect(first.loaded.get("wasm"), "a page that loads no WebAssembly measures nothing").toBeGreaterThan(0);
  } finally {
    await host.stop();
  }
});
