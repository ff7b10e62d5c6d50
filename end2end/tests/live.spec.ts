// A touch is seen as it happens, without a reload.

import type { Page } from "@playwright/test";

import { attacks, curl, redis, ssh } from "../attack";
import { address, PASSWORD } from "../host";
import { expect, live, marker, open, STREAM, test } from "../test";

/** A source address that no other test attacks from. */
const stranger = () => `127.9.${Math.floor(Math.random() * 256)}.${1 + Math.floor(Math.random() * 254)}`;

test("an attack stands in the overview at once, and the counters move", async ({ page, host, complaints }) => {
  await redis(await host.service("redis"), "PING");
  await open(page, "/");
  await live(page);
  const events = page.locator(".stat").filter({ hasText: "Events" }).locator(".stat-value");
  const number = async () => Number((await events.innerText()).replace(/\D/g, ""));
  const before = await number();

  const word = marker();
  await redis(await host.service("redis"), "SET", word, "1");
  await expect(page.locator("section.feed tr").filter({ hasText: word })).toBeVisible();
  await expect.poll(number).toBeGreaterThan(before);
  complaints.none();
});

test("every service's attack stands in the log as it comes", async ({ page, host, complaints }) => {
  const services = await host.services();
  expect([...services.keys()]).toEqual(expect.arrayContaining(["redis", "http", "ftp", "ssh"]));
  await open(page, "/live");
  await live(page);
  for (const [slug, at] of services) {
    const word = marker();
    await attacks[slug](at, word);
    const row = page.locator("table.logs tr").filter({ hasText: slug }).filter({ hasText: word });
    await expect(row.first(), `${word} on ${slug}`).toBeVisible();
  }
  complaints.none();
});

test("an attacker appears in the list with what they tried, and on their page with what they typed", async ({ page, host, complaints }) => {
  const from = stranger();
  await open(page, "/attackers");
  await live(page);
  const { host: ip, port } = await host.service("http");
  await curl(`http://${ip}:${port}/${marker()}`, from);
  const row = page.getByRole("row").filter({ hasText: from });
  await expect(row).toContainText("http");

  const word = marker();
  const { at, user, password } = host.account();
  expect(await ssh(at, user, password, `echo ${word}`, from)).toContain(word);
  await expect(row).toContainText("ssh");
  await row.getByRole("link").click();
  await page.getByRole("link", { name: "Everything about this attacker" }).click();
  await expect(page.getByRole("heading", { name: from })).toBeVisible();
  await expect(page.locator(".commands")).toContainText(`echo ${word}`);
  await expect(page.locator(".two .loot")).toContainText(password);

  // What they do next comes to this page by itself.
  const next = marker();
  await ssh(at, user, password, `uname ${next}`, from);
  await expect(page.locator("table.logs")).toContainText(next);
  await expect(page.locator(".commands")).toContainText(`uname ${next}`);
  complaints.none();
});

test("what changes stays where it is: a click that has begun on it, and the focus, outlive what comes in", async ({ page, host, complaints }) => {
  const from = stranger();
  await open(page, "/attackers");
  await live(page);
  const web = await host.service("http");
  await curl(`http://${web.host}:${web.port}/${marker()}`, from);
  const row = page.getByRole("row").filter({ hasText: from });
  await expect(row).toContainText("http");
  await row.getByRole("link").focus();
  const { at: shell, user, password } = host.account();
  await ssh(shell, user, password, `echo ${marker()}`, from);
  await expect(row).toContainText("ssh");
  // It glows again, as what came does.
  await expect(row).toHaveClass(/new/);
  await expect(row.getByRole("link")).toBeFocused();
  await row.locator("td.c-names").last().hover();
  await page.mouse.down();
  const files = await host.service("ftp");
  await curl(`ftp://${files.host}:${files.port}/`, from);
  await expect(row).toContainText("ftp");
  await page.mouse.up();
  await expect(page).toHaveURL(/attacker=/);
  await expect(page.locator(".drawer")).toContainText(from);

  await open(page, "/fleet");
  await live(page);
  const [decky] = (await host.deckies()).filter(({ services }) => services.some(({ slug }) => slug === "http"));
  const card = page.locator(".card").filter({ has: page.getByRole("link", { name: decky.name, exact: true }) });
  const order = card.getByRole("link", { name: `Take down ${decky.name}` });
  await order.focus();
  await order.hover();
  await page.mouse.down();
  const events = card.locator(".card-events b");
  const before = await events.innerText();
  const at = address(decky.services.find(({ slug }) => slug === "http")!.listen[0]);
  await curl(`http://${at.host}:${at.port}/${marker()}`, from);
  await expect(events).not.toHaveText(before);
  await expect(order).toBeFocused();
  await page.mouse.up();
  await expect(page).toHaveURL(new RegExp(`teardown=${decky.name}`));
  complaints.none();
});

test("pause holds the table and says how many rows wait", async ({ page, host }) => {
  const at = await host.service("redis");
  await redis(at, "PING");
  await open(page, "/live?service=redis");
  await live(page);
  await page.getByRole("button", { name: "Pause" }).click();
  const word = marker();
  await redis(at, "SET", word, "1");
  const resume = page.getByRole("button", { name: /Resume/ });
  // The connection, the command, the end of the connection: at the least.
  await expect(resume.locator(".count")).toHaveText(/^([3-9]|\d\d+)$/);
  const row = page.locator("table.logs tr").filter({ hasText: word });
  await expect(row).toHaveCount(0);
  await resume.click();
  await expect(row.first()).toBeVisible();
});

test("without the stream the page says so and asks instead", async ({ page, host }) => {
  await page.route(STREAM, (route) => route.abort());
  await open(page, "/live");
  const dot = page.locator(".live-dot");
  await expect(dot).toHaveText("reconnecting");
  await expect(dot).toHaveText("every 4 s", { timeout: 30_000 });
  const word = marker();
  await redis(await host.service("redis"), "SET", word, "1");
  await expect(page.locator("table.logs tr").filter({ hasText: word }).first()).toBeVisible();
});

test("that the server does not answer stands over the page, until it does", async ({ page }) => {
  const paths = [STREAM, "**/ui/snapshot"];
  for (const path of paths) await page.route(path, (route) => route.abort());
  await open(page, "/attackers");
  const away = page.getByRole("alert").filter({ hasText: "The server cannot be reached." });
  await expect(away).toContainText("It is as of", { timeout: 30_000 });
  await expect(page.locator(".live-dot")).toHaveText("server lost");
  for (const path of paths) await page.unroute(path);
  await expect(away).toHaveCount(0, { timeout: 30_000 });
  // The stream is opened as soon as there is an answer, and not with the tenth question.
  await expect(page.locator(".live-dot")).toHaveText(/^live/, { timeout: 8_000 });
});

test("a page whose program does not come says so, and stays readable", async ({ page }) => {
  await page.route(/\.wasm$/, (route) => route.abort());
  await page.goto("/live");
  await expect(page.getByRole("alert")).toContainText("did not load whole");
  await expect(page.locator(".live-dot")).toHaveText("not live");
  await expect(page.getByRole("heading", { name: "Live" })).toBeVisible();
});

test("a program that was lost on its way is fetched once more", async ({ page }) => {
  // Without the preload the first to ask for it is what starts it.
  await page.route("**/live", async (route) => {
    const response = await route.fetch();
    const whole = await response.text();
    const body = whole.replace(/<link\b[^>]*\bdecnet\.wasm[^>]*>/, "");
    expect(body.length, "there was a preload").toBeLessThan(whole.length);
    await route.fulfill({ response, body });
  });
  let asked = 0;
  await page.route(/\/decnet\.wasm$/, (route) => (asked++ === 0 ? route.abort() : route.continue()));
  await open(page, "/live");
  await live(page);
  expect(asked).toBe(2);
});

test("tabs of a browser share one stream, and when the tab that has it goes another takes it", async ({ browser, host, session }) => {
  // A development build takes its time, tab by tab.
  test.slow();
  // A session of its own, for it is ended; the account has its password by the one that all tests share.
  expect(session).toBeTruthy();
  const context = await browser.newContext({ baseURL: host.url, storageState: await host.signIn("admin", PASSWORD) });
  const streams = new Map<Page, number>();
  context.on("request", (request) => {
    if (STREAM.test(request.url())) {
      const tab = request.frame().page();
      streams.set(tab, (streams.get(tab) ?? 0) + 1);
    }
  });
  const tabs = await Promise.all(Array.from({ length: 3 }, () => context.newPage()));
  for (const tab of tabs) {
    await open(tab, "/live");
    await live(tab);
  }
  expect([...streams.values()], "one for all").toEqual([1]);

  const seen = async (tabs: Page[]) => {
    const word = marker();
    await redis(await host.service("redis"), "SET", word, "1");
    for (const tab of tabs) {
      await expect(tab.locator("table.logs tr").filter({ hasText: word })).toHaveCount(1);
    }
  };
  await seen(tabs);
  const [first] = streams.keys();
  const rest = tabs.filter((tab) => tab !== first);
  await first.close();
  await expect.poll(() => streams.size).toBe(2);
  await seen(rest);

  // Whoever signs out in one tab is signed out in all of them.
  expect((await context.request.post("/api/v1/auth/logout")).ok()).toBe(true);
  for (const tab of rest) {
    await tab.waitForURL(/\/login/);
  }
  await context.close();
});
