// Every page: full, with a day of evidence, in every width and theme, where nothing complains and nothing is out of reach; and where
// it has nothing to show yet, waits for the server, or gets no answer. `cargo xtask e2e --screenshots` takes pictures of all of it.

import AxeBuilder from "@axe-core/playwright";
import { join } from "node:path";
import { request, test as base, type Page } from "@playwright/test";
import { Host, type Session } from "../host";
import { Complaints, expect, fits, onOwnHost, open } from "../test";

/** What the demo evidence has: the busiest attacker, a command of somebody, the last find; and the administrator. */
interface Day {
  attacker: string;
  command: string;
  bounty: string;
  reuse: string;
  user: string;
}

const EVENTS = 20_000;

/** A host of its own, with a day of demo evidence. */
const test = base.extend<object, { host: Host; session: Session; day: Day }>({
  host: [
    async ({}, use) => {
      const host = await Host.start();
      await host.decnet(["demo", "seed", "--yes", "--events", String(EVENTS)]);
      await use(host);
      await host.stop();
    },
    { scope: "worker", timeout: 120_000 },
  ],
  session: [async ({ host }, use) => use(await host.signIn()), { scope: "worker", timeout: 60_000 }],
  day: [
    async ({ host, session }, use) => {
      const api = await request.newContext({ baseURL: host.url, storageState: session });
      const get = async (path: string) => (await api.get(`/api/v1/${path}`)).json();
      // The day has to be stored before anybody looks.
      await expect.poll(async () => (await get("stats")).total_logs, { timeout: 60_000 }).toBeGreaterThanOrEqual(EVENTS);
      const attacker = (await get("attackers?sort_by=active&limit=1")).data[0].id;
      const command = (await get("logs?event_type=command&limit=1")).data[0].id;
      const bounty = (await get("bounty?limit=1")).data[0].id;
      // The profiler compares credentials behind the ingester.
      await expect.poll(async () => (await get("credential-reuse?limit=1")).data.length, { timeout: 60_000 }).toBe(1);
      const reuse = String((await get("credential-reuse?limit=1")).data[0].id);
      const user = (await get("users"))[0].id;
      await api.dispose();
      await use({ attacker, command, bounty, reuse, user });
    },
    { scope: "worker", timeout: 120_000 },
  ],
  baseURL: async ({ host }, use) => use(host.url),
  storageState: async ({ session }, use) => use(session),
});

// Each page on its own: both workers take part.
test.describe.configure({ mode: "parallel" });

/** What is to be said of a page beside its path. Where nothing is, it waits and fails like every page that fetches something. */
interface Ways {
  /** Only full: it fetches nothing, or looks like another line while it waits. */
  full?: true;
  /** The server function that it waits for, where all others have answered. */
  asks?: string;
  /** Where nothing has happened yet: the command that it shows; or its words, where there is nothing to be done. */
  empty?: RegExp | string;
  /** Where there is not even a decky: the command that it shows. */
  bare?: RegExp;
  /** The heads by which its list can be sorted: those of which the server has the order. */
  sorts?: string[];
}

/** How to touch a decky, and how to have one. */
const TOUCH = /^(ssh|curl|redis-cli|ftp) /;
const DEPLOY = /^decnet deploy /;

const ATTACKERS = ["Last seen", "Events", "Sign-ins", "Commands", "Loot"];
const FINDS = ["Seen", "Last"];
const FLEET = ["Decky", "State", "Address", "Persona", "For", "Events"];

/** Each page: its name in the pictures, its path, and how it looks where it is not full. */
const PAGES: [name: string, path: string, ways?: Ways][] = [
  ["overview", "/", { empty: TOUCH }],
  // Never empty where there is a decky: that its services were started are rows, too.
  ["live", "/live"],
  ["live-filtered", "/live?service=ssh&event_type=command", { full: true }],
  ["live-nothing", "/live?search=there-is-no-such-word", { full: true }],
  ["drawer", "/live?event_type=command&log=COMMAND"],
  ["attackers", "/attackers", { empty: TOUCH, sorts: ATTACKERS }],
  ["attacker", "/attackers/ATTACKER"],
  ["attacker-drawer", "/attackers?attacker=ATTACKER", { sorts: ATTACKERS }],
  ["credentials", "/credentials", { empty: TOUCH, sorts: FINDS }],
  ["credentials-nothing", "/credentials?search=there-is-no-such-word", { full: true }],
  ["bounty", "/credentials?bounty=BOUNTY", { sorts: FINDS }],
  ["reuse", "/credentials/reuse", { empty: TOUCH }],
  ["reuse-detail", "/credentials/reuse?reuse=REUSE"],
  ["overview-range", "/?last=24h", { full: true }],
  ["attackers-range", "/attackers?last=1h", { full: true, sorts: ATTACKERS }],
  ["fleet", "/fleet", { bare: DEPLOY }],
  ["fleet-table", "/fleet?view=table", { full: true, bare: DEPLOY, sorts: FLEET }],
  ["deploy", "/fleet?dialog=deploy", { asks: "deploy_choices" }],
  ["deploy-text", "/fleet?dialog=deploy&as=text", { full: true }],
  ["teardown", "/fleet?teardown=web-01", { full: true }],
  ["stop", "/fleet?stop=web-01", { full: true }],
  ["decky", "/fleet?decky=web-01", { full: true }],
  ["decky-gone", "/fleet?decky=no-such-decky", { full: true }],
  ["workers", "/workers"],
  ["worker-stop", "/workers?stop=profiler", { full: true }],
  ["settings", "/settings"],
  ["installation", "/settings/host"],
  ["token-new", "/settings?dialog=token", { full: true }],
  ["second-factor", "/second-factor"],
  ["users", "/settings/users"],
  ["user-new", "/settings/users?dialog=user", { full: true }],
  ["user", "/settings/users?user=USER", { full: true }],
  ["audit", "/settings/audit"],
  ["gallery", "/gallery", { full: true }],
  ["shortcuts", "/live?help=keys", { full: true }],
  ["login", "/login", { full: true }],
  ["password", "/password", { full: true }],
  ["quarantine", "/quarantine", { empty: "Every line became evidence" }],
  ["lost", "/no-such-page", { full: true }],
];

/** What there is not is answered with 404, and with a page all the same. */
const LOST = ["/no-such-page", "/attackers/nobody", "/attackers/01890a5d-ac96-774b-bcce-b302099a8057"];

/** Where the pictures go, if any are wanted. */
const PICTURES = process.env.DECNET_TEST_SCREENSHOTS;
const WIDTHS = [2560, 1440, 390];
const THEMES = ["dark", "light"] as const;
type Theme = (typeof THEMES)[number];

/** How long a test may take that goes through the pages of a state, in milliseconds. */
const THROUGH_MS = PICTURES ? 900_000 : 120_000;

async function show(page: Page, width: number, colorScheme: Theme): Promise<void> {
  await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  await page.setViewportSize({ width, height: width === 390 ? 844 : 1000 });
}

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

/** Go there as by a link of the page, which stays loaded; from a page that fetches nothing, so that nothing of another one is left. */
async function follow(page: Page, path: string): Promise<void> {
  for (const to of ["/no-such-page", path]) {
    await page.evaluate((to) => {
      const link = document.createElement("a");
      link.href = to;
      document.body.append(link);
      link.click();
      link.remove();
    }, to);
    await expect(page).toHaveURL(to);
    if (to !== path) await expect(page.getByText("There is no such page").first()).toBeVisible();
  }
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

function at(path: string, day: Day): string {
  return path
    .replace("ATTACKER", day.attacker)
    .replace("COMMAND", day.command)
    .replace("BOUNTY", day.bounty)
    .replace("REUSE", day.reuse)
    .replace("USER", day.user);
}

/** What stands where something is being fetched. */
const BUSY = ".loading, .histogram-blank";

async function settled(page: Page): Promise<void> {
  // The gallery shows what loading looks like.
  const loading = page.url().endsWith("/gallery") ? 1 : 0;
  await expect(page.locator(BUSY)).toHaveCount(loading);
  await expect(page.getByRole("heading", { level: 1 }).first()).toBeVisible();
  await page.evaluate(() => document.fonts.ready);
}

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
    // The same colours, once more, where most is seen.
    await show(page, 1440, "dark");
    await nobodyIsShutOut(page);
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
