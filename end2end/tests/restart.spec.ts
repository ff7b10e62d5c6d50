// Ctrl-C ends everything; the next start has everything.

import { expect, test } from "@playwright/test";
import { redis } from "../attack";
import { Host } from "../host";
import { live, marker, open } from "../test";

test("a host stops in order, leaves nothing running, and comes back with fleet, evidence and session", async ({ browser }) => {
  const host = await Host.start();
  try {
    const session = await host.signIn();
    const context = await browser.newContext({ baseURL: host.url, storageState: session });
    const page = await context.newPage();
    const word = marker();
    const row = page.locator("table.logs tr").filter({ hasText: word });
    await redis(await host.service("redis"), "SET", word, "1");
    await open(page, "/live");
    await expect(row.first()).toBeVisible();
    await live(page);
    const fleet = await host.deckies();
    expect(host.processes().length).toBeGreaterThan(fleet.length);

    expect(await host.interrupt()).toBe(0);
    // First who makes evidence, then who carries it, then who shows it.
    const stopped = [...host.printed.matchAll(/^ *(\w+) \|.*\bstopped\b/gm)].map(([, name]) => name);
    expect(stopped).toEqual(["mutator", "collector", "ingester", "profiler", "server", "bus", "up"]);
    expect(host.processes()).toEqual([]);
    await expect(page.locator(".live-dot")).not.toHaveText(/^live/);

    await host.restart();
    // The page finds back by itself, and so does whoever comes anew.
    await live(page);
    await redis(await host.service("redis"), "SET", word, "again");
    await expect(row.filter({ hasText: "again" })).toBeVisible();
    const second = await context.newPage();
    await open(second, "/live");
    await expect(second.locator("table.logs tr").filter({ hasText: `${word} 1` })).toBeVisible();
    const again = await host.deckies();
    const same = (deckies: typeof fleet) => deckies.map(({ name, ip, state, services }) => ({ name, ip, state, services }));
    expect(same(again)).toEqual(same(fleet));
    expect(await host.decnet(["spool", "verify"])).not.toContain("changed");
    await context.close();
  } finally {
    await host.stop();
  }
  expect(host.processes()).toEqual([]);
});
