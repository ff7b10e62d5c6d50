// Deleting all evidence: every page that is open begins anew, whoever has it open.

import { redis } from "../attack";
import { Complaints, expect, hydrated, live, marker, onOwnHost, open } from "../test";

const test = onOwnHost();

test("evidence that is deleted goes from every page that is open", async ({ page, browser, context, host, session }) => {
  const word = marker();
  const redisAt = await host.service("redis");
  await redis(redisAt, "SET", word, "1");
  // A browser of somebody else; its stream is its own.
  const elsewhere = await browser.newContext({ baseURL: host.url, storageState: session });
  const pages = [page, await context.newPage(), await elsewhere.newPage()];
  const complaints = pages.map((page) => new Complaints(page));
  const rows = (of: (typeof pages)[number]) => of.locator("table.logs tr").filter({ hasText: word });
  for (const one of pages) {
    await open(one, "/live");
    await expect(rows(one).first()).toBeVisible();
    await live(one);
    // Gone once the page was loaded again.
    await one.evaluate(() => document.documentElement.setAttribute("data-before", ""));
  }
  const keeper = await context.newPage();
  await open(keeper, "/settings/host");
  await keeper.getByLabel(/to confirm/).fill("delete all evidence");
  await keeper.getByRole("button", { name: "Delete all evidence" }).click();
  for (const one of pages) {
    await expect(one.locator("html[data-before]")).toHaveCount(0);
    await expect(rows(one)).toHaveCount(0);
  }
  // And they are as live as before.
  for (const one of pages) {
    await hydrated(one);
    await live(one);
  }
  const next = marker();
  await redis(redisAt, "SET", next, "1");
  for (const one of pages) await expect(one.locator("table.logs tr").filter({ hasText: next }).first()).toBeVisible();
  for (const heard of complaints) heard.none();
  await elsewhere.close();
});

test("while the ingester rests the overview says that it is not live, and no longer once it works", async ({ page, host, complaints }) => {
  await open(page, "/");
  await live(page);
  const away = page.getByRole("alert").filter({ hasText: "The ingester does not work" });
  await expect(away).toHaveCount(0);
  const order = async (what: string) => {
    const answer = await page.request.post(`/api/v1/workers/ingester/${what}`, { headers: { origin: host.url } });
    expect(answer.ok(), `${what}: ${answer.status()}`).toBe(true);
  };
  await order("stop");
  await expect(away).toContainText("The ingester does not work (stopped)", { timeout: 30_000 });
  // So it does for whoever comes now.
  await open(page, "/");
  await expect(away).toContainText("What happens meanwhile is recorded");
  await expect(away.getByRole("link", { name: "Workers" })).toHaveAttribute("href", "/workers");
  // And every other page, whose dot is not that of one to which everything comes.
  const dot = page.locator(".live-dot");
  for (const path of ["/live", "/attackers", "/fleet"]) {
    await open(page, path);
    await expect(away, path).toContainText("The ingester does not work (stopped).");
    await expect(dot, path).toHaveText("not stored");
  }
  await order("start");
  await expect(away).toHaveCount(0, { timeout: 30_000 });
  await live(page);
  complaints.none();
});
