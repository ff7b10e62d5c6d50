// Every page: full, with a day of evidence, in every width and theme, where nothing complains and nothing is out of reach; and where
// it has nothing to show yet, waits for the server, or gets no answer. `cargo xtask e2e --screenshots` takes pictures of all of it.

import AxeBuilder from "@axe-core/playwright";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { at, BUSY, follow, onDay, PAGES, settled, show, THEMES, type Theme } from "../pages";
import { Complaints, expect, fits, onOwnHost, open } from "../test";

const test = onDay(20_000);

// Each page on its own: both workers take part.
test.describe.configure({ mode: "parallel" });

/** What there is not is answered with 404, and with a page all the same. */
const LOST = ["/no-such-page", "/attackers/nobody", "/attackers/01890a5d-ac96-774b-bcce-b302099a8057"];

/** Where the pictures go, if any are wanted. */
const PICTURES = process.env.DECNET_TEST_SCREENSHOTS;
const WIDTHS = [2560, 1440, 390];

/** How long a test may take that goes through the pages of a state, in milliseconds. */
const THROUGH_MS = PICTURES ? 900_000 : 120_000;

/** Take the picture of a page in a state, if pictures are wanted. */
async function picture(page: Page, name: string, state: string, width: number, theme: Theme): Promise<void> {
  if (!PICTURES) return;
  const path = join(PICTURES, `${name}-${state}-${width}-${theme}.png`);
  if (name !== "gallery" || !["full", "chosen"].includes(state)) {
    await page.screenshot({ path });
    return;
  }
  // All of its pieces, and the head of its longest list.
  const end = await page.locator("table.gallery").evaluate((table) => table.getBoundingClientRect().top + window.scrollY);
  await page.screenshot({ path, fullPage: true, clip: { x: 0, y: 0, width, height: Math.min(end + 400, 16_000) } });
}

/** Where pictures are wanted, show the page in every width and theme, take them, and see that it fits; then go on as before. */
async function pictures(page: Page, name: string, state: string): Promise<void> {
  if (!PICTURES) return;
  for (const theme of THEMES) {
    for (const width of WIDTHS) {
      await show(page, width, theme);
      await picture(page, name, state, width, theme);
      await fits(page);
    }
  }
  await show(page, 1440, "dark");
}

/** What a page asks the server functions for, but who is signed in: without that there is no page. */
const ASKED = /\/ui\/(?!who$)/;

/** Pages that fetch something, one way each. */
const FETCHING = PAGES.filter(([, , ways]) => !ways?.full);

/** What opens beside a list and is fetched by itself. */
const FETCHED_BESIDE = /[?&](log|attacker|bounty|reuse)=/;

/** What the server functions answer where the server itself fails. */
const FAULT = {
  kind: "Internal",
  detail: "the database does not answer",
  error_id: "01890a5d-ac96-774b-bcce-b302099a8057",
  fields: [],
};

for (const [name, path] of PAGES) {
  test(`${name}: nothing complains, scrolls sideways or shuts anybody out, in every width and theme`, async ({ page, day }) => {
    const complaints = new Complaints(page);
    await page.emulateMedia({ reducedMotion: "reduce" });
    await open(page, at(path, day));
    const release = await page.locator("script[data-pieces]").count();
    test.skip(path === "/gallery" && release > 0, "a release has no gallery");
    await settled(page);
    for (const theme of THEMES) {
      for (const width of WIDTHS) {
        await show(page, width, theme);
        await picture(page, name, "full", width, theme);
        await fits(page);
        // Colours are of the theme, and the tree is of the width: two looks see all of both.
        if (width === (theme === "dark" ? 390 : 1440)) await nobodyIsShutOut(page);
      }
    }
    complaints.none(name === "lost" ? /404/ : undefined);
  });
}

/** What the gallery opens beside and above itself, each with what only it has. */
const ABOVE = [
  ["drawer", ".drawer .raw"],
  ["drawer-loading", ".drawer .loading"],
  ["drawer-nothing", ".drawer .empty"],
  ["drawer-problem", ".drawer .problem"],
  ["dialog", "dialog:not(:has(.form-fault)) .primary:not(.danger)"],
  ["dialog-danger", "dialog .primary.danger"],
  ["dialog-loading", "dialog .loading"],
  ["dialog-fault", "dialog .form-fault"],
  ["palette", "dialog.palette [role=option]:nth-child(2)"],
  ["palette-nothing", "dialog.palette [role=option]:only-child"],
];

test("the gallery opens drawers, dialogs and the palette in each of their states, and shows what a URL can choose", async ({ page }) => {
  test.setTimeout(THROUGH_MS);
  const complaints = new Complaints(page);
  const answer = await page.request.get("/gallery");
  test.skip(answer.status() === 404, "a release has no gallery");
  await open(page, "/gallery");
  await show(page, 1440, "dark");
  for (const [shown, only] of ABOVE) {
    await follow(page, `/gallery?show=${shown}`);
    const opened = page.locator("#main .drawer, #main dialog:modal");
    await expect(opened, shown).toHaveCount(1);
    await expect(page.locator(`#main ${only}`), shown).toBeVisible();
    const others = ABOVE.filter(([other]) => other !== shown).map(([, mark]) => `#main ${mark}`);
    await expect(page.locator(others.join(", ")), shown).toHaveCount(0);
    await pictures(page, "gallery", shown);
    // What pages open is looked at there; the palette stands in no URL but this.
    if (shown === "palette") await nobodyIsShutOut(page);
  }
  await follow(page, "/gallery");
  await page.getByRole("link", { name: "Choose some" }).click();
  await expect(page.locator(".chip")).toHaveCount(2);
  await expect(page.locator(".gallery-few .chosen")).toHaveCount(1);
  await expect(page.locator(".gallery-few [aria-sort=descending]")).toHaveText("Square");
  await pictures(page, "gallery", "chosen");
  const palette = page.locator("dialog.palette");
  await follow(page, "/gallery?show=palette");
  await expect(palette.getByRole("combobox")).toBeFocused();
  await page.keyboard.press("ArrowUp");
  await expect(palette.getByRole("option").last()).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("Escape");
  await expect(palette).toHaveCount(0);
  await expect(page).toHaveURL("/gallery");
  complaints.none();
});

test("where the server fails, each page says what, why, what now and the error id", async ({ page, day }) => {
  test.setTimeout(THROUGH_MS);
  await open(page, "/no-such-page");
  await show(page, 1440, "dark");
  let only: string | undefined;
  await page.route(ASKED, (route) => {
    if (only && !route.request().url().endsWith(`/ui/${only}`)) return route.continue();
    return route.fulfill({ status: 500, contentType: "application/json", body: JSON.stringify(FAULT) });
  });
  for (const [name, path, ways] of FETCHING) {
    await test.step(name, async () => {
      only = ways?.asks;
      await follow(page, at(path, day));
      const problems = page.locator(".problem");
      await expect(problems.first()).toBeVisible();
      await expect(page.locator(BUSY)).toHaveCount(0);
      for (const problem of await problems.all()) {
        await expect(problem.locator("h3")).toHaveText("Something went wrong on the server");
        await expect(problem.locator("p").first()).toHaveText(FAULT.detail);
        await expect(problem.locator(".advice")).toHaveText(/^Try again; /);
        await expect(problem.locator(".error-id code")).toHaveText(FAULT.error_id);
      }
      if (FETCHED_BESIDE.test(path)) await expect(page.locator(".drawer .problem")).toHaveCount(1);
      await pictures(page, name, "error");
    });
  }
  await page.unrouteAll({ behavior: "ignoreErrors" });
});

test("while the server takes its time, each page says that it waits", async ({ page, day }) => {
  test.setTimeout(THROUGH_MS);
  await open(page, "/no-such-page");
  await show(page, 1440, "dark");
  let only: string | undefined;
  await page.route(ASKED, async (route) => {
    // What is waited for is never answered.
    if (only && !route.request().url().endsWith(`/ui/${only}`)) await route.continue();
  });
  for (const [name, path, ways] of FETCHING) {
    await test.step(name, async () => {
      only = ways?.asks;
      await follow(page, at(path, day));
      await expect(page.locator(BUSY).first()).toBeVisible();
      await expect(page.locator(".loading").first()).toHaveAttribute("role", "status");
      await expect(page.locator(".problem")).toHaveCount(0);
      if (FETCHED_BESIDE.test(path)) await expect(page.locator(".drawer .loading")).toBeVisible();
      await pictures(page, name, "loading");
    });
  }
  await page.unrouteAll({ behavior: "ignoreErrors" });
});

/** On a host that nobody has touched. */
const untouched = onOwnHost();

untouched("where nothing has happened yet, each page has the next step with the command to copy", async ({ page, host, complaints }) => {
  untouched.setTimeout(THROUGH_MS);
  await open(page, "/fleet");
  await show(page, 1440, "dark");
  const steps = async (state: "empty" | "bare") => {
    for (const [name, path, ways] of PAGES) {
      const told = ways?.[state];
      if (told === undefined) continue;
      await untouched.step(`${name}, ${state}`, async () => {
        await follow(page, path);
        if (typeof told === "string") {
          await expect(page.locator(".empty h3")).toHaveText(told);
        } else {
          const command = page.locator(".empty .command, .guide .now .command").first();
          await expect(command.locator("code")).toHaveText(told);
          await expect(command.getByRole("button", { name: "Copy command" })).toBeVisible();
        }
        await pictures(page, name, state);
      });
    }
  };
  await steps("empty");
  await host.decnet(["teardown", "--all"]);
  await expect.poll(async () => (await host.deckies()).length, { timeout: 60_000 }).toBe(0);
  await steps("bare");
  complaints.none();
});

/** What of a path opens something beside or above the page. */
const OPENS = /[?&](log|attacker|bounty|reuse|decky|user|dialog|teardown|stop|help)=/;

test.describe("without scripts", () => {
  test.use({ javaScriptEnabled: false });

  for (const [name, path, ways] of PAGES) {
    test(`${name}: the server's answer is the whole page`, async ({ page, day }) => {
      const answer = await page.goto(at(path, day));
      const status = answer?.status();
      test.skip(path === "/gallery" && status === 404, "a release has no gallery");
      expect(status).toBe(name === "lost" ? 404 : 200);
      const heading = page.getByRole("heading", { level: 1 }).first();
      await expect(heading).toBeVisible();
      await expect(page).toHaveTitle(/. · DECNET$/);
      // The gallery shows what loading looks like.
      await expect(page.locator(BUSY)).toHaveCount(path === "/gallery" ? 1 : 0);
      const main = page.locator("main");
      await expect(main).toHaveCount(1);
      const words = (await main.innerText()).replace(await heading.innerText(), "").trim();
      expect(words.length, "characters below the heading").toBeGreaterThan(20);
      // Nor, but there, does anything go wrong.
      if (path !== "/gallery") await expect(page.locator(".problem")).toHaveCount(0);
      if (OPENS.test(path)) await expect(page.getByRole("dialog").first()).toContainText(/\S/);
      // No head looks as if it sorted where the server has no such order.
      const heads = path === "/gallery" ? [] : await page.locator("th .sort").allTextContents();
      expect(heads.filter((head) => !ways?.sorts?.includes(head))).toEqual([]);
    });
  }
});

test("what is not there is answered with 404 and a page that leads on", async ({ page, day }) => {
  const complaints = new Complaints(page);
  for (const path of LOST) {
    const answer = await page.goto(path);
    expect(answer?.status(), path).toBe(404);
    await expect(page.getByText(/There is no such (page|thing)/)).toBeVisible();
    await expect(page.locator("#main a.button")).toHaveCount(1);
  }
  complaints.none(/404/);
  expect((await page.goto(`/attackers/${day.attacker}`))?.status()).toBe(200);
});

test("every decky that is in the day's evidence is in the fleet, and what leads to one leads there", async ({ page, host, day }) => {
  const complaints = new Complaints(page);
  expect(day.bounty).toBeDefined();
  const fleet: { name: string; state: string; stopped: boolean }[] = await (await page.request.get("/api/v1/deckies")).json();
  expect(fleet).toHaveLength(20);
  // Those of the demo fleet run as they did; the others are there for what they saw.
  expect(fleet.filter((decky) => decky.state === "running").map((decky) => decky.name).sort()).toEqual(["db-01", "mail-01", "srv-01", "web-01"]);
  expect(fleet.filter((decky) => decky.stopped && decky.state === "stopped")).toHaveLength(16);
  await open(page, "/fleet");
  await expect(page.locator(".card")).toHaveCount(20);
  await expect(page.locator(".table-note").first()).toContainText("16 stopped");
  await open(page, at("/credentials?bounty=BOUNTY", day));
  await page.locator(".drawer .facts a[href^='/fleet?decky=']").click();
  await expect(page).toHaveURL(/\/fleet\?decky=./);
  const name = new URL(page.url()).searchParams.get("decky")!;
  const drawer = page.getByRole("dialog", { name, exact: true });
  await expect(drawer).toContainText("Pretends");
  await expect(drawer).not.toContainText("No such decky");
  // Nobody was told of a fault, and nobody started one of them.
  const { components } = await (await page.request.get("/api/v1/health")).json();
  expect(components.find((part: { name: string }) => part.name === "fleet")).toMatchObject({ status: "ok" });
  expect((await host.deckies()).filter((decky) => decky.services.some(({ listen }) => listen.length > 0))).toHaveLength(4);
  complaints.none();
});

test("whoever did something is told by their mark, wherever they appear", async ({ page, day }) => {
  const complaints = new Complaints(page);
  await open(page, at("/credentials?bounty=BOUNTY", day));
  const sources = page.locator("table.bounties tbody .c-source");
  await expect(sources.first()).toBeVisible();
  await expect(sources.locator(".glyph")).toHaveCount(await sources.count());
  const mark = (glyph: string) => page.locator(glyph).first().evaluate((glyph) => glyph.classList.item(1) + glyph.innerHTML.replaceAll("<!---->", ""));
  const here = await mark(".drawer .who .glyph");
  await page.locator(".drawer a.who").click();
  await expect(page).toHaveURL(/\/attackers\/./);
  await expect(page.locator(".identity .glyph")).toBeVisible();
  expect(await mark(".identity .glyph")).toBe(here);
  await follow(page, at("/credentials/reuse?reuse=REUSE", day));
  const users = page.locator(".used li");
  await expect(users.first()).toBeVisible();
  await expect(users.locator(".glyph")).toHaveCount(await users.count());
  complaints.none();
});

/** axe finds nothing serious. */
async function nobodyIsShutOut(page: Page): Promise<void> {
  // The rows of a list are alike; the first dozen stand for all.
  const { violations } = await new AxeBuilder({ page })
    .exclude("tbody tr:nth-child(n + 13)")
    .exclude("#main li:nth-child(n + 13)")
    .exclude(".histogram a:nth-of-type(n + 13), .heat a:nth-of-type(n + 13), .lane-name ~ svg a:nth-of-type(n + 13)")
    .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"])
    .analyze();
  const bad = violations
    .filter((found) => found.impact === "serious" || found.impact === "critical")
    .map((found) => `${found.id}: ${found.nodes.map((node) => node.target.join(" ")).join(", ")}`);
  expect.soft(bad, page.url()).toEqual([]);
}

test("everything is reached by the keyboard", async ({ page, day }) => {
  expect(day.attacker).toBeDefined();
  await open(page, "/attackers");
  const rows = page.locator("a[data-row]");
  await expect(rows.nth(1)).toBeVisible();
  await page.keyboard.press("j");
  await expect(rows.nth(0)).toBeFocused();
  await page.keyboard.press("j");
  await expect(rows.nth(1)).toBeFocused();
  await page.keyboard.press("k");
  await expect(rows.nth(0)).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/attackers\?attacker=.+/);
  const everything = page.getByRole("link", { name: "Everything about this attacker" });
  await everything.focus();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/attackers\/.+/);

  await page.keyboard.press("g");
  await page.keyboard.press("l");
  await expect(page).toHaveURL(/\/live$/);
  await page.keyboard.press("/");
  await expect(page.getByLabel("Text, or field:value")).toBeFocused();
  await page.keyboard.press("Escape");

  await page.keyboard.press("?");
  const help = page.getByRole("dialog", { name: "Shortcuts" });
  await expect(help).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(help).toHaveCount(0);

  await page.goto("/");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.locator("#main")).toBeFocused();
});
