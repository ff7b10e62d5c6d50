// Long lists: only the rows that are seen stand in the page, and more of them come by scrolling.

import { ssh } from "../attack";
import { expect, live, marker, open, test } from "../test";

test.beforeAll(async ({ host }) => {
  await host.decnet(["demo", "seed", "--yes", "--no-fleet", "--events", "3000"]);
});

test("a list of ten thousand rows keeps what is seen in the page, wherever one looks", async ({ page, complaints }) => {
  const answer = await page.request.get("/gallery");
  test.skip(answer.status() === 404, "the gallery, which has such a list, is left out of release builds");
  await open(page, "/gallery");
  const table = page.locator("table.gallery");
  const rows = table.locator("tbody tr:not(.gap)");
  await expect(table).toHaveAttribute("aria-rowcount", "10001");
  const first = async () => Number(await rows.first().locator("td").nth(1).innerText());
  const last = async () => Number(await rows.last().locator("td").nth(1).innerText());
  for (const share of [0, 0.25, 0.5, 1]) {
    await page.evaluate((share) => {
      const body = document.querySelector("table.gallery tbody")!.getBoundingClientRect();
      window.scrollTo(0, window.scrollY + body.top + share * (body.height - window.innerHeight));
    }, share);
    // What is asked for is drawn, and not much more.
    await expect.poll(async () => (await first()) <= share * 9_960 && (await last()) >= share * 9_999).toBe(true);
    expect(await rows.count()).toBeLessThan(200);
    // Each row tells its place among all of them; the head is the first.
    await expect.poll(async () => Number(await rows.first().getAttribute("aria-rowindex")) - (await first())).toBe(2);
    await expect.poll(async () => Number(await rows.last().getAttribute("aria-rowindex")) - (await last())).toBe(2);
    // Nothing jumps: the rows fill the window.
    const holes = await page.evaluate(() => {
      const seen = document.elementFromPoint(window.innerWidth / 2, window.innerHeight / 2);
      return seen?.closest("tr")?.classList.contains("gap") ?? true;
    });
    expect(holes, `at ${share}`).toBe(false);
  }
  complaints.none();
});

/** Once the seeded rows are stored. */
test.beforeEach(async ({ page }) => {
  await expect.poll(async () => (await (await page.request.get("/api/v1/stats")).json()).total_logs).toBeGreaterThan(3_000);
});

test("a click on a head sorts the attackers by it, and another turns them round", async ({ page, complaints }) => {
  await open(page, "/attackers");
  const head = page.getByRole("columnheader", { name: "Tries" });
  await expect(head).toHaveAttribute("aria-sort", "none");
  const figures = async () => {
    const texts = await page.locator("table.attackers tbody tr:not(.gap) td.number:nth-child(4)").allInnerTexts();
    return texts.map((text) => Number(text.replace(/\D/g, "")));
  };
  const most: [string, RegExp] = ["descending", /\?sort_by=auth_count$/];
  const least: [string, RegExp] = ["ascending", /sort_by=auth_count&sort_order=asc$/];
  for (const [sort, query] of [most, least, most]) {
    await head.getByRole("link").click();
    await expect(page).toHaveURL(query);
    await expect(head).toHaveAttribute("aria-sort", sort);
    const sorted = async () => {
      const have = await figures();
      const want = [...have].sort((a, b) => ("ascending" === sort ? a - b : b - a));
      return have.length > 1 && have.join() === want.join();
    };
    await expect.poll(sorted).toBe(true);
  }
  complaints.none();
});

test("who comes back to a list has the row open by which they left, and then the focus on it", async ({ page, complaints }) => {
  await open(page, "/attackers");
  for (const key of ["j", "j", "j"]) {
    await page.keyboard.press(key);
  }
  const row = () => page.evaluate(() => document.activeElement?.getAttribute("data-row"));
  const left = await row();
  expect(left).not.toBeNull();
  await page.keyboard.press("Enter");
  const drawer = page.locator(".drawer");
  await expect(drawer).toHaveAttribute("data-of", left!);
  await drawer.getByRole("link", { name: "Everything about this attacker" }).click();
  await expect(page).toHaveURL(/\/attackers\/./);
  await page.goBack();
  await expect(drawer).toHaveAttribute("data-of", left!);
  await expect(page.locator(`[data-row="${left}"]`)).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(drawer).toHaveCount(0);
  await expect.poll(row).toBe(left);
  // Who goes there anew begins at its head.
  await page.keyboard.press("g");
  await page.keyboard.press("o");
  await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await expect(page.locator("table.attackers")).toBeVisible();
  await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe("main");
  complaints.none();
});

test("the row whose drawer is open is marked, in every list", async ({ page, complaints }) => {
  for (const [path, param] of [
    ["/live", "log"],
    ["/attackers", "attacker"],
    ["/credentials", "bounty"],
    ["/fleet?view=table", "decky"],
    ["/settings/users", "user"],
    ["/settings/audit", "entry"],
  ]) {
    await open(page, path);
    const rows = page.locator("table.table tbody tr:not(.gap)");
    const row = rows.filter({ has: page.locator(".row-link") }).first();
    // The mouse is elsewhere: what it is on is marked, too.
    const colour = () => row.locator("td").last().evaluate((cell) => getComputedStyle(cell).backgroundColor);
    await row.locator(".row-link").focus();
    await page.keyboard.press("Enter");
    await expect(page).toHaveURL(new RegExp(`${param}=`));
    await expect(page.locator(".drawer")).toHaveCount(1);
    await expect(row).toHaveClass(/chosen/);
    const marked = await colour();
    await page.keyboard.press("Escape");
    await expect(page.locator(".drawer")).toHaveCount(0);
    await expect(row).not.toHaveClass(/chosen/);
    await page.locator("#main").focus();
    await expect.poll(colour, path).not.toBe(marked);
  }
  complaints.none();
});

test("scrolling near the end of a list brings more of it", async ({ page, complaints }) => {
  await open(page, "/live");
  const table = page.locator("table.logs");
  const have = async () => Number(await table.getAttribute("aria-rowcount"));
  const before = await have();
  await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
  await expect.poll(have).toBeGreaterThan(before);
  await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
  await expect.poll(have).toBeGreaterThan(before + 100);
  expect(await table.locator("tbody tr").count()).toBeLessThan(230);
  complaints.none();
});

test("a head stays in the window, and what is read stays in its place while rows come in above it", async ({ page, host, complaints }) => {
  await open(page, "/live");
  await live(page);
  await page.evaluate(() => window.scrollTo(0, 1_500));
  const table = page.locator("table.logs");
  const head = table.locator("th").first();
  const top = await page.locator(".top").evaluate((top) => top.getBoundingClientRect().bottom);
  await expect.poll(() => head.evaluate((head) => head.getBoundingClientRect().top)).toBeCloseTo(top, 0);

  const id = await page.evaluate(() => {
    const seen = document.elementFromPoint(window.innerWidth / 2, window.innerHeight / 2);
    return seen!.closest("tr")!.querySelector("[data-row]")!.getAttribute("data-row");
  });
  const row = table.locator(`[data-row="${id}"]`);
  const place = () => row.evaluate((row) => row.getBoundingClientRect().top);
  const [before, rows] = [await place(), Number(await table.getAttribute("aria-rowcount"))];
  const { at, user } = host.account();
  await ssh(at, user, marker(), "id");
  await expect.poll(async () => Number(await table.getAttribute("aria-rowcount"))).toBeGreaterThan(rows);
  // A browser scrolls by whole pixels.
  await expect.poll(async () => Math.abs((await place()) - before)).toBeLessThan(1);
  complaints.none();
});

test("a find that comes in leaves the list and what is open of it as they are, and a link to any find opens it", async ({ page, host, complaints }) => {
  await open(page, "/credentials");
  await live(page);
  const table = page.locator("table.bounties");
  const have = async () => Number(await table.getAttribute("aria-rowcount"));
  await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
  await expect.poll(have).toBeGreaterThan(100);
  const rows = table.locator("tbody tr:not(.gap)");
  // One far down, of whatever kind stands there.
  await rows.nth(60).locator(".c-count").click();
  const drawer = page.getByRole("dialog");
  await expect(drawer).toContainText("Evidence");
  const value = (await drawer.locator("dd").first().textContent())!;
  const [open_, before] = [page.url(), await have()];
  const { at, user } = host.account();
  await ssh(at, user, marker(), "id");
  await expect.poll(have).toBeGreaterThan(before);
  await expect(page).toHaveURL(open_);
  await expect(drawer.locator("dd").first()).toHaveText(value);

  await open(page, "/credentials?bounty=1");
  await expect(drawer).toContainText("First");
  complaints.none();
});

test("finds are sorted by their heads, both ways, and keep the order when more comes", async ({ page, complaints }) => {
  await open(page, "/credentials");
  const table = page.locator("table.bounties");
  const counts = async () => (await table.locator("tbody .c-count .figure").allTextContents()).map((count) => Number(count.replace(/\D/g, "")));
  await table.getByRole("link", { name: "Seen" }).click();
  await expect(page).toHaveURL(/sort_by=count/);
  await expect(table.getByRole("columnheader", { name: "Seen" })).toHaveAttribute("aria-sort", "descending");
  await expect.poll(async () => (await counts())[0]).toBeGreaterThan(1);
  const down = await counts();
  expect(down).toEqual([...down].sort((a, b) => b - a));
  await table.getByRole("link", { name: "Seen" }).click();
  await expect(page).toHaveURL(/sort_order=asc/);
  await expect.poll(async () => (await counts())[0]).toBe(1);
  await open(page, "/credentials?sort_by=recent&bounty_type=credential");
  await expect(page.getByLabel("Order")).toHaveValue("recent");
  await expect(table.getByRole("columnheader", { name: "Last" })).toHaveAttribute("aria-sort", "descending");
  complaints.none();
});

test("the fleet is sorted by its heads, both ways, and a link keeps the order", async ({ page, complaints }) => {
  await open(page, "/fleet?view=table");
  const table = page.locator("table.fleet");
  const head = (label: string) => table.getByRole("columnheader", { name: label });
  const texts = (cell: string) => table.locator(`tbody tr:not(.gap) ${cell}`).allInnerTexts();
  const number = (text: string) => Number(text.replace(/\D/g, ""));
  const address = (text: string) => text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const names = await texts(".c-decky");
  expect(names.length).toBeGreaterThan(1);
  expect(names).toEqual([...names].sort());
  for (const [label, word, cell, key] of [
    ["Events", "events", ".figure", number],
    ["Address", "address", ".c-address code", address],
  ] as const) {
    for (const [sort, query] of [
      ["descending", new RegExp(`sort_by=${word}$`)],
      ["ascending", new RegExp(`sort_by=${word}&sort_order=asc$`)],
    ] as const) {
      await head(label).getByRole("link").click();
      await expect(page).toHaveURL(query);
      await expect(head(label)).toHaveAttribute("aria-sort", sort);
      const sorted = async () => {
        const have = (await texts(cell)).map(key);
        const want = [...have].sort((a, b) => ("ascending" === sort ? a - b : b - a));
        return have.length === names.length && have.join() === want.join();
      };
      await expect.poll(sorted, `${label}, ${sort}`).toBe(true);
    }
  }
  await open(page, "/fleet?view=table&sort_by=name");
  await expect.poll(() => texts(".c-decky")).toEqual([...names].reverse());
  complaints.none();
});

test("j and k lead an open drawer from row to row, and Back closes it", async ({ page, complaints }) => {
  for (const [path, table] of [
    ["/attackers", "attackers"],
    ["/live", "logs"],
    ["/credentials", "bounties"],
    ["/fleet?view=table", "fleet"],
  ]) {
    await open(page, path);
    const rows = page.locator(`table.${table} [data-row]`);
    // Rows that come in meanwhile must not move what is looked at.
    const names = (await rows.evaluateAll((rows) => rows.slice(0, 3).map((row) => row.getAttribute("data-row")))) as string[];
    expect(names.length, path).toBeGreaterThan(1);
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    const drawer = page.locator(".drawer");
    const first = (await drawer.getAttribute("data-of"))!;
    const at = names.indexOf(first);
    expect(at, path).toBeGreaterThanOrEqual(0);
    await page.keyboard.press("j");
    await expect(drawer).toHaveAttribute("data-of", names[at + 1]);
    await expect(page).toHaveURL(new RegExp(`=${names[at + 1]}`));
    await expect(drawer.locator("dl, .facts").first()).toBeVisible();
    await page.keyboard.press("k");
    await expect(drawer).toHaveAttribute("data-of", first);
    // However many rows were looked at, one way back leads out.
    await page.goBack();
    await expect(drawer).toHaveCount(0);
  }
  complaints.none();
});

test("credentials tell which were accepted, and their table is whole in every width", async ({ page, host, complaints }) => {
  const from = "127.8.7.1";
  const { at, user, password } = host.account();
  await ssh(at, user, password, "id", from);
  await open(page, `/credentials?attacker_ip=${from}`);
  const row = page.locator("table.bounties tbody tr").filter({ hasText: user });
  await expect(row).toHaveCount(1);
  await expect(row.locator(".c-accepted")).toContainText("1 of 1");
  await page.getByRole("combobox", { name: "Accepted" }).selectOption("false");
  await expect(page).toHaveURL(/accepted=false/);
  await expect(row).toHaveCount(0);
  await page.getByRole("combobox", { name: "Accepted" }).selectOption("true");
  await expect(row).toHaveCount(1);
  await row.locator(".row-link").click();
  await page.getByRole("dialog").getByRole("link", { name: "1 of 1" }).click();
  await expect(page.locator("table.logs tbody tr").filter({ hasText: "signed in" })).toHaveCount(1);
  for (const width of [390, 1440, 2560]) {
    await page.setViewportSize({ width, height: 900 });
    await open(page, "/credentials");
    const last = page.locator("table.bounties tbody tr:not(.gap)").first().locator(".c-decky");
    await expect(last).toBeVisible();
    const edge = await last.evaluate((cell) => cell.getBoundingClientRect().right);
    expect(edge, `the last column at ${width} px`).toBeLessThanOrEqual(width);
    const frame = await page.locator(".table-frame").evaluate((frame) => frame.scrollWidth - frame.clientWidth);
    expect(frame, `what is cut at ${width} px`).toBeLessThanOrEqual(0);
  }
  complaints.none();
});

test("deckies that are gone, and of which there is evidence, can be chosen", async ({ page, host, complaints }) => {
  const present = new Set((await host.deckies()).map((decky) => decky.name));
  await open(page, "/live");
  const choice = page.getByRole("combobox", { name: "Decky" });
  const gone = choice.locator("option").filter({ hasText: "(gone)" });
  await expect.poll(() => gone.count()).toBeGreaterThan(0);
  const name = (await gone.first().getAttribute("value"))!;
  expect(present.has(name)).toBe(false);
  await choice.selectOption(name);
  await expect(page).toHaveURL(new RegExp(`decky=${name}`));
  await expect(page.locator("table.logs tbody tr .c-decky").first()).toContainText(name);
  complaints.none();
});

test("a word of a link that there is none of is told, with those that there are", async ({ page, complaints }) => {
  for (const [path, words] of [
    ["/attackers?sort_by=zzz", "sort_by=zzz, where only recent, active, auth_count, command_count, bounty_count can stand"],
    ["/credentials?bounty_type=gold", "bounty_type=gold, where only"],
    ["/credentials/reuse?scope=zzz", "scope=zzz, where only secret, pair can stand"],
    ["/live?last=forever", "last=forever, where only 15m, 1h, 24h, 7d can stand"],
    ["/fleet?view=table&sort_by=zzz", "sort_by=zzz, where only name, state, address, archetype, age, events can stand"],
  ]) {
    await open(page, path);
    await expect(page.getByRole("alert").filter({ hasText: "Left out" }), path).toContainText(words);
  }
  complaints.none();
});

test("a number stands below the end of its head's word", async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 900 });
  await open(page, "/attackers");
  // Of the word alone: an arrow is beside it.
  const end = (selector: string) =>
    page.locator(selector).first().evaluate((element) => {
      const range = document.createRange();
      range.selectNodeContents(element);
      return range.getBoundingClientRect().right;
    });
  await expect(page.locator("table.attackers td.number").first()).toBeVisible();
  expect(await end("table.attackers th.number a")).toBeCloseTo(await end("table.attackers td.number .figure"), 0);
});

test("columns that were put away are away before the program comes", async ({ page, complaints }) => {
  await open(page, "/attackers");
  const head = page.getByRole("columnheader", { name: "Loot" });
  await expect(head).toBeVisible();
  await page.locator(".column-menu summary").click();
  await page.getByRole("checkbox", { name: "Loot" }).uncheck();
  await expect(head).toBeHidden();
  complaints.none();
  await page.route("**/*.wasm", (route) => route.abort());
  await page.reload();
  await expect(page.getByRole("columnheader", { name: "Tries" })).toBeVisible();
  await expect(head).toBeHidden();
  await expect(page.locator("html[data-hydrated]")).toHaveCount(0);
  await page.unroute("**/*.wasm");
  await open(page, "/attackers");
  await expect(head).toBeHidden();
  await page.locator(".column-menu summary").click();
  await page.getByRole("checkbox", { name: "Loot" }).check();
  await expect(head).toBeVisible();
});
