// Drawings of who did what: the loom of the overview, and the line of one attacker.

import { curl, redis, ssh } from "../attack";
import { expect, live, open, test } from "../test";

const from = "127.8.3.1";

test("a thread has the colour of how near somebody came, goes back in time, and has the page show what passed", async ({ page, host, complaints }) => {
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

  // Somebody else does something meanwhile, at another service.
  const other = "127.8.3.9";
  const http = await host.service("http");
  await curl(`http://${http.host}:${http.port}/`, other);
  const feed = page.locator(".feed tbody tr");
  await expect(feed.filter({ hasText: other }).first()).toBeVisible();
  // The scrubber stands at now on the page as it comes, before any script has run. There is one once two touches are a second apart.
  await expect(async () => {
    await curl(`http://${http.host}:${http.port}/`, other);
    const plain = await (await page.request.get("/")).text();
    expect(/<input[^>]* type="range"[^>]*>/.exec(plain)?.[0]).toMatch(/ value="100"/);
  }).toPass();

  await thread.locator(".thread-reach").dispatchEvent("click");
  await expect(page).toHaveURL(new RegExp(`/\\?attacker_ip=${from}&decky=`));
  const chips = page.getByRole("list", { name: "Filters that are set" });
  await expect(chips).toContainText(from);
  await expect(feed.first()).toBeVisible();
  await expect(feed.filter({ hasNotText: from })).toHaveCount(0);
  const tops = (title: string) => page.locator(".panel", { has: page.getByRole("heading", { name: title, exact: true }) });
  await expect(tops("Services").locator(".top-name")).toHaveText(["ssh"]);
  await expect(tops("Top attackers").locator(".top-name")).toHaveText([from]);
  await expect(tops("Commands")).toContainText("uname -a");
  // The threads of others stand back, and are still there.
  await expect(thread.locator(".thread")).not.toHaveClass(/aside/);
  await expect(page.locator(".loom .thread.aside").first()).toBeAttached();
  // What comes to those is not in the feed; what comes to this one is.
  await curl(`http://${http.host}:${http.port}/`, other);
  await ssh(at, user, password, "echo once-more", from);
  await expect(feed.filter({ hasText: "once-more" }).first()).toBeAttached();
  await expect(feed.filter({ hasNotText: from })).toHaveCount(0);

  await page.locator(".feed").getByRole("link", { name: "all events" }).click();
  await expect(page).toHaveURL(new RegExp(`/live\\?attacker_ip=${from}&decky=`));
  await expect(page.locator("table.logs tbody tr").first()).toContainText(from);
  await page.goBack();
  await chips.getByRole("link", { name: "clear all" }).click();
  await expect(chips).toHaveCount(0);
  await expect(feed.filter({ hasText: other }).first()).toBeVisible();
  complaints.none();
});

test("the arrow keys lead along the threads, and what is chosen by them keeps the focus", async ({ page, host, complaints }) => {
  const at = "127.8.3.4";
  const { at: server, user } = host.account();
  await ssh(server, user, "wrong-password", "id", at);
  await open(page, "/");
  await live(page);
  const attacker = page.getByRole("list", { name: "Attackers", exact: true }).getByRole("link").filter({ hasText: at });
  const thread = page.getByRole("group", { name: "Threads between them" }).locator(`a[aria-label^="${at} at "]`);
  await expect(thread).toHaveCount(1);
  // Who goes by Tab has not all of them to pass.
  await expect(page.locator('.loom svg a:not([tabindex="-1"])')).toHaveCount(0);
  await attacker.focus();
  await page.keyboard.press("ArrowRight");
  await expect(thread).toBeFocused();
  const [, decky] = /^\S+ at (\S+): /.exec((await thread.getAttribute("aria-label"))!)!;
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("list", { name: "Deckies that they touched" }).getByRole("link").filter({ hasText: decky })).toBeFocused();
  await attacker.focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(`/?attacker_ip=${at}&decky=${decky}`);
  await expect(page.getByRole("list", { name: "Filters that are set" })).toContainText(at);
  await expect(page.locator(".feed tbody tr").filter({ hasNotText: at })).toHaveCount(0);
  await expect(thread).toBeFocused();
  await page.keyboard.press("ArrowLeft");
  await expect(attacker).toBeFocused();
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
