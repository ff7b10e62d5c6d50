// The time that is shown: chosen in the top bar, by dragging over a drawing, or by a click on it; and carried along.

import type { Locator, Page } from "@playwright/test";
import { redis } from "../attack";
import { expect, hydrated, open, test } from "../test";

const range = (page: Page) => page.locator(".top .range");
const row = (page: Page) => page.locator("#main tbody tr").first();

test.beforeAll(async ({ host }) => {
  await redis(await host.service("redis"), "AUTH", "range", "range");
});

async function choose(page: Page, words: string): Promise<void> {
  await range(page).locator("summary").click();
  await range(page).getByRole("link", { name: words, exact: true }).click();
}

/** Drag over a part of a drawing, told in shares of its width. */
async function drag(page: Page, over: Locator, from: number, to: number): Promise<void> {
  const box = (await over.boundingBox())!;
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width * from, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * ((from + to) / 2), y);
  await page.mouse.move(box.x + box.width * to, y);
  await page.mouse.up();
}

/** Minutes that the URL names. */
function minutes(page: Page): number {
  const query = new URL(page.url()).searchParams;
  return (Date.parse(query.get("end_time")!) - Date.parse(query.get("start_time")!)) / 60_000;
}

test("a time that is chosen stands in the URL, filters every list, and goes along from page to page", async ({ page, complaints }) => {
  await open(page, "/live");
  await expect(range(page).locator("summary")).toHaveText("Any time");
  await choose(page, "Last 15 min");
  await expect(page).toHaveURL(/\/live\?last=15m$/);
  await expect(range(page).locator("summary")).toHaveText("Last 15 min");
  await expect(row(page)).toBeVisible();
  for (const place of ["Attackers", "Credentials"]) {
    await page.getByRole("navigation", { name: "Pages" }).first().getByRole("link", { name: place }).click();
    await expect(page).toHaveURL(new RegExp(`/${place.toLowerCase()}\\?last=15m$`));
    await expect(row(page)).toBeVisible();
  }
  // A page without a time keeps it for the next one.
  await page.getByRole("navigation", { name: "Pages" }).first().getByRole("link", { name: "Fleet" }).click();
  await expect(page).toHaveURL(/\/fleet$/);
  await expect(range(page)).toHaveCount(0);
  await page.keyboard.press("g");
  await page.keyboard.press("o");
  await expect(page).toHaveURL(/\/\?last=15m$/);
  await expect(page.locator(".overview .wide h2")).toHaveText("Last 15 min");
  await page.reload();
  await hydrated(page);
  await expect(range(page).locator("summary")).toHaveText("Last 15 min");
  await choose(page, "Any time");
  await expect(page).toHaveURL(/\/$/);
  await expect(page.locator(".overview .wide h2")).toHaveText("Last hour");
  complaints.none();
});

test("a time of one's own leaves what was then", async ({ page, complaints }) => {
  await open(page, "/attackers");
  await expect(row(page)).toBeVisible();
  const own = async (from: string, until: string) => {
    await range(page).locator("summary").click();
    await range(page).getByLabel("From").fill(from);
    await range(page).getByLabel("Until").fill(until);
    await range(page).getByRole("button", { name: "Show" }).click();
  };
  await own("2020-01-01T10:00", "2020-01-01T12:00");
  await expect(page).toHaveURL(/start_time=2020-01-01T10:00:00Z&end_time=2020-01-01T12:00:00Z/);
  await expect(page.getByText("Nobody fits these filters")).toBeVisible();
  await expect(range(page).locator("summary")).toHaveText("1 Jan 10:00 to 12:00");
  await expect(page.locator(".chip")).toHaveText("time1 Jan 10:00 to 12:00");
  await page.locator(".chip").getByRole("link").click();
  await expect(page).toHaveURL(/\/attackers$/);
  await expect(page.locator(".chip")).toHaveCount(0);
  await page.goBack();
  await expect(page.getByText("Nobody fits these filters")).toBeVisible();
  await own("2020-01-01T10:00", "");
  await expect(range(page).locator("summary")).toHaveText("Since 1 Jan 10:00");
  await expect(row(page)).toBeVisible();
  complaints.none();
});

test("a time that ends now goes on, and what has fallen out of it is shown no more", async ({ page, host, complaints }) => {
  await redis(await host.service("redis"), "PING");
  await page.clock.install();
  await open(page, "/live?last=15m&service=redis");
  await expect(row(page)).toBeVisible();
  let asked = 0;
  page.on("request", (request) => (asked += Number(/\/ui\/log_(page|histogram)$/.test(request.url()))));
  const start = async () => {
    const file = await page.locator('a[href^="/api/v1/logs/export"]').first().getAttribute("href");
    return Date.parse(new URL(file!, page.url()).searchParams.get("start_time")!);
  };
  const before = await start();
  const element = await row(page).elementHandle();
  await page.clock.fastForward("02:00");
  // The file is of the last 15 minutes by now; what is drawn stays.
  await expect.poll(start).toBeGreaterThanOrEqual(before + 115_000);
  expect(await element!.evaluate((row) => row.isConnected)).toBe(true);
  await page.clock.fastForward("20:00");
  await expect(page.getByText("Nothing fits these filters")).toBeVisible();
  expect(asked, "lists that were asked for again").toBe(0);
  complaints.none();
});

test("dragging over the histogram or the strip of the day shows that time", async ({ page, complaints }) => {
  await open(page, "/live?service=redis");
  await expect(row(page)).toBeVisible();
  await drag(page, page.locator(".histogram svg").first(), 0.5, 0.999);
  await expect(page).toHaveURL(/service=redis&start_time=.*&end_time=/);
  expect(minutes(page)).toBeGreaterThan(11 * 60);
  expect(minutes(page)).toBeLessThan(13.5 * 60);
  await expect(row(page)).toBeVisible();
  // Half a day is counted in narrower columns than a whole one.
  await expect(page.locator(".histogram .step")).toContainText("per 10 min");
  await drag(page, page.locator(".histogram svg").first(), 0.1, 0.3);
  await expect(page.getByText("Nothing fits these filters")).toBeVisible();

  // The strip is on every page; where a page shows a time, it is that page's.
  await open(page, "/credentials");
  await drag(page, page.locator("svg.heat"), 0.75, 0.9999);
  await expect(page).toHaveURL(/\/credentials\?start_time=/);
  expect(minutes(page)).toBeGreaterThan(5.5 * 60);
  expect(minutes(page)).toBeLessThan(6.5 * 60);
  // What was found in the strip's last point, of two minutes, is after its end: either says that the time is this page's.
  await expect(row(page).or(page.getByText("fits these filters"))).toBeVisible();
  await open(page, "/fleet");
  // A link of a drawing is the app's own, too: no new page is loaded.
  await page.evaluate(() => document.body.setAttribute("data-same", ""));
  await page.locator("svg.heat a").last().click({ force: true });
  await expect(page).toHaveURL(/\/live\?start_time=/);
  await expect(page.locator("body[data-same]")).toHaveCount(1);
  expect(minutes(page)).toBe(10);
  await expect(row(page)).toBeVisible();
  complaints.none();
});

test("the strip of the day is as long on every page, with a choice of time and without", async ({ page, complaints }) => {
  for (const width of [390, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    const lengths = new Set<number>();
    for (const path of ["/live", "/live?last=15m", "/fleet", "/workers"]) {
      await open(page, path);
      lengths.add(Math.round((await page.locator("svg.heat").boundingBox())!.width));
    }
    expect([...lengths], `at ${width} px`).toHaveLength(1);
  }
  complaints.none();
});

test("without scripts the time is a form", async ({ browser, host, session }) => {
  const context = await browser.newContext({ baseURL: host.url, storageState: session, javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto("/attackers?service=redis");
  await range(page).locator("summary").click();
  await range(page).getByLabel("From").fill("2020-01-01T10:00");
  await range(page).getByLabel("Until").fill("2020-01-01T12:00");
  await range(page).getByRole("button", { name: "Show" }).click();
  await expect(page).toHaveURL(/service=redis/);
  await expect(page.getByText("Nobody fits these filters")).toBeVisible();
  await context.close();
});

test("what is counted over all time says so, and leads to what it counts", async ({ page, complaints }) => {
  const panel = (title: string) => page.locator(".overview .panel").filter({ has: page.getByRole("heading", { name: title, exact: true }) });
  const pair = panel("Credentials").getByRole("link").first();
  const counters = page.getByRole("region", { name: "Counters" });
  const events = counters.getByRole("link", { name: /^Events/ });
  await expect(async () => {
    await open(page, "/?last=1h");
    await expect(pair).toBeVisible({ timeout: 2_000 });
  }).toPass();
  for (const title of ["Top attackers", "Credentials", "Commands"]) await expect(panel(title).locator("header")).toContainText("of all time");
  await expect(panel("Deckies")).not.toContainText("of all time");
  await expect(panel("Who touches what").locator("header")).toContainText("of samples of this time");
  await expect(events).toContainText("all that is stored");
  await pair.click();
  await expect(page).toHaveURL(/\/credentials\?bounty_type=credential&search=[^&]+$/);
  await expect(row(page)).toBeVisible();
  await open(page, "/");
  for (const title of ["Top attackers", "Credentials"]) await expect(panel(title)).not.toContainText("of all time");
  await expect(panel("Who touches what").locator("header")).toContainText("newest 500 events");
  // The last hour is one number, wherever it stands.
  await expect(async () => {
    const hour = await page.locator(".overview .wide .panel-note").innerText();
    expect(await events.innerText()).toContain(`${hour.split(" event")[0]} in the last hour`);
  }).toPass();
  await counters.getByRole("link", { name: /^Loot/ }).click();
  await expect(page).toHaveURL(/\/credentials$/);
  complaints.none();
});

test.describe("where clocks are changed", () => {
  test.use({ timezoneId: "Europe/Berlin" });

  test("a time is told, and taken, by the clocks of its own day", async ({ page, complaints }) => {
    // Summer on the one side, winter on the other, whatever it is today.
    await open(page, "/live?start_time=2026-07-01T10:00:00Z&end_time=2026-12-01T10:00:00Z");
    await expect(range(page).locator("summary")).toHaveText("1 Jul 12:00 to 1 Dec 11:00");
    await range(page).locator("summary").click();
    const [from, until] = [range(page).getByLabel("From"), range(page).getByLabel("Until")];
    await expect(from).toHaveValue("2026-07-01T12:00");
    await expect(until).toHaveValue("2026-12-01T11:00");
    // The night of 25 October 2026 has an hour more.
    await from.fill("2026-10-24T12:00");
    await until.fill("2026-10-26T12:00");
    await range(page).getByRole("button", { name: "Show" }).click();
    await expect(page).toHaveURL(/start_time=2026-10-24T10(:|%3A)00(:|%3A)00Z/);
    await expect(page).toHaveURL(/end_time=2026-10-26T11(:|%3A)00(:|%3A)00Z/);
    complaints.none();
  });
});
