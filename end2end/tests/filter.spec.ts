// Filters stand in the URL, and rows open into a drawer.

import type { Page } from "@playwright/test";
import { attacks, redis } from "../attack";
import { expect, hydrated, marker, open, test } from "../test";

const rows = (page: Page) => page.locator("table.logs tbody tr");
const choice = (page: Page, name: string) => page.getByRole("combobox", { name });
const chip = (page: Page, text: string) => page.locator(".chip").filter({ hasText: text });

/** Evidence of one's own: `SET word n` three times, and one failed sign-in. */
const word = marker();
test.beforeAll(async ({ host }) => {
  const at = await host.service("redis");
  for (const n of ["1", "2", "3"]) await redis(at, "SET", word, n);
  await attacks.ftp(await host.service("ftp"), word);
});

test("filters stand in the URL, survive a reload, and go by their chips", async ({ page, host, complaints }) => {
  const redisDecky = (await host.deckies()).find((d) => d.services.some((s) => s.slug === "redis"))!.name;
  await open(page, "/live");

  await page.getByLabel("Text, or field:value").fill(word);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`search=${word}`));
  await expect(rows(page).filter({ hasText: "redis" }).first()).toBeVisible();
  await expect(rows(page).filter({ hasText: "ftp" }).first()).toBeVisible();

  await choice(page, "Service").selectOption("redis");
  await expect(page).toHaveURL(/service=redis/);
  await expect(rows(page).filter({ hasText: "ftp" })).toHaveCount(0);
  await expect(rows(page)).toHaveCount(3);

  await choice(page, "Decky").selectOption(redisDecky);
  await choice(page, "Type of event").selectOption("command");
  await page.getByLabel("Source address").fill("127.0.0.1");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/attacker_ip=127\.0\.0\.1/);
  await expect(page).toHaveURL(new RegExp(`decky=${redisDecky}`));
  await expect(page).toHaveURL(/event_type=command/);
  await expect(rows(page)).toHaveCount(3);

  await page.reload();
  await hydrated(page);
  await expect(rows(page)).toHaveCount(3);
  await expect(choice(page, "Service")).toHaveValue("redis");
  await expect(page.getByLabel("Text, or field:value")).toHaveValue(word);
  await expect(page.locator(".chip")).toHaveCount(5);

  // Back goes one filter back.
  await page.goBack();
  await page.goForward();
  await expect(page.locator(".chip")).toHaveCount(5);

  await chip(page, "source").getByRole("link").click();
  await expect(page).not.toHaveURL(/attacker_ip/);
  await chip(page, "service").getByRole("link").click();
  await chip(page, "decky").getByRole("link").click();
  await chip(page, "type").getByRole("link").click();
  await expect(rows(page).filter({ hasText: "ftp" }).first()).toBeVisible();

  await page.getByLabel("Text, or field:value").fill("there-is-no-such-word-anywhere");
  await page.keyboard.press("Enter");
  await expect(page.getByText("Nothing fits these filters")).toBeVisible();
  await page.getByRole("link", { name: "Clear all filters" }).click();
  await expect(page).toHaveURL(/\/live$/);
  await expect(rows(page).first()).toBeVisible();
  complaints.none();
});

test("a filter that says nothing sensible is named, and the rest still counts", async ({ page }) => {
  await open(page, `/live?search=${word}&attacker_ip=nobody&start_time=yesterday`);
  const alert = page.getByRole("alert");
  await expect(alert).toContainText("the source is not an IP address");
  await expect(alert).toContainText("start_time is not a time");
  await expect(rows(page).first()).toBeVisible();
});

test("a row opens by Enter and by click, shows its line and fields, and can be linked to", async ({ page, context }) => {
  await open(page, `/live?search=${word}&service=redis`);
  await expect(rows(page)).toHaveCount(3);
  const drawer = page.getByRole("dialog");

  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await expect(rows(page).nth(0).getByRole("link")).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/log=\d+/);
  await expect(drawer.locator(".raw").first()).toContainText(word);
  await expect(drawer.locator(".fields")).toContainText(`SET ${word} 3`);
  await page.keyboard.press("Escape");
  await expect(drawer).toHaveCount(0);
  await expect(rows(page).nth(0).getByRole("link")).toBeFocused();

  await rows(page).nth(2).locator(".c-what").click();
  await expect(drawer.locator(".fields")).toContainText(`SET ${word} 1`);

  const other = await context.newPage();
  await open(other, page.url());
  await expect(other.getByRole("dialog").locator(".fields")).toContainText(`SET ${word} 1`);
});

test("the drawing counts what is filtered for", async ({ page }) => {
  await open(page, `/live?search=${word}&service=redis`);
  await expect(rows(page)).toHaveCount(3);
  const drawn = async () => {
    const said = await page.locator(".histogram g.column title").allTextContents();
    return said.reduce((sum, title) => sum + Number(/: ([\d,]+) events/.exec(title)![1].replace(/,/g, "")), 0);
  };
  await expect.poll(drawn).toBe(3);
  await open(page, `/live?search=${word}&event_type=no_such_event`);
  await expect.poll(drawn).toBe(0);
});

test("a click on the histogram narrows the time", async ({ page }) => {
  await open(page, `/live?search=${word}`);
  await expect(rows(page).first()).toBeVisible();
  const columns = page.locator(".histogram a");
  await columns.first().click({ force: true });
  await expect(page).toHaveURL(/start_time=.*end_time=|end_time=.*start_time=/);
  await expect(page.getByText("Nothing fits these filters")).toBeVisible();
  await expect(chip(page, "from")).toBeVisible();
  await page.goBack();
  await expect(rows(page).first()).toBeVisible();
  await columns.last().click({ force: true });
  await expect(chip(page, "until")).toBeVisible();
  // What was written a moment ago is in the last column, or in the one before it where a quarter of an hour has just begun.
  const none = page.getByText("Nothing fits these filters");
  await expect(rows(page).first().or(none)).toBeVisible();
  if (await none.isVisible()) {
    await page.goBack();
    await expect(rows(page).first()).toBeVisible();
    await columns.nth(-2).click({ force: true });
  }
  await expect(rows(page).first()).toBeVisible();
});

test("a filter that a link has set stays when another is chosen", async ({ page, host, complaints }) => {
  const [decky] = await host.deckies();
  for (const [path, set] of [
    ["/attackers", `decky=${decky.name}`],
    ["/credentials", "attacker_ip=127.0.0.1"],
  ]) {
    await open(page, `${path}?${set}`);
    await choice(page, "Service").selectOption("redis");
    await expect(page).toHaveURL(/service=redis/);
    expect(page.url()).toContain(set);
  }
  complaints.none();
});

test("drawings are there after going from page to page, not only after loading one", async ({ page, complaints }) => {
  await open(page, "/");
  const drawn = async (what: string) => {
    const links = page.locator(what);
    await expect(links.first()).toBeVisible();
    const foreign = await links.evaluateAll((all) => all.filter((a) => !(a instanceof SVGElement)).length);
    expect(foreign, what).toBe(0);
  };
  await page.getByRole("link", { name: "Live" }).first().click();
  await expect(page).toHaveURL(/\/live/);
  await drawn(".columns .histogram svg a");
  await page.getByRole("link", { name: "Overview" }).first().click();
  await expect(page).not.toHaveURL(/\/live/);
  await drawn(".overview .histogram svg a");
  await drawn(".loom svg a");
  await page.getByRole("link", { name: "Attackers" }).first().click();
  await page.locator("table tbody tr a").first().click();
  await page.getByRole("link", { name: "Everything about this attacker" }).click();
  await drawn(".line svg a");
  complaints.none();
});
