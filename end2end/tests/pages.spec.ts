// Every page, in every width and theme, with a day of evidence: nothing complains, nothing is out of reach.

import AxeBuilder from "@axe-core/playwright";
import { join } from "node:path";
import { request, test as base, type Page, type TestInfo } from "@playwright/test";
import { Host, type Session } from "../host";
import { Complaints, expect, fits, open } from "../test";

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

/** Name of the screenshot and path. */
const PAGES: [string, string][] = [
  ["overview", "/"],
  ["live", "/live"],
  ["live-filtered", "/live?service=ssh&event_type=command"],
  ["live-nothing", "/live?search=there-is-no-such-word"],
  ["drawer", "/live?event_type=command&log=COMMAND"],
  ["attackers", "/attackers"],
  ["attacker", "/attackers/ATTACKER"],
  ["attacker-drawer", "/attackers?attacker=ATTACKER"],
  ["credentials", "/credentials"],
  ["credentials-nothing", "/credentials?search=there-is-no-such-word"],
  ["bounty", "/credentials?bounty=BOUNTY"],
  ["reuse", "/credentials/reuse"],
  ["reuse-detail", "/credentials/reuse?reuse=REUSE"],
  ["overview-range", "/?last=24h"],
  ["attackers-range", "/attackers?last=1h"],
  ["fleet", "/fleet"],
  ["fleet-table", "/fleet?view=table"],
  ["deploy", "/fleet?dialog=deploy"],
  ["teardown", "/fleet?teardown=web-01"],
  ["decky", "/fleet?decky=web-01"],
  ["decky-gone", "/fleet?decky=no-such-decky"],
  ["workers", "/workers"],
  ["worker-stop", "/workers?stop=profiler"],
  ["settings", "/settings"],
  ["installation", "/settings/host"],
  ["token-new", "/settings?dialog=token"],
  ["second-factor", "/second-factor"],
  ["users", "/settings/users"],
  ["user-new", "/settings/users?dialog=user"],
  ["user", "/settings/users?user=USER"],
  ["audit", "/settings/audit"],
  ["gallery", "/gallery"],
  ["shortcuts", "/live?help=keys"],
  ["password", "/password"],
  ["quarantine", "/quarantine"],
  ["lost", "/no-such-page"],
];

/** What there is not is answered with 404, and with a page all the same. */
const LOST = ["/no-such-page", "/attackers/nobody", "/attackers/01890a5d-ac96-774b-bcce-b302099a8057"];

/** Where the pictures go. */
function pictures(info: TestInfo): string {
  return process.env.DECNET_SCREENSHOTS ?? join(info.project.outputDir, "pages");
}

function at(path: string, day: Day): string {
  return path
    .replace("ATTACKER", day.attacker)
    .replace("COMMAND", day.command)
    .replace("BOUNTY", day.bounty)
    .replace("REUSE", day.reuse)
    .replace("USER", day.user);
}

async function settled(page: Page): Promise<void> {
  // The gallery shows what loading looks like.
  const loading = page.url().endsWith("/gallery") ? 1 : 0;
  await expect(page.locator(".loading, .histogram-blank")).toHaveCount(loading);
  await expect(page.getByRole("heading", { level: 1 }).first()).toBeVisible();
  await page.evaluate(() => document.fonts.ready);
}

for (const [name, path] of PAGES) {
  test(`${name}: nothing complains, scrolls sideways or shuts anybody out, in every width and theme`, async ({ page, day }, info) => {
    const complaints = new Complaints(page);
    await page.emulateMedia({ reducedMotion: "reduce" });
    await open(page, at(path, day));
    const release = await page.locator("script[data-pieces]").count();
    test.skip(path === "/gallery" && release > 0, "a release has no gallery");
    await settled(page);
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      for (const width of [2560, 1440, 390]) {
        await page.setViewportSize({ width, height: width === 390 ? 844 : 1000 });
        await page.screenshot({ path: join(pictures(info), `${name}-${width}-${colorScheme}.png`) });
        await fits(page);
        // Colours are of the theme, and the tree is of the width: two looks see all of both.
        if (width === (colorScheme === "dark" ? 390 : 1440)) await nobodyIsShutOut(page);
      }
    }
    // The same colours, once more, where most is seen.
    await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
    await page.setViewportSize({ width: 1440, height: 1000 });
    await nobodyIsShutOut(page);
    complaints.none(name === "lost" ? /404/ : undefined);
  });
}

/** What of a path opens something beside or above the page. */
const OPENS = /[?&](log|attacker|bounty|reuse|decky|user|dialog|teardown|stop|help)=/;

test.describe("without scripts", () => {
  test.use({ javaScriptEnabled: false });

  for (const [name, path] of PAGES) {
    test(`${name}: the server's answer is the whole page`, async ({ page, day }) => {
      const answer = await page.goto(at(path, day));
      const status = answer?.status();
      test.skip(path === "/gallery" && status === 404, "a release has no gallery");
      expect(status).toBe(name === "lost" ? 404 : 200);
      const heading = page.getByRole("heading", { level: 1 }).first();
      await expect(heading).toBeVisible();
      await expect(page).toHaveTitle(/. · DECNET$/);
      // The gallery shows what loading looks like.
      await expect(page.locator(".loading, .histogram-blank")).toHaveCount(path === "/gallery" ? 1 : 0);
      const main = page.locator("main");
      await expect(main).toHaveCount(1);
      const words = (await main.innerText()).replace(await heading.innerText(), "").trim();
      expect(words.length, "characters below the heading").toBeGreaterThan(20);
      // Nor, but there, does anything go wrong.
      if (path !== "/gallery") await expect(page.locator(".problem")).toHaveCount(0);
      if (OPENS.test(path)) await expect(page.getByRole("dialog").first()).toContainText(/\S/);
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
