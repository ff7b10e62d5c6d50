// Drawings of who did what: the loom of the overview, and the line of one attacker.

import { redis, ssh } from "../attack";
import { expect, live, open, test } from "../test";

const from = "127.8.3.1";

test("a thread has the colour of how near somebody came, goes back in time, and leads to what passed", async ({ page, host, complaints }) => {
  const { at, user, password } = host.account();
  await ssh(at, user, "wrong-password", "id", from);
  await open(page, "/");
  await live(page);
  const thread = page.locator(".loom a").filter({ has: page.locator("title", { hasText: `${from} at ` }) });
  await expect(thread.locator(".thread")).toHaveClass(/w-probe/);
  // A minute's touches are one; the scrubber needs two.
  await ssh(at, user, password, "uname -a", from);
  await expect(thread.locator(".thread")).toHaveClass(/w-hands/);

  const scrubber = page.getByRole("slider", { name: "Until when the threads are drawn" });
  await expect(scrubber).toHaveAttribute("aria-valuetext", "now");
  await scrubber.focus();
  await page.keyboard.press("Home");
  await expect(scrubber).not.toHaveAttribute("aria-valuetext", "now");
  await expect(thread.locator(".thread")).not.toHaveClass(/w-hands/);
  await page.keyboard.press("End");
  await expect(thread.locator(".thread")).toHaveClass(/w-hands/);

  await thread.locator(".thread-reach").dispatchEvent("click");
  await expect(page).toHaveURL(new RegExp(`/live\\?attacker_ip=${from}&decky=`));
  await expect(page.locator("table.logs tbody tr").first()).toContainText(from);
  complaints.none();
});

test("dragging over the line makes everything on the page of that time, and all of it comes back", async ({ page, host, complaints }) => {
  const other = "127.8.3.2";
  const { at, user, password } = host.account();
  await ssh(at, user, password, "echo first-thing", other);
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  await ssh(at, user, password, "echo second-thing", other);
  await redis(await host.service("redis"), "PING");
  await open(page, `/attackers?search=${other}`);
  await page.getByRole("row").filter({ hasText: other }).getByRole("link").click();
  await page.getByRole("link", { name: "Everything about this attacker" }).click();
  const commands = page.locator(".commands");
  await expect(page.locator(".line .bar title").first()).toContainText("ssh session");
  await expect(commands).toContainText("first-thing");
  await expect(commands).toContainText("second-thing");
  const rows = page.locator("table.logs tbody tr");
  const all = await rows.count();

  // The line is a minute long at least; the first seconds are its left end.
  const box = (await page.locator(".line .brush").boundingBox())!;
  const y = box.y + box.height / 2;
  await page.mouse.move(box.x + 1, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.02, y);
  await page.mouse.move(box.x + box.width * 0.05, y);
  await page.mouse.up();
  await expect(page).toHaveURL(/\/attackers\/.+\?start_time=.*&end_time=/);
  await expect(commands).toContainText("first-thing");
  await expect(commands).not.toContainText("second-thing");
  await expect.poll(() => rows.count()).toBeLessThan(all);
  await page.getByRole("link", { name: "All of it" }).click();
  await expect(commands).toContainText("second-thing");
  await expect(rows).toHaveCount(all);
  complaints.none();
});
