// Ten thousand rows of evidence on their own page: none is missing, none comes twice, wherever one scrolls, and the page stays as light
// as it was.

import type { APIRequestContext, CDPSession, Page } from "@playwright/test";
import { onDay, show } from "../pages";
import { Complaints, expect, live, open } from "../test";

const ROWS = 10_000;
const test = onDay(ROWS + 200);

// A trace takes a picture of the page at every turn of the wheel, and holds on to what was there.
test.use({ trace: "off" });

declare global {
  interface Window {
    rows?: {
      /** How many different ones were drawn so far. */
      count(): number;
      /** The first, and whatever was drawn behind it, one behind the other. */
      chain(): string[];
      faults: string[];
      /** The most elements that the page had. */
      elements: number;
    };
  }
}

/** Watch, in a page, which rows of a table are drawn, and behind which. */
function watch(table: string): void {
  const body = document.querySelector(`table.${table} tbody`)!;
  const next = new Map<string, string | undefined>();
  const first = () => body.querySelector("[data-row]")!.getAttribute("data-row")!;
  const head = first();
  const rows = {
    faults: [] as string[],
    elements: 0,
    count: () => next.size,
    chain: () => {
      const chain: string[] = [];
      for (let row: string | undefined = head; row !== undefined && chain.length <= next.size; row = next.get(row)) chain.push(row);
      return chain;
    },
  };
  const look = () => {
    const drawn = [...body.querySelectorAll("[data-row]")].map((row) => row.getAttribute("data-row")!);
    if (new Set(drawn).size < drawn.length) rows.faults.push(`a row is drawn twice behind ${drawn[0]}`);
    drawn.forEach((row, i) => {
      const [known, after] = [next.get(row), drawn[i + 1] as string | undefined];
      if (known !== undefined && after !== undefined && known !== after) rows.faults.push(`behind ${row} came ${known}, and now ${after}`);
      next.set(row, known ?? after);
    });
    rows.elements = Math.max(rows.elements, document.getElementsByTagName("*").length);
  };
  new MutationObserver(look).observe(body, { childList: true });
  look();
  window.rows = rows;
}

/** The ids of a list in its order, as the API has it. */
async function ids(api: APIRequestContext, list: string, most: number): Promise<string[]> {
  const found: string[] = [];
  for (let next: string | null | undefined = ""; typeof next === "string" && found.length < most; ) {
    const answer = await api.get(`/api/v1/${list}?limit=500${next && `&before=${encodeURIComponent(next)}`}`);
    expect(answer.status()).toBe(200);
    const part: { data: { id: number }[]; next?: string | null } = await answer.json();
    found.push(...part.data.map(({ id }) => String(id)));
    next = part.next;
  }
  return found;
}

/** Where the pointer is: over the list, and not over what opens beside it. */
const POINTER = { x: 400, y: 600 };

/** The row under the pointer; nothing where the list is drawn as empty room. */
const pointed = (page: Page) =>
  page.evaluate(({ x, y }) => {
    const row = document.elementFromPoint(x, y)?.closest("tr")?.querySelector("[data-row]");
    return row?.getAttribute("data-row") ?? null;
  }, POINTER);

/** Turn the wheel until so many rows were drawn. What the window shows is drawn at each turn; where it is at the end, the next turn finds more. */
async function wheel(page: Page, rows: number): Promise<void> {
  await page.mouse.move(POINTER.x, POINTER.y);
  const seen = async () => ((await pointed(page)) === null ? 0 : page.evaluate(() => window.rows!.count()));
  for (let count = 0; count < rows; ) {
    const before = count;
    const turn = async () => {
      await page.mouse.wheel(0, 1_600);
      const grown = async () => (count = await seen());
      await expect.poll(grown, { timeout: 1_000, intervals: [20, 50] }).toBeGreaterThan(before);
    };
    await expect(turn).toPass({ timeout: 30_000, intervals: [0] });
  }
}

/** The first row that the chain of drawn ones and the list do not have in common. */
const parting = (chain: string[], list: string[]) => list.findIndex((id, i) => chain[i] !== id);

interface Weight {
  nodes: number;
  listeners: number;
  /** Bytes of the heap of JavaScript, and of the memory of the WebAssembly. */
  heap: number;
  memory: number;
}

/** What a page holds once everything that nobody holds is gone. */
async function weigh(browser: CDPSession): Promise<Weight> {
  await browser.send("HeapProfiler.collectGarbage");
  const { nodes, jsEventListeners } = await browser.send("Memory.getDOMCounters");
  const { usedSize } = await browser.send("Runtime.getHeapUsage");
  const { result } = await browser.send("Runtime.evaluate", { expression: "WebAssembly.Memory.prototype" });
  const { objects } = await browser.send("Runtime.queryObjects", { prototypeObjectId: result.objectId! });
  const sum = await browser.send("Runtime.callFunctionOn", {
    objectId: objects.objectId!,
    functionDeclaration: "function () { return this.reduce((sum, memory) => sum + memory.buffer.byteLength, 0); }",
    returnByValue: true,
  });
  await browser.send("Runtime.releaseObject", { objectId: objects.objectId! });
  return { nodes, listeners: jsEventListeners, heap: usedSize, memory: sum.result.value };
}

test("ten thousand rows of the log are scrolled through, with one of them open, and the page stays as light as it was", async ({ page, day }) => {
  test.setTimeout(420_000);
  expect(day.command).toBeDefined();
  const complaints = new Complaints(page);
  const list = await ids(page.request, "logs", Infinity);
  expect(list.length).toBeGreaterThan(ROWS);
  await show(page, 1440, "dark");
  await open(page, "/live");
  await live(page);
  const browser = await page.context().newCDPSession(page);
  await browser.send("HeapProfiler.enable");
  const table = page.locator("table.logs");
  await page.evaluate(watch, "logs");
  const elements = await page.evaluate(() => window.rows!.elements);

  // By the keyboard to begin with.
  const byPage = async () => {
    await page.keyboard.press("PageDown");
    expect(await page.evaluate(() => window.rows!.count())).toBeGreaterThan(400);
  };
  await expect(byPage).toPass({ timeout: 60_000, intervals: [100] });
  await wheel(page, 1_000);
  const light = await weigh(browser);

  // One that is opened far down stays open, in the page and in its address.
  await wheel(page, ROWS / 2);
  const opened = (await pointed(page))!;
  await page.mouse.click(POINTER.x, POINTER.y);
  const drawer = page.locator(`.drawer[data-of="${opened}"]`);
  const isOpen = async () => {
    await expect(page).toHaveURL(`/live?log=${opened}`);
    await expect(drawer).toBeVisible();
  };
  await isOpen();
  await wheel(page, ROWS);
  await isOpen();
  expect(Number(await table.getAttribute("aria-rowcount"))).toBeGreaterThan(ROWS);
  const chain = await page.evaluate(() => window.rows!.chain());
  expect(chain.length).toBeGreaterThanOrEqual(ROWS);
  expect(parting(chain, list.slice(0, chain.length))).toBe(-1);

  // The whole list is in the page's memory now, and no more of it among its elements than before.
  const full = await weigh(browser);
  const most = await page.evaluate(() => window.rows!.elements);
  expect(most, `elements, of ${elements} at first`).toBeLessThan(2 * elements);
  expect(full.nodes, `nodes, of ${light.nodes} at row 1,000`).toBeLessThan(1.5 * light.nodes);
  expect(full.listeners, `listeners, of ${light.listeners} at row 1,000`).toBeLessThan(1.5 * light.listeners);
  const aRow = (full.memory + full.heap - light.memory - light.heap) / (ROWS - 1_000);
  expect(aRow, "bytes that each further row takes").toBeLessThan(16_000);

  // From end to end, again and again: what is drawn and goes takes nothing with it, once it has been drawn some times.
  const first = table.locator("[data-row]").first();
  const last = table.locator("[data-row]").last();
  /** A browser takes no key while it is still on its way from the last one: who sees that presses it again. */
  const go = (key: string, there: (timeout: number) => Promise<void>) =>
    expect(async () => {
      await page.keyboard.press(key);
      await there(2_000);
    }).toPass({ timeout: 60_000 });
  const home = () =>
    go("Home", async (timeout) => {
      await expect(first).toHaveAttribute("data-row", list[0], { timeout });
      await expect.poll(() => page.evaluate(() => window.scrollY), { timeout }).toBe(0);
    });
  const end = () => go("End", (timeout) => expect(last).toHaveAttribute("data-row", list.at(-1)!, { timeout }));
  await home();
  await isOpen();
  // What is left of the list comes at its end, a page at a time.
  await end();
  const again = async () => {
    for (let times = 0; times < 12; times++) {
      await home();
      await end();
    }
  };
  await again();
  const before = await weigh(browser);
  await again();
  const after = await weigh(browser);
  expect(after.nodes, `nodes, of ${before.nodes}`).toBeLessThan(1.1 * before.nodes);
  expect(after.listeners, `listeners, of ${before.listeners}`).toBeLessThan(1.1 * before.listeners);
  expect(after.heap, `bytes of the heap, of ${before.heap}`).toBeLessThan(before.heap + 4_000_000);
  // What grows by doubling takes its memory in steps of several million bytes.
  expect(after.memory, `bytes of memory, of ${before.memory}`).toBeLessThan(before.memory + 6_000_000);

  // Back at the start everything is as it was left. Back closes what was opened, and the browser scrolls to where that was: there the row is.
  await home();
  await isOpen();
  await page.goBack();
  await expect(drawer).toHaveCount(0);
  await expect(page).toHaveURL("/live");
  await expect(table.locator(`[data-row="${opened}"]`)).toBeInViewport();
  await home();
  expect(parting(await page.evaluate(() => window.rows!.chain()), list)).toBe(-1);
  expect(await page.evaluate(() => window.rows!.faults)).toEqual([]);
  complaints.none();
});

test("all finds are scrolled through, and none is missing or comes twice", async ({ page, day }) => {
  test.setTimeout(300_000);
  expect(day.bounty).toBeDefined();
  const complaints = new Complaints(page);
  const list = await ids(page.request, "bounty", Infinity);
  expect(list.length).toBeGreaterThan(500);
  await show(page, 1440, "dark");
  await open(page, "/credentials");
  await page.evaluate(watch, "bounties");
  await wheel(page, list.length);
  expect(await page.evaluate(() => window.rows!.chain())).toEqual(list);
  await page.keyboard.press("Home");
  await expect(page.locator("table.bounties [data-row]").first()).toHaveAttribute("data-row", list[0]);
  expect(await page.evaluate(() => window.rows!.faults)).toEqual([]);
  complaints.none();
});
