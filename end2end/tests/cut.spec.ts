// The connection is cut, and is there again: what happened meanwhile stands in the page that stayed open, without a reload.

import { request, type APIRequestContext, type Page } from "@playwright/test";
import { curl, redis, ssh } from "../attack";
import { Line } from "../line";
import { expect, live, marker, onOwnHost, open } from "../test";

interface ByLine {
  /** By which the browser comes to the host. */
  line: Line;
  /** What the host says to who is cut off from nothing. */
  api: APIRequestContext;
}

const test = onOwnHost().extend<ByLine>({
  line: async ({ host }, use) => {
    const line = await Line.to(host);
    await use(line);
    await line.close();
  },
  api: async ({ host, session }, use) => {
    const api = await request.newContext({ baseURL: host.url, storageState: session });
    await use(api);
    await api.dispose();
  },
  baseURL: async ({ line }, use) => use(line.url),
});

/** A source address that no other test attacks from, and that none begins with. */
const stranger = () => `127.11.${Math.floor(Math.random() * 256)}.${100 + Math.floor(Math.random() * 155)}`;

const get = async (api: APIRequestContext, path: string) => (await api.get(`/api/v1/${path}`)).json();

/** Let something happen while the line is cut. The page says that it is, and is the same one when it is live again. */
async function whileCut(page: Page, line: Line, happen: () => Promise<void>): Promise<void> {
  await page.evaluate(() => document.body.setAttribute("data-same", ""));
  line.cut();
  await expect(page.locator(".live-dot")).not.toHaveText(/^live/);
  await happen();
  line.mend();
  await expect(page.locator(".live-dot")).toHaveText(/^live/, { timeout: 30_000 });
  await expect(page.locator("body[data-same]")).toHaveCount(1);
}

/** The host has rows with that word. */
const told = (api: APIRequestContext, word: string) =>
  expect.poll(async () => (await get(api, `logs?search=${word}`)).data.length).toBeGreaterThan(0);

/** The rows that are drawn, from the newest on, are those that the host has, none missing and none twice. */
async function withoutAHole(page: Page, api: APIRequestContext): Promise<void> {
  const ids = () => page.locator("table.logs [data-row]").evaluateAll((rows) => rows.map((row) => Number(row.getAttribute("data-row"))));
  await expect(async () => {
    const drawn = await ids();
    const { data }: { data: { id: number }[] } = await get(api, `logs?limit=${drawn.length}`);
    expect(drawn).toEqual(data.map(({ id }) => id));
  }).toPass({ timeout: 30_000 });
}

test("on the live log what came meanwhile is there, without a hole", async ({ page, host, line, api }) => {
  const at = await host.service("redis");
  await redis(at, "PING");
  await open(page, "/live");
  await live(page);
  const word = marker();
  const row = page.locator("table.logs tbody tr").filter({ hasText: word });
  await whileCut(page, line, async () => {
    await redis(at, "SET", word, "1");
    await told(api, word);
    await expect(row).toHaveCount(0);
  });
  await expect(row).toHaveCount(1);
  await withoutAHole(page, api);
  // What comes from here on follows on that.
  const next = marker();
  await redis(at, "SET", next, "1");
  await expect(page.locator("table.logs tbody tr").filter({ hasText: next })).toHaveCount(1);
  await withoutAHole(page, api);
});

test("a cut that is long enough for much to come is said over the page, and leaves no hole in the log either", async ({ page, host, line, api }) => {
  test.slow();
  await open(page, "/live");
  await live(page);
  const away = page.getByRole("alert").filter({ hasText: "The server cannot be reached." });
  await whileCut(page, line, async () => {
    await expect(away).toBeVisible({ timeout: 60_000 });
    const { total_logs: before } = await get(api, "stats");
    await host.decnet(["demo", "seed", "--yes", "--no-fleet", "--events", "300"]);
    await expect.poll(async () => (await get(api, "stats")).total_logs, { timeout: 60_000 }).toBeGreaterThanOrEqual(before + 300);
  });
  await expect(away).toHaveCount(0);
  await withoutAHole(page, api);
  const missing = async () => {
    // One that is disabled or gone just now is asked again.
    await page.getByRole("button", { name: "Older" }).evaluateAll((buttons) => buttons.forEach((button) => (button as HTMLButtonElement).click()));
    return (await get(api, "stats")).total_logs - (Number(await page.locator("table.logs").getAttribute("aria-rowcount")) - 1);
  };
  await expect.poll(missing, { timeout: 60_000, intervals: [200] }).toBe(0);
});

test("a cut in which more comes than a greeting has leaves a list that was scrolled through as long as it was", async ({ page, host, line, api }) => {
  test.slow();
  const much = async (events: number) => {
    const { total_logs: before } = await get(api, "stats");
    await host.decnet(["demo", "seed", "--yes", "--no-fleet", "--events", String(events)]);
    await expect.poll(async () => (await get(api, "stats")).total_logs, { timeout: 60_000 }).toBeGreaterThanOrEqual(before + events);
  };
  await much(600);
  await open(page, "/live");
  await live(page);
  const table = page.locator("table.logs");
  const rows = async () => Number(await table.getAttribute("aria-rowcount"));
  const down = async () => {
    await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
    return rows();
  };
  await expect.poll(down).toBeGreaterThan(400);
  // Away from the end, where older rows are asked for.
  await page.evaluate(() => window.scrollBy(0, -1_000));
  const before = await rows();
  let asked = 0;
  page.on("request", (request) => (asked += Number(request.url().endsWith("/ui/log_page"))));
  await whileCut(page, line, () => much(300));
  await expect.poll(rows).toBeGreaterThanOrEqual(before + 300);
  expect(asked, "pages of the log that were fetched again").toBe(0);
});

test("in the list of attackers who came meanwhile is there, and what somebody did who was there", async ({ page, host, line, api }) => {
  const at = await host.service("http");
  const touch = (from: string) => curl(`http://${at.host}:${at.port}/${marker()}`, from);
  const events = async (from: string): Promise<number> => (await get(api, `attackers?search=${from}`)).data[0]?.event_count ?? 0;
  const [known, another] = [stranger(), stranger()];
  await touch(known);
  await expect.poll(() => events(known)).toBeGreaterThan(0);
  await open(page, "/attackers");
  await live(page);
  const row = (from: string) => page.getByRole("row").filter({ hasText: from });
  await expect(row(known)).toBeVisible();
  await whileCut(page, line, async () => {
    const before = await events(known);
    await touch(known);
    await touch(another);
    await expect.poll(() => events(known)).toBeGreaterThan(before);
    await expect.poll(() => events(another)).toBeGreaterThan(0);
    await expect(row(another)).toHaveCount(0);
  });
  await expect(row(another)).toBeVisible();
  const shown = async () => Number(await row(known).locator(".number").first().innerText());
  await expect.poll(async () => (await events(known)) - (await shown())).toBe(0);
});

test("on an attacker's page what they did meanwhile is there", async ({ page, host, line, api }) => {
  const from = stranger();
  const { at, user, password } = host.account();
  const word = marker();
  await ssh(at, user, password, `echo ${word}`, from);
  await told(api, word);
  const { id } = (await get(api, `attackers?search=${from}`)).data[0];
  await open(page, `/attackers/${id}`);
  await live(page);
  await expect(page.locator(".commands")).toContainText(`echo ${word}`);
  const next = marker();
  await whileCut(page, line, async () => {
    await ssh(at, user, password, `uname ${next}`, from);
    await told(api, next);
    await expect(page.locator("table.logs")).not.toContainText(next);
  });
  await expect(page.locator("table.logs")).toContainText(next);
  await expect(page.locator(".commands")).toContainText(`uname ${next}`);
});

test("the overview has what came meanwhile, and counts it", async ({ page, host, line, api }) => {
  const at = await host.service("redis");
  await redis(at, "PING");
  await open(page, "/");
  await live(page);
  const word = marker();
  const row = page.locator("section.feed tr").filter({ hasText: word });
  await whileCut(page, line, async () => {
    await redis(at, "SET", word, "1");
    await told(api, word);
    await expect(row).toHaveCount(0);
  });
  await expect(row).toBeVisible();
  const events = page.locator(".stat").filter({ hasText: "Events" }).locator(".stat-value");
  const counted = async () => Number((await events.innerText()).replace(/\D/g, ""));
  await expect.poll(async () => (await get(api, "stats")).total_logs - (await counted())).toBe(0);
});

test("the fleet stands as it is: what was stopped, taken down and deployed meanwhile", async ({ page, host, line }) => {
  test.slow();
  const deploy = (name: string) => host.decnet(["deploy", "--name", name, "--archetype", "linux-server"]);
  await deploy("held");
  await deploy("gone");
  await open(page, "/fleet");
  await live(page);
  const card = (name: string) => page.locator(".card").filter({ has: page.locator(".card-name", { hasText: name }) });
  const state = (name: string) => card(name).locator("header .badge").first();
  await expect(state("held")).toHaveText("running");
  await expect(card("gone")).toBeVisible();
  await whileCut(page, line, async () => {
    await host.decnet(["stop", "held"]);
    await host.decnet(["teardown", "gone"]);
    await deploy("added");
    await expect(state("held")).toHaveText("running");
  });
  await expect(state("held")).toHaveText("stopped");
  await expect(card("gone")).toHaveCount(0);
  await expect(state("added")).toHaveText("running");
  await host.decnet(["teardown", "held", "added"]);
});

test("a server that stands still is told as one that does not answer, and the page goes on once it does", async ({ page, api }) => {
  test.slow();
  const workers: { name: string; pid?: number }[] = await get(api, "workers");
  const pid = workers.find(({ name }) => name === "server")?.pid;
  expect(pid).toBeDefined();
  await open(page, "/live");
  await live(page);
  const dot = page.locator(".live-dot");
  const away = page.getByRole("alert").filter({ hasText: "The server cannot be reached." });
  process.kill(pid!, "SIGSTOP");
  try {
    await expect(away).toBeVisible({ timeout: 80_000 });
    await expect(dot).toHaveText("server lost");
  } finally {
    process.kill(pid!, "SIGCONT");
  }
  await expect(away).toHaveCount(0, { timeout: 30_000 });
  await expect(dot).toHaveText(/^live/, { timeout: 30_000 });
});
