// The way of one attacker through deckies: the metro map of their page, and what the API tells of it.

import { request } from "node:http";
import { connect } from "node:net";
import type { Page } from "@playwright/test";
import { ssh } from "../attack";
import { address, type Decky } from "../host";
import { expect, fits, live, open, test } from "../test";

/** Connect to a decky from an address of this machine, and leave again. */
function touch(decky: Decky, from: string): Promise<void> {
  const { host, port } = address(decky.services.flatMap(({ listen }) => listen)[0]);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), localAddress: from }, () => socket.end());
    // Whoever speaks first has to be heard, or nobody hears the end.
    socket.resume();
    socket.on("error", reject).on("close", () => resolve());
  });
}

const get = async (page: Page, path: string) => (await page.request.get(`/api/v1/${path}`)).json();

/** Whoever has this address; others may begin with it. */
async function attacker(page: Page, ip: string): Promise<{ id: string; glyph: string } | undefined> {
  const found: { id: string; ip: string; glyph: string }[] = (await get(page, `attackers?search=${ip}`)).data;
  return found.find((one) => one.ip === ip);
}

/** Touch deckies one after the other: each once what the one before tells is stored. */
async function go(page: Page, deckies: Decky[], from: string): Promise<void> {
  for (const decky of deckies) {
    const connects = async () => {
      const rows = await get(page, `logs?attacker_ip=${from}&decky=${decky.name}&event_type=connect&limit=100`);
      return rows.data.length;
    };
    const before = await connects();
    await touch(decky, from);
    await expect.poll(connects, { timeout: 20_000 }).toBe(before + 1);
  }
}

/** Three that listen. */
const three = (deckies: Decky[]) => deckies.filter(({ services }) => services.some(({ listen }) => listen.length > 0)).slice(0, 3);

test("an attacker's way has its deckies in the order of the first touch, and goes on by itself", async ({ page, host, complaints }) => {
  const from = "127.8.4.1";
  const [first, second, third] = three(await host.deckies());
  expect(third, "a fleet of three deckies that listen").toBeDefined();
  await go(page, [second, first, third], from);
  const { id } = (await attacker(page, from))!;

  await open(page, `/attackers/${id}`);
  await live(page);
  const stations = page.locator(".metro-map .station-name");
  const hops = page.getByRole("list", { name: "Hops in the order in which they were first made" }).getByRole("listitem");
  await expect(stations).toHaveText([second.name, first.name, third.name]);
  await expect(page.locator(".metro-map circle")).toHaveCount(3);
  await expect(hops).toHaveCount(2);
  await expect(hops.first()).toContainText(`${second.name}`);
  await expect(hops.first()).toContainText("once");
  const last = page.locator(".metro-map li").filter({ hasText: "last seen here" });
  await expect(last).toHaveCount(1);
  await expect(last).toContainText(third.name);

  // Another touch moves the map, on the page that is open.
  await page.evaluate(() => document.body.setAttribute("data-same-page", ""));
  await go(page, [second], from);
  await expect(hops).toHaveCount(3);
  await expect(last).toContainText(second.name);
  await expect(stations).toHaveText([second.name, first.name, third.name]);
  await expect(page.locator(".metro-map .hop title")).toHaveText([/: once/, /: once/, new RegExp(`^${third.name} to ${second.name}: once`)]);
  await expect(page.locator("body[data-same-page]")).toHaveCount(1);

  // What the API tells is the same.
  const way = await get(page, `attackers/${id}/traversal`);
  expect(way.stations.map(({ decky }: { decky: string }) => decky)).toEqual([second.name, first.name, third.name]);
  expect(way.hops.map(({ from, to, count }: { from: string; to: string; count: number }) => [from, to, count])).toEqual([
    [second.name, first.name, 1],
    [first.name, third.name, 1],
    [third.name, second.name, 1],
  ]);
  complaints.none();
});

test("a station is reached by the keyboard and leads to what happened there, a hop to its first row", async ({ page, host, complaints }) => {
  const from = "127.8.4.2";
  const [first, second] = three(await host.deckies());
  await go(page, [first, second], from);
  const { id } = (await attacker(page, from))!;
  await open(page, `/attackers/${id}`);

  const station = page.getByRole("list", { name: "Deckies in the order of the first touch" }).getByRole("link").nth(1);
  await expect(station).toContainText(second.name);
  const before = page.getByRole("list", { name: "Deckies in the order of the first touch" }).getByRole("link").first();
  await before.focus();
  await page.keyboard.press("Tab");
  await expect(station).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`/live\\?attacker_ip=${from}&decky=${second.name}$`));
  const rows = page.locator("table.logs tbody tr");
  await expect(rows.first()).toContainText(second.name);
  await expect(rows.filter({ hasNotText: second.name })).toHaveCount(0);

  await page.goBack();
  const hop = page.getByRole("list", { name: "Hops in the order in which they were first made" }).getByRole("link");
  await hop.focus();
  const stood = await page.evaluate(() => window.scrollY);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/[?&]log=\d+/);
  await expect(page.getByRole("dialog")).toContainText(second.name);
  await expect(page.getByRole("dialog").getByRole("link", { name: "Close" })).toBeFocused();
  // Who closes it is where they were, and not at the row in the log further down.
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(hop).toBeFocused();
  expect(await page.evaluate(() => window.scrollY)).toBe(stood);
  complaints.none();
});

test("a way of one decky says so, and fits a phone in both themes", async ({ page, host, complaints }) => {
  const from = "127.8.4.3";
  const deckies = three(await host.deckies());
  await go(page, [deckies[0]], from);
  const { id } = (await attacker(page, from))!;
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, `/attackers/${id}`);
  await expect(page.locator(".metro")).toContainText("Nowhere else yet");
  await go(page, [deckies[1], deckies[2], deckies[0]], from);
  for (const colorScheme of ["dark", "light"] as const) {
    await page.emulateMedia({ colorScheme });
    await open(page, `/attackers/${id}`);
    await expect(page.locator(".metro-map .station-name")).toHaveCount(3);
    await expect(page.locator(".metro")).not.toContainText("Nowhere else yet");
    await fits(page);
  }
  complaints.none();
});

test("a tool has the same mark from every address, and one thing more leaves what is there", async ({ page, host, complaints }) => {
  const { host: at, port } = await host.service("http");
  const ask = (from: string, agent: string) =>
    new Promise<void>((resolve, reject) => {
      const asked = request({ host: at, port, localAddress: from, headers: { "User-Agent": agent } }, (answer) => {
        answer.resume().on("end", () => resolve());
      });
      asked.on("error", reject).end();
    });
  const [one, same, other] = ["127.8.4.11", "127.8.4.12", "127.8.4.13"];
  await ask(one, "tool-of-this-test/1.0");
  await ask(same, "tool-of-this-test/1.0");
  await ask(other, "quite-another/7");
  const seed = async (ip: string) => (await attacker(page, ip))?.glyph ?? "";
  for (const ip of [one, same, other]) await expect.poll(() => seed(ip), { timeout: 20_000 }).toMatch(/^client:/);
  const before = await seed(one);
  expect(await seed(same)).toBe(before);
  expect(await seed(other)).not.toBe(before);

  const { at: server, user } = host.account();
  await ssh(server, user, "wrong-password", "id", one);
  await expect.poll(() => seed(one), { timeout: 20_000 }).toMatch(/^ssh:[0-9a-f]{8} client:/);
  expect((await seed(one)).endsWith(` ${before}`), "what it called itself first stays").toBe(true);

  // Colour and ring are still those of the same tool; the figure is of its SSH.
  const mark = async (ip: string) => {
    await open(page, `/attackers?search=${ip}`);
    const glyph = page.getByRole("row").filter({ hasText: ip }).locator(".glyph").first();
    return glyph.evaluate((glyph) => {
      const [ring, figure] = [...glyph.querySelectorAll("path")].map((path) => path.getAttribute("d"));
      return { colour: glyph.classList.item(1), ring, figure };
    });
  };
  const [here, there] = [await mark(one), await mark(same)];
  expect([here.colour, here.ring]).toEqual([there.colour, there.ring]);
  expect(here.figure).not.toBe(there.figure);
  complaints.none();
});
