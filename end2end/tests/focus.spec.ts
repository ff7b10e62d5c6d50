// Who works by the keyboard stays where they are when what they asked for is fetched anew, or drawn anew.

import type { Page } from "@playwright/test";
import { curl } from "../attack";
import type { Host } from "../host";
import { expect, goTo, open, test } from "../test";

/** Somebody who touched a service once, by the path of their page. */
async function somebody(page: Page, host: Host, from: string): Promise<string> {
  const http = await host.service("http");
  await curl(`http://${http.host}:${http.port}/`, from);
  const found = async () => {
    const { data }: { data: { id: string; ip: string }[] } = await (await page.request.get(`/api/v1/attackers?search=${from}`)).json();
    return data.find(({ ip }) => ip === from)?.id;
  };
  await expect.poll(found, { timeout: 20_000 }).toBeDefined();
  return `/attackers/${await found()}`;
}

/** Have the page of an attacker show what `busy` makes of them. */
async function show(page: Page, busy: (dossier: any, asked: { all_lanes?: boolean | null }) => void): Promise<void> {
  await page.route("**/ui/dossier_get", async (route) => {
    const answer = await route.fetch();
    const dossier = await answer.json();
    busy(dossier, route.request().postDataJSON());
    await route.fulfill({ response: answer, json: dossier });
  });
}

// What is still being answered when a test is done is nobody's.
test.afterEach(({ page }) => page.unrouteAll({ behavior: "ignoreErrors" }));

const names = (count: number) => Array.from({ length: count }, (_, n) => `host-${String(n).padStart(2, "0")}`);

test("the lanes of more deckies are asked for, and left out again, without losing the focus", async ({ page, host, complaints }) => {
  const path = await somebody(page, host, "127.8.6.1");
  await show(page, ({ trail }, { all_lanes }) => {
    const [mark] = trail.marks;
    const [[, service]] = trail.places;
    trail.places = names(12).map((decky) => [decky, service, 1]);
    trail.marks = names(all_lanes ? 12 : 8).map((decky) => ({ ...mark, decky }));
    trail.visits = [];
  });
  await open(page, "/attackers");
  await goTo(page, path);
  const lanes = page.getByRole("list", { name: "Deckies", exact: true }).getByRole("listitem");
  await expect(lanes).toHaveCount(8);
  const more = page.getByRole("link", { name: "and 4 more deckies" });
  await more.focus();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/[?&]lanes=all$/);
  await expect(lanes).toHaveCount(12);
  const fewer = page.getByRole("link", { name: "only 8 of them" });
  await expect(fewer).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(lanes).toHaveCount(8);
  await expect(more).toBeFocused();
  complaints.none();
});

test("where the link is no more, the heading of the drawing has the focus", async ({ page, host, complaints }) => {
  const path = await somebody(page, host, "127.8.6.2");
  await open(page, `${path}?start_time=2020-01-01T00:00:00Z`);
  const all = page.getByRole("link", { name: "All of it", exact: true });
  await all.focus();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(path);
  await expect(all).toHaveCount(0);
  await expect(page.getByRole("heading", { name: "The line" })).toBeFocused();
  // From there on goes who uses the keyboard.
  await page.keyboard.press("Tab");
  await expect(page.locator("body")).not.toBeFocused();
  complaints.none();
});

test("a busy way says what is left out, and all hops are listed by a link that keeps the focus", async ({ page, host, complaints }) => {
  const path = await somebody(page, host, "127.8.6.3");
  await show(page, ({ way }) => {
    const [station] = way.stations;
    way.stations = names(11).map((decky) => ({ ...station, decky }));
    const { first_at, log_id } = station;
    const ends = names(11).flatMap((from) => names(11).map((to) => [from, to]));
    way.hops = ends
      .filter(([from, to]) => from !== to)
      .map(([from, to]) => ({
        from,
        to,
        count: 1,
        // The longest of all lines is the only one by which anything was run.
        commands: from === "host-00" && to === "host-10" ? 3 : 0,
        auth_attempts: 0,
        first_at,
        last_at: first_at,
        quickest_ms: 0,
        slowest_ms: 0,
        log_id,
      }));
  });
  await open(page, "/attackers");
  await goTo(page, path);
  const metro = page.locator(".metro");
  const hops = page.getByRole("list", { name: "Hops in the order in which they were first made" }).getByRole("listitem");
  await expect(hops).toHaveCount(60);
  await expect(metro).toContainText(/\d+ of 110 lines are drawn; the list has all/);
  await expect(metro.locator(".hop.w-hands title")).toHaveText("host-00 to host-10: once, without a pause, 3 commands");
  await expect(metro).toContainText("A hop is a step to another decky");
  await expect(metro).toContainText(/· \d+ sessions?, /);
  const more = page.getByRole("link", { name: "and 50 more, lighter ones" });
  await more.focus();
  await page.keyboard.press("Enter");
  await expect(hops).toHaveCount(110);
  const fewer = page.getByRole("link", { name: "only the 60 heaviest" });
  await expect(fewer).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(hops).toHaveCount(60);
  await expect(more).toBeFocused();
  complaints.none();
});

test("a way of many stations shows those where they ran something, and all by a link that keeps the focus", async ({ page, host, complaints }) => {
  const path = await somebody(page, host, "127.8.6.4");
  await show(page, ({ way, trail }) => {
    const [station] = way.stations;
    const { first_at, log_id } = station;
    way.stations = names(20).map((decky) => ({ ...station, decky }));
    way.stations[0].last_session_at = "2100-01-01T00:00:00Z";
    way.hops = names(20)
      .slice(1)
      .map((to, n) => ({
        from: "host-00",
        to,
        count: 1,
        commands: n < 2 ? 1 : 0,
        auth_attempts: 0,
        first_at,
        last_at: first_at,
        quickest_ms: 0,
        slowest_ms: 0,
        log_id,
      }));
    trail.changes = [{ decky: "host-00", at: first_at, log_id, words: "http started" }];
  });
  await open(page, "/attackers");
  await goTo(page, path);
  const stations = page.locator(".metro-map .station-name");
  await expect(stations).toHaveText(["host-00", "host-01", "host-02"]);
  await expect(page.locator(".metro-map circle")).toHaveCount(3);
  const more = page.getByRole("link", { name: "and 17 less busy" });
  await more.focus();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/[?&]stations=all$/);
  await expect(stations).toHaveCount(20);
  const fewer = page.getByRole("link", { name: "only the 3 busiest" });
  await expect(fewer).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(stations).toHaveCount(3);
  await expect(more).toBeFocused();

  // On a phone a station's tags are there whole.
  await page.setViewportSize({ width: 390, height: 844 });
  const tags = page.locator(".metro-map li").first().locator(".station-tags .tag");
  await expect(tags).toHaveCount(2);
  const cut = await tags.evaluateAll((all) => all.filter((tag) => tag.scrollWidth > tag.clientWidth + 1).map((tag) => tag.textContent));
  expect(cut, "tags that are cut").toEqual([]);
  complaints.none();
});
