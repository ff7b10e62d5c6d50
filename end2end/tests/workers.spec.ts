// A worker that dies again and again: left alone, said so everywhere, and tried again by whoever has looked at it.

import { expect, live, onOwnHost, open } from "../test";

const test = onOwnHost();

test("a worker's heartbeat is told in its card, and leaves the focus where it is", async ({ page, complaints }) => {
  // It comes every half a minute.
  test.slow();
  await open(page, "/workers");
  await live(page);
  const card = page.locator(".worker").filter({ hasText: "profiler" });
  const stop = card.getByRole("link", { name: "Stop" });
  await stop.focus();
  const heard = () => card.locator("time").first().getAttribute("datetime");
  for (let beat = 0; beat < 2; beat++) {
    const before = await heard();
    await expect.poll(heard, { timeout: 60_000 }).not.toBe(before);
    await expect(stop).toBeFocused();
  }
  complaints.none();
});

test("a worker that dies five times is left alone with its last words until somebody clears it", async ({ page, host, browser, complaints }) => {
  // Each restart is waited for longer than the one before.
  test.slow();
  await open(page, "/workers");
  const card = page.locator(".worker").filter({ hasText: "profiler" });
  await expect(card).toContainText("yes; decnet up keeps it");
  let last: number | undefined;
  const anew = async () => {
    const workers: { name: string; state: string; pid?: number }[] = await (await page.request.get("/api/v1/workers")).json();
    const pid = workers.find(({ name, state }) => name === "profiler" && state === "ok")?.pid;
    if (pid === undefined || pid === last) return false;
    last = pid;
    return true;
  };
  for (let death = 1; death <= 5; death++) {
    await expect.poll(anew, { timeout: 60_000 }).toBe(true);
    process.kill(last!, "SIGKILL");
  }
  await expect(card).toContainText("in quarantine after 5 deaths within 10 minutes: was killed by SIGKILL", { timeout: 30_000 });
  await expect(page.locator(".health li").filter({ hasText: "profiler" })).toContainText("in quarantine: the page of the workers says why");
  await expect(card.getByRole("button", { name: "Start", exact: true })).toHaveCount(0);
  expect(await host.decnet(["worker", "list"])).toMatch(/^profiler +quarantined +up /m);

  // Whoever may not clear it is told who may.
  const first = "viewer-Light-2026-harbour";
  await host.decnet(["user", "create", "looker", "--role", "viewer"], `${first}\n`);
  const theirs = await browser.newContext({ baseURL: host.url, storageState: await host.signIn("looker", first) });
  const look = await theirs.newPage();
  await open(look, "/workers");
  const seen = look.locator(".worker").filter({ hasText: "profiler" });
  await expect(seen).toContainText("until an administrator clears it");
  await expect(seen.getByRole("button")).toHaveCount(0);
  await theirs.close();

  const toast = page.locator(".toast");
  await page.getByRole("button", { name: "Start all" }).click();
  await expect(toast.filter({ hasText: "profiler does not come up: decnet-profiler is in quarantine" })).toBeVisible({ timeout: 30_000 });
  await card.getByRole("button", { name: "Clear and start" }).click();
  await expect(toast.filter({ hasText: "out of quarantine" })).toBeVisible({ timeout: 30_000 });
  await expect(card).toContainText("running", { timeout: 30_000 });
  await expect(card).not.toContainText("in quarantine");
  complaints.none();
});
