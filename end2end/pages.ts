// Every page and every state of one that has a URL, and hosts with a day of evidence to show on them.

import { request, test as base, type Page } from "@playwright/test";
import { Host, type Session } from "./host";
import { expect, goTo } from "./test";

/** What the demo evidence has: the busiest attacker, a command of somebody, the last find; and the administrator. */
export interface Day {
  attacker: string;
  command: string;
  bounty: string;
  reuse: string;
  user: string;
}

/** Tests on hosts of their own, with a day of so many lines of demo evidence, and with what `also` does there. */
export const onDay = (events: number, also = async (_: Host): Promise<void> => {}) =>
  base.extend<object, { host: Host; session: Session; day: Day }>({
    host: [
      async ({}, use) => {
        const host = await Host.start();
        await host.decnet(["demo", "seed", "--yes", "--events", String(events)]);
        await host.decnet(["user", "token", "add", "admin", "backup"]);
        await also(host);
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
        await expect.poll(async () => (await get("stats")).total_logs, { timeout: 60_000 }).toBeGreaterThanOrEqual(events);
        /** The first of a list. What is compared and drawn from the rows comes behind them. */
        const first = async (path: string) => {
          let found: { id: string | number } | undefined;
          await expect.poll(async () => (found = (await get(`${path}limit=1`)).data[0]), { timeout: 60_000 }).toBeDefined();
          return String(found!.id);
        };
        const attacker = await first("attackers?sort_by=active&");
        const command = await first("logs?event_type=command&");
        const bounty = await first("bounty?");
        const reuse = await first("credential-reuse?");
        const user = (await get("users"))[0].id;
        await api.dispose();
        await use({ attacker, command, bounty, reuse, user });
      },
      { scope: "worker", timeout: 120_000 },
    ],
    baseURL: async ({ host }, use) => use(host.url),
    storageState: async ({ session }, use) => use(session),
  });

/** What is to be said of a page beside its path. Where nothing is, it waits and fails like every page that fetches something. */
export interface Ways {
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
const TOKEN = /^decnet user token add /;

const ATTACKERS = ["Last seen", "Events", "Tries", "Commands", "Loot"];
const FINDS = ["Seen", "Last"];
const FLEET = ["Decky", "State", "Address", "Persona", "For", "Events"];

/** Each page: its name in the pictures, its path, and how it looks where it is not full. */
export const PAGES: [name: string, path: string, ways?: Ways][] = [
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
  ["tokens", "/settings/tokens", { empty: TOKEN }],
  ["audit", "/settings/audit"],
  ["gallery", "/gallery", { full: true }],
  ["shortcuts", "/live?help=keys", { full: true }],
  ["login", "/login", { full: true }],
  ["password", "/password", { full: true }],
  ["quarantine", "/quarantine", { empty: "Every line became evidence" }],
  ["lost", "/no-such-page", { full: true }],
];

/** The path of a page on a day. */
export function at(path: string, day: Day): string {
  return path
    .replace("ATTACKER", day.attacker)
    .replace("COMMAND", day.command)
    .replace("BOUNTY", day.bounty)
    .replace("REUSE", day.reuse)
    .replace("USER", day.user);
}

/** Go there as by a link of the page, which stays loaded; from a page that fetches nothing, so that nothing of another one is left. */
export async function follow(page: Page, path: string): Promise<void> {
  await goTo(page, "/no-such-page");
  await expect(page.getByText("There is no such page").first()).toBeVisible();
  await goTo(page, path);
}

/** What stands where something is being fetched. */
export const BUSY = ".loading, .histogram-blank";

/** The page has everything. */
export async function settled(page: Page): Promise<void> {
  // The gallery shows what loading looks like.
  const loading = page.url().endsWith("/gallery") ? 1 : 0;
  await expect(page.locator(BUSY)).toHaveCount(loading);
  await expect(page.getByRole("heading", { level: 1 }).first()).toBeVisible();
  await page.evaluate(() => document.fonts.ready);
}

export const THEMES = ["dark", "light"] as const;
export type Theme = (typeof THEMES)[number];

/** Show a page in a width and a theme, with nothing moving. */
export async function show(page: Page, width: number, colorScheme: Theme): Promise<void> {
  await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  await page.setViewportSize({ width, height: width === 390 ? 844 : 1000 });
}
