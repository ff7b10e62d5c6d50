// The bell tells of what has to be looked at, once a kind, and leads there; toasts tell what came of an action.

import { curl, redis, ssh } from "../attack";
import { expect, live, onOwnHost, open } from "../test";

const test = onOwnHost();

test("nobody got in and all runs: the bell says so; somebody gets in: it counts, leads there, and is read", async ({ page, host, complaints }) => {
  const { host: ip, port } = await host.service("http");
  await curl(`http://${ip}:${port}/`);
  await redis(await host.service("redis"), "PING");
  await open(page, "/fleet");
  await live(page);
  const bell = page.locator(".bell");
  const summary = bell.locator("summary");
  await expect(summary).toHaveAttribute("aria-label", "Alerts: nothing new");
  await summary.click();
  await expect(bell.getByText("All is quiet")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(summary).toBeFocused();

  const { at, user, password } = host.account();
  const from = "127.8.2.1";
  await ssh(at, user, password, "id", from);
  await expect(summary).toHaveAttribute("aria-label", "Alerts: 1 new");
  await ssh(at, user, password, "id", "127.8.2.2");
  await summary.click();
  const alert = bell.locator(".alert-intrusion");
  await expect(alert).toContainText("2 attackers signed in to a decoy");
  await expect(alert).toContainText(from);
  await expect(alert.locator(".glyph"), "the mark of each of them").toHaveCount(2);
  await alert.getByRole("link").click();
  await expect(page).toHaveURL(/\/live\?event_type=auth_attempt&search=outcome:accepted&last=24h$/);
  const theirs = page.locator("table.logs tbody tr").filter({ hasText: from }).first();
  await expect(theirs).toBeVisible();
  await expect(theirs, "who was let in is in").toHaveClass(/w-hands/);
  await expect(bell.locator(".menu-body")).toBeHidden();
  await expect(summary).toHaveAttribute("aria-label", "Alerts: nothing new");

  // What was read stays read, until it happens again.
  await page.reload();
  await live(page);
  await expect(summary).toHaveAttribute("aria-label", "Alerts: nothing new");
  await ssh(at, user, password, "id", "127.8.2.3");
  await expect(summary).toHaveAttribute("aria-label", "Alerts: 1 new");
  complaints.none();
});

test("what an action has done is told, and dismissed by its button or by Escape", async ({ page, complaints }) => {
  await open(page, "/settings/host");
  const knob = page.locator(".knob").filter({ hasText: "Most deckies" });
  const toast = page.locator(".toasts").getByText("The setting holds from now on.");
  for (const [most, dismiss] of [
    ["40", () => page.locator(".toast").getByRole("button", { name: "Dismiss" }).click()],
    ["41", () => page.keyboard.press("Escape")],
  ] as const) {
    await page.getByLabel("Most deckies").fill(most);
    await knob.getByRole("button").click();
    await expect(toast).toBeVisible();
    await page.getByRole("heading", { level: 2 }).first().click();
    await dismiss();
    await expect(toast).toHaveCount(0);
  }
  // It is said, not only shown.
  await expect(page.locator(".toasts")).toHaveAttribute("aria-live", "polite");
  complaints.none();
});
