// A list of thousands on its own page: none of it is missing, and none comes twice, wherever one scrolls.

import type { APIRequestContext, Page } from "@playwright/test";
import { onDay, show } from "../pages";
import { Complaints, expect, open } from "../test";

const EVENTS = 10_200;
const test = onDay(EVENTS);

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

/** Turn the wheel until so many rows were drawn. What the window shows is drawn at each turn; where it is at the end, the next turn finds more. */
async function wheel(page: Page, rows: number): Promise<void> {
  await page.mouse.move(POINTER.x, POINTER.y);
  const seen = () =>
    page.evaluate(({ x, y }) => {
      const row = document.elementFromPoint(x, y)?.closest("tr");
      return row && !row.classList.contains("gap") ? window.rows!.count() : 0;
    }, POINTER);
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
