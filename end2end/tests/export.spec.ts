// What is shown can be taken along: every list as a file of what its filters leave, and lists for password crackers.

import { readFileSync } from "node:fs";
import type { Locator, Page } from "@playwright/test";
import { redis, ssh } from "../attack";
import { expect, marker, open, test } from "../test";

/** A secret that two strangers try at one decky, and one of them at another service, too. */
const word = marker();
const strangers = ["127.8.1.1", "127.8.1.2"];

test.beforeAll(async ({ host }) => {
  const { at } = host.account();
  for (const from of strangers) await ssh(at, "root", word, "id", from);
  await redis(await host.service("redis"), "AUTH", word);
});

/** Open the export menu of `where` and take a file of it. */
async function saved(page: Page, name: string, where: Locator = page.locator(".page-tools")): Promise<string> {
  await where.locator(".export summary").click();
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    where.locator(".export .menu-body").getByRole("link", { name: new RegExp(`^${name}`) }).click(),
  ]);
  // Who took a file is done with the menu.
  await expect(where.locator(".export .menu-body")).toBeHidden();
  return readFileSync(await file.path(), "utf8");
}

test("the log is saved as CSV and as JSON, of what the filters leave", async ({ page, complaints }) => {
  await open(page, `/live?search=${word}&service=ssh`);
  const rows = page.locator("table.logs tbody tr");
  await expect(rows).toHaveCount(strangers.length);
  const lines = (await saved(page, "CSV")).trimEnd().split("\r\n");
  expect(lines[0]).toContain('"id","at","received_at","decky","service"');
  expect(lines.slice(1)).toHaveLength(strangers.length);
  for (const line of lines.slice(1)) expect(line).toContain(word);
  const json: { service: string; attacker_ip: string }[] = JSON.parse(await saved(page, "JSON"));
  expect(json.map((row) => row.attacker_ip).sort()).toEqual(strangers);
  expect(new Set(json.map((row) => row.service))).toEqual(new Set(["ssh"]));
  complaints.none();
});

test("every other list is saved, too", async ({ page, complaints }) => {
  await open(page, `/attackers?search=${strangers[0]}`);
  const attackers = JSON.parse(await saved(page, "JSON"));
  expect(attackers.map((attacker: { ip: string }) => attacker.ip)).toEqual([strangers[0]]);

  await open(page, `/credentials?search=${word}&service=redis`);
  const finds = JSON.parse(await saved(page, "JSON"));
  expect(finds.map((find: { value: string }) => find.value)).toEqual([word]);
  expect(await saved(page, "Passwords")).toContain(`${word}\n`);
  expect(await saved(page, "Pairs")).toContain(`root:${word}\n`);

  await open(page, "/fleet?view=table");
  const fleet = await saved(page, "CSV");
  expect(fleet.trimEnd().split("\r\n")).toHaveLength(1 + (await page.locator("table.fleet tbody tr").count()));
  const tasks = JSON.parse(await saved(page, "Tasks, JSON"));
  expect(tasks.map((task: { operation: string }) => task.operation)).toContain("deploy");

  await open(page, "/settings/audit");
  expect(await saved(page, "CSV", page.locator(".table-bar"))).toContain('"auth.login"');

  await open(page, "/settings/users");
  const users = JSON.parse(await saved(page, "JSON", page.locator(".table-bar")));
  expect(users).toHaveLength(await page.locator("table.users tbody tr").count());

  await open(page, "/settings");
  const signedIn = page.locator(".panel").filter({ has: page.getByRole("heading", { name: "Where you are signed in" }) });
  const sessions = JSON.parse(await saved(page, "JSON", signedIn));
  expect(sessions.filter((session: { current: boolean }) => session.current)).toHaveLength(1);

  await open(page, "/workers");
  expect(await saved(page, "CSV")).toContain('"ingester"');

  await open(page, "/quarantine");
  expect(await saved(page, "CSV")).toContain('"id","received_at"');
  complaints.none();
});

test("an attacker's commands are saved", async ({ page, host, complaints }) => {
  const typed = marker();
  const from = "127.8.1.3";
  const { at, user, password } = host.account();
  await ssh(at, user, password, `echo ${typed}`, from);
  await open(page, `/attackers?search=${from}`);
  await page.getByRole("row").filter({ hasText: from }).getByRole("link").click();
  await page.getByRole("link", { name: "Everything about this attacker" }).click();
  const commands = page.locator(".panel").filter({ has: page.getByRole("heading", { name: "Commands" }) });
  await expect(commands).toContainText(typed);
  expect(await saved(page, "CSV", commands)).toContain(`echo ${typed}`);
  // Of a time that is shown, the file has what was then.
  await open(page, `${new URL(page.url()).pathname}?start_time=2020-01-01T10:00:00Z`);
  await commands.locator(".export summary").click();
  const href = await commands.locator(".export .menu-body").getByRole("link", { name: /^CSV/ }).getAttribute("href");
  expect(href).toContain("start_time=2020-01-01T10:00:00Z");
  const file = async (time: string) => (await page.request.get(href!.replace("start_time", time))).text();
  expect(await file("start_time")).toContain(`echo ${typed}`);
  expect(await file("end_time")).not.toContain(`echo ${typed}`);
  complaints.none();
});

test("a menu is closed by Escape, which gives the focus back, and by a click elsewhere", async ({ page }) => {
  await open(page, "/live");
  const summary = page.locator(".page-tools .export summary");
  const body = page.locator(".page-tools .export .menu-body");
  await summary.click();
  await expect(body).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(body).toBeHidden();
  await expect(summary).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(body).toBeVisible();
  await page.getByRole("heading", { level: 1 }).click();
  await expect(body).toBeHidden();
});

test("a secret that is used again is told with who used it on what, and can be linked to", async ({ page, host, context, complaints }) => {
  await open(page, "/credentials");
  await page.getByRole("navigation", { name: "Views of the credentials" }).getByRole("link", { name: "Used again" }).click();
  await expect(page).toHaveURL(/\/credentials\/reuse$/);
  const row = page.locator("table.reuse tbody tr").filter({ hasText: word });
  // The profiler compares behind the ingester.
  await expect(async () => {
    await page.reload();
    await expect(row).toBeVisible({ timeout: 2_000 });
  }).toPass();
  await page.locator("html[data-hydrated]").waitFor({ state: "attached" });
  await row.getByRole("link").click();
  const drawer = page.getByRole("dialog", { name: "Used again" });
  const used = drawer.locator(".used li");
  for (const from of strangers) await expect(used.filter({ hasText: from })).toContainText("ssh");
  await expect(used.filter({ hasText: "redis" })).toBeVisible();
  expect(await host.deckies()).not.toHaveLength(0);

  const other = await context.newPage();
  await open(other, page.url());
  await expect(other.getByRole("dialog", { name: "Used again" }).locator(".used li").first()).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(drawer).toHaveCount(0);

  // Of the pair of account and secret, redis is no part: it was given no account.
  await page.getByRole("combobox", { name: "What is the same" }).selectOption("pair");
  await expect(page).toHaveURL(/scope=pair/);
  await expect(row).toContainText("root");
  const json = JSON.parse(await saved(page, "JSON"));
  expect(json.find((reuse: { value: string }) => reuse.value === word).attackers).toBe(strangers.length);
  complaints.none();
});
