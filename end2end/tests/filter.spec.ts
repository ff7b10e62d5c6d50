// Filters stand in the URL, and rows open into a drawer.

import type { Page } from "@playwright/test";
import { attacks, redis } from "../attack";
import { expect, goTo, hydrated, marker, open, test } from "../test";

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

test("what is shown says that it waits, for a filter that takes its time", async ({ page, complaints }) => {
  await open(page, `/live?search=${word}`);
  await expect(rows(page).filter({ hasText: "ftp" }).first()).toBeVisible();
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  await page.route("**/ui/log_page", async (route) => {
    await gate;
    await route.continue();
  });
  const waiting = page.locator("[aria-busy=true]");
  await expect(waiting).toHaveCount(0);
  await choice(page, "Service").selectOption("redis");
  await expect(chip(page, "redis")).toBeVisible();
  // Chip and drawing have what was chosen, and the table not yet.
  await expect(waiting.locator("table.logs")).toBeVisible();
  await expect(page.locator(".table-frame")).toHaveCSS("opacity", "0.5");
  await expect(rows(page).filter({ hasText: "ftp" }).first()).toBeVisible();
  letGo();
  await expect(rows(page).filter({ hasText: "ftp" })).toHaveCount(0);
  await expect(waiting).toHaveCount(0);
  await expect(page.locator(".table-frame")).toHaveCSS("opacity", "1");
  complaints.none();
});

/** Answers of the server to a search that reads much and finds nothing, until it has been asked `times` times; gives the cursors that it was asked for. */
async function inVain(page: Page, times: number, wait = async (_: number) => {}): Promise<(string | null)[]> {
  const { data } = await (await page.request.get("/api/v1/logs?limit=1")).json();
  const asked: (string | null)[] = [];
  await page.route("**/ui/log_page", async (route) => {
    const { query } = route.request().postDataJSON();
    const count = asked.push(query.before ?? null);
    await wait(count);
    if (count <= times) {
      await route.fulfill({ json: [data[0].id, { data: [], next: `i${9_000_000 - count}` }] });
    } else {
      await route.continue({ postData: JSON.stringify({ query: { ...query, before: null } }) });
    }
  });
  return asked;
}

test("a search that found nothing yet says how much it read, and goes on until there is something", async ({ page, complaints }) => {
  await open(page, "/attackers");
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  const asked = await inVain(page, 3, async (count) => {
    if (count === 3) await gate;
  });
  await goTo(page, `/live?search=${word}&service=redis`);
  await expect(page.getByRole("heading", { name: /^Nothing among the newest 100\s000 rows$/ })).toBeVisible();
  await expect(page.getByText("Nothing fits these filters")).toHaveCount(0);
  letGo();
  await expect(rows(page)).toHaveCount(3);
  await expect(page.locator(".table-note").filter({ hasText: "3 events" })).toBeVisible();
  expect(asked).toEqual([null, "i8999999", "i8999998", "i8999997"]);
  complaints.none();
});

test("a search that has read very much without finding anything asks whether to go on", async ({ page, complaints }) => {
  await open(page, "/attackers");
  const asked = await inVain(page, 1_000);
  await goTo(page, `/live?search=${word}`);
  const told = (read: RegExp) => page.getByRole("heading", { name: read });
  await expect(told(/^Nothing among the newest 1\s050\s000 rows$/)).toBeVisible();
  expect(asked).toHaveLength(21);
  await page.getByRole("button", { name: "Older" }).click();
  await expect(told(/^Nothing among the newest 2\s050\s000 rows$/)).toBeVisible();
  expect(asked).toHaveLength(41);
  complaints.none();
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

test("who takes chips away by the keyboard goes on to the next one, and then to the search", async ({ page, complaints }) => {
  await open(page, `/live?event_type=command&service=redis&last=24h`);
  const chips = page.locator(".chip");
  await expect(chips).toHaveCount(3);
  await chip(page, "service").getByRole("link").focus();
  await page.keyboard.press("Enter");
  await expect(chips).toHaveCount(2);
  await expect(page.locator(".chip a:focus")).toHaveCount(1);
  await page.keyboard.press("Enter");
  await expect(chips).toHaveCount(1);
  await expect(page.locator(".chip a:focus")).toHaveCount(1);
  await page.keyboard.press("Enter");
  await expect(chips).toHaveCount(0);
  await expect(page.getByLabel("Text, or field:value")).toBeFocused();
  complaints.none();
});

test("a time that is none is told to be left out, and is no filter that is set", async ({ page }) => {
  await open(page, "/live?last=6h&service=redis");
  await expect(chip(page, "service")).toBeVisible();
  await expect(page.locator(".chip")).toHaveCount(1);
  await expect(page.getByRole("alert").filter({ hasText: "Left out: last=6h" })).toBeVisible();
});

test("a click on the histogram narrows the time", async ({ page }) => {
  await open(page, `/live?search=${word}`);
  await expect(rows(page).first()).toBeVisible();
  const columns = page.locator(".histogram a");
  await columns.first().click({ force: true });
  await expect(page).toHaveURL(/start_time=.*end_time=|end_time=.*start_time=/);
  await expect(page.getByText("Nothing fits these filters")).toBeVisible();
  // From and until are one thing, said as the choice in the top bar says it.
  const chosen = page.locator(".top .range .range-words");
  await expect(page.locator(".chip")).toHaveCount(2);
  await expect(chip(page, "time")).toContainText(await chosen.innerText());
  await expect(chip(page, "time")).toContainText(/\d \w+ \d\d:\d\d to /);
  await page.goBack();
  await expect(rows(page).first()).toBeVisible();
  await columns.last().click({ force: true });
  await expect(chip(page, "time")).toBeVisible();
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

test("Escape in the search field takes the text away and not the focus, and leaves the field by another press", async ({ page, complaints }) => {
  await open(page, "/live?search=no-such-thing-anywhere");
  const field = page.getByRole("searchbox", { name: "Text, or field:value" });
  await field.focus();
  await page.keyboard.press("Escape");
  await expect(field).toHaveValue("");
  await expect(page).toHaveURL(/\/live$/);
  await expect(field).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(field).not.toBeFocused();
  complaints.none();
});

test("what the arrows choose in the palette is in sight", async ({ page, complaints }) => {
  await page.setViewportSize({ width: 1280, height: 620 });
  await open(page, "/fleet");
  await page.keyboard.press("Control+k");
  const options = page.getByRole("option");
  await expect(options.nth(12)).toBeAttached();
  const seen = () =>
    page.locator("#palette-list [aria-selected=true]").evaluate((chosen) => {
      const list = chosen.closest("dialog")!.getBoundingClientRect();
      const { top, bottom } = chosen.getBoundingClientRect();
      return top >= list.top - 1 && bottom <= list.bottom + 1;
    });
  for (const [key, times] of [
    ["ArrowDown", 14],
    ["ArrowUp", 14],
    ["ArrowUp", 1],
  ] as const) {
    for (let press = 0; press < times; press++) await page.keyboard.press(key);
    await expect.poll(seen, `${times} times ${key}`).toBe(true);
  }
  complaints.none();
});

test("the menu of the account has the places of the rail only where there is no rail", async ({ page, complaints }) => {
  await open(page, "/fleet");
  const menu = page.locator(".top > .menu").last();
  const workers = menu.getByRole("link", { name: "Workers" });
  for (const [width, shown] of [
    [1440, false],
    [390, true],
  ] as const) {
    await page.setViewportSize({ width, height: 844 });
    await menu.locator("summary").click();
    await expect(menu.getByRole("link", { name: "Change password" })).toBeVisible();
    await expect(workers).toBeVisible({ visible: shown });
    await page.keyboard.press("Escape");
  }
  complaints.none();
});
