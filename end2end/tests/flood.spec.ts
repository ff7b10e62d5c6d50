// More comes than a page keeps, or comes while nobody tells: what stands there is what the server has, all of it.

import type { Page } from "@playwright/test";
import { curl, redis } from "../attack";
import type { Host } from "../host";
import { expect, goTo, live, marker, onOwnHost, open, STREAM } from "../test";

const test = onOwnHost();

/** A source address that no other test attacks from. */
const stranger = () => `127.10.${Math.floor(Math.random() * 256)}.${1 + Math.floor(Math.random() * 254)}`;

const get = async (page: Page, path: string) => (await page.request.get(`/api/v1/${path}`)).json();

/** Log rows that the server has. */
const stored = async (page: Page): Promise<number> => (await get(page, "stats")).total_logs;

/** Log rows that the table has, as far as they were asked for. */
const rows = async (page: Page) => Number(await page.locator("table.logs").getAttribute("aria-rowcount")) - 1;

/** Much happens at once: a day of invented evidence. */
async function flood(page: Page, host: Host, events: number): Promise<void> {
  const before = await stored(page);
  await host.decnet(["demo", "seed", "--yes", "--no-fleet", "--events", String(events)]);
  await expect.poll(() => stored(page), { timeout: 60_000 }).toBeGreaterThanOrEqual(before + events);
}

/** The table has every row, once what is older was asked for. */
async function whole(page: Page): Promise<void> {
  const missing = async () => {
    // One that is disabled or gone just now is asked again.
    await page.getByRole("button", { name: "Older" }).evaluateAll((buttons) => buttons.forEach((b) => (b as HTMLButtonElement).click()));
    return (await stored(page)) - (await rows(page));
  };
  await expect.poll(missing, { timeout: 150_000, intervals: [200] }).toBe(0);
}

/** The number in what a drawing says of itself. */
const number = async (page: Page, drawing: string) => {
  const label = await page.locator(drawing).getAttribute("aria-label");
  return Number(/([\d,]+) (touch|event)/.exec(label ?? "")?.[1].replaceAll(",", ""));
};
const STRIP = "svg.heat";
const COLUMNS = "section.columns .histogram svg[role=group]";

/** What is drawn is what is drawn in a page that is just loaded; a minute may end between one look and the other. */
async function asLoaded(page: Page, drawings: string[]): Promise<void> {
  const fresh = await page.context().newPage();
  await open(fresh, new URL(page.url()).pathname + new URL(page.url()).search);
  for (const drawing of drawings) {
    const apart = async () => Math.abs((await number(page, drawing)) - (await number(fresh, drawing)));
    await expect.poll(apart, { message: drawing, timeout: 30_000 }).toBeLessThanOrEqual(8);
  }
  await fresh.close();
}

/** Hold the stream back until it is let go. */
async function held(page: Page): Promise<() => void> {
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  await page.route(STREAM, async (route) => {
    await gate;
    await route.continue();
  });
  return letGo;
}

/** Somebody new comes, and the server knows of it. */
async function somebody(page: Page, host: Host): Promise<string> {
  const from = stranger();
  const at = await host.service("http");
  await curl(`http://${at.host}:${at.port}/${marker()}`, from);
  await expect.poll(async () => (await get(page, `attackers?search=${from}`)).data.length).toBe(1);
  return from;
}

test("the top lists of the overview follow what happens, and their rows stay where they are", async ({ page, host, complaints }) => {
  const at = await host.service("redis");
  const decky = (await host.deckies()).find(({ services }) => services.some(({ slug }) => slug === "redis"))!.name;
  await open(page, "/");
  await live(page);
  // The first touch of all: until then there are no lists.
  await redis(at, "PING");
  const list = (title: string) =>
    page.locator("section.panel").filter({ has: page.getByRole("heading", { name: title, exact: true }) }).locator("li");
  const ping = list("Commands").filter({ hasText: "PING" });
  await expect(ping).toBeVisible({ timeout: 30_000 });
  await expect(list("Services").filter({ hasText: "redis" })).toBeVisible();
  await expect(list("Deckies").filter({ hasText: decky })).toBeVisible();

  const count = async () => Number(await ping.locator(".top-count").innerText());
  const before = await count();
  const element = await ping.elementHandle();
  const word = marker();
  await redis(at, "AUTH", word);
  await redis(at, "PING");
  await redis(at, "PING");
  await expect.poll(count, { timeout: 30_000 }).toBe(before + 2);
  await expect(list("Credentials").filter({ hasText: word })).toBeVisible({ timeout: 30_000 });
  expect(await element!.evaluate((row) => row.isConnected)).toBe(true);
  complaints.none();
});

test("more rows come than a browser keeps, and the log has every one of them", async ({ page, host, complaints }) => {
  test.slow();
  await open(page, "/live");
  await live(page);
  await flood(page, host, 1_500);
  await whole(page);
  // So many that the list begins anew.
  await flood(page, host, 2_500);
  await whole(page);
  complaints.none();
});

test("held still, the table keeps what it shows whatever comes, and goes on with all of it", async ({ page, host, complaints }) => {
  test.slow();
  await open(page, "/live");
  await live(page);
  const word = marker();
  await redis(await host.service("redis"), "SET", word, "1");
  const row = page.locator("table.logs tr").filter({ hasText: word });
  await expect(row).toBeVisible();
  await page.getByRole("button", { name: "Pause" }).click();
  const resume = page.getByRole("button", { name: /Resume/ });
  const before = await rows(page);
  let all = 0;
  for (const events of [1_100, 1_100]) {
    await flood(page, host, events);
    all += events;
    await expect.poll(async () => Number(await resume.locator(".count").innerText())).toBeGreaterThanOrEqual(all);
    expect(await rows(page)).toBe(before);
    await expect(row).toBeVisible();
  }
  await resume.click();
  await whole(page);
  complaints.none();
});

test("what is counted is what the server counts, also of a filter, and once however a page was come to", async ({ page, host, complaints }) => {
  test.slow();
  await open(page, "/attackers");
  await live(page);
  await flood(page, host, 400);
  await goTo(page, "/live?service=ssh");
  await expect(page.locator(COLUMNS)).toBeVisible();
  await asLoaded(page, [STRIP, COLUMNS]);
  await flood(page, host, 1_500);
  await asLoaded(page, [STRIP, COLUMNS]);
  complaints.none();
});

test("an attacker's page keeps what they did when others are loud", async ({ page, host, complaints }) => {
  test.slow();
  const at = await host.service("http");
  const from = await somebody(page, host);
  const { id } = (await get(page, `attackers?search=${from}`)).data[0];
  await open(page, `/attackers/${id}`);
  await live(page);
  const word = marker();
  await curl(`http://${at.host}:${at.port}/${word}`, from);
  const row = page.locator("table.logs tr").filter({ hasText: word }).first();
  await expect(row).toBeVisible();
  await flood(page, host, 1_500);
  await asLoaded(page, [STRIP]);
  await expect(row).toBeVisible();
  complaints.none();
});

test("what comes between a page and its stream is there, little or much", async ({ page, host, complaints }) => {
  test.slow();
  let letGo = await held(page);
  await open(page, "/attackers");
  const from = await somebody(page, host);
  letGo();
  await live(page);
  await expect(page.getByRole("row").filter({ hasText: from })).toBeVisible();
  await asLoaded(page, [STRIP]);

  letGo = await held(page);
  await open(page, "/live");
  await flood(page, host, 300);
  letGo();
  await live(page);
  await whole(page);
  await asLoaded(page, [STRIP, COLUMNS]);
  complaints.none();
});

test("who comes while the server is asked stands in the list, too", async ({ page, host }) => {
  await page.route(STREAM, (route) => route.abort());
  await open(page, "/attackers");
  await expect(page.locator(".live-dot")).toHaveText("every 4 s", { timeout: 30_000 });
  const from = await somebody(page, host);
  await expect(page.getByRole("row").filter({ hasText: from })).toBeVisible();
});

test("a row that comes stands where the server would find it, whatever the search says", async ({ page, host, complaints }) => {
  const at = await host.service("redis");
  const decky = (await host.deckies()).find(({ services }) => services.some(({ slug }) => slug === "redis"))!.name;
  const word = marker();
  const search = `"${word} two words" ip:127.0.0.1 type:command decky:${decky} service:redis`;
  await open(page, `/live?search=${encodeURIComponent(search)}`);
  await live(page);
  await redis(at, "ECHO", `${word} words two`);
  await redis(at, "ECHO", `${word} two words`);
  const row = page.locator("table.logs tbody tr").filter({ hasText: word });
  await expect(row).toHaveCount(1);
  await page.reload();
  await live(page);
  await expect(row).toHaveCount(1);
  complaints.none();
});

test("rows that are told late say so beside the live dot, on a phone, too", async ({ page, host }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/live");
  await live(page);
  const workers: { name: string; pid?: number }[] = await get(page, "workers");
  // The dot tells of the rows that came last: what it says is seen, however soon others follow.
  await page.evaluate(() => {
    const dot = document.querySelector<HTMLElement>(".live-dot")!;
    const said: string[] = [];
    Object.assign(window, { said });
    new MutationObserver(() => said.push(`${dot.textContent}, seen as ${dot.innerText}`.replace(/\s+/g, " ").trim())).observe(dot, { childList: true, characterData: true, subtree: true });
  });
  const { pid } = workers.find(({ name }) => name === "ingester")!;
  process.kill(pid!, "SIGSTOP");
  try {
    const since = Date.now();
    await redis(await host.service("redis"), "PING");
    // How late something is told is a time, which has to pass.
    await expect.poll(() => Date.now() - since).toBeGreaterThan(3_500);
  } finally {
    process.kill(pid!, "SIGCONT");
  }
  const said = () => page.evaluate(() => (window as unknown as { said: string[] }).said.join("\n"));
  await expect.poll(said).toMatch(/^live, ([2-9]|\d\d) s behind, seen as ([2-9]|\d\d) s$/m);
});
