// What a row of evidence says by itself, and where it leads.

import { curl, ssh } from "../attack";
import { onDay } from "../pages";
import { Complaints, expect, live, open } from "../test";

const test = onDay(600);

/** The zone that the browser is in. */
test.use({ timezoneId: "UTC" });

test("a row of another day has its day and its seconds, and its link says which row it is", async ({ page }) => {
  const midnight = `${new Date().toISOString().slice(0, 10)}T00:00:00Z`;
  await open(page, `/live?end_time=${midnight}`);
  const row = page.locator("table.logs tbody tr").filter({ has: page.locator(".row-link") }).first();
  const time = row.locator(".c-time time");
  await expect(time).toHaveText(/^\d{1,2} [A-Z][a-z]{2} \d\d:\d\d:\d\d$/);
  const clock = (await time.innerText()).split(" ")[2];
  const source = await row.locator(".c-source").innerText();
  const event = await row.locator(".c-type").innerText();
  await expect(row.locator(".row-link")).toHaveAttribute("aria-label", [`${clock} UTC`, source.trim(), event.trim(), "details"].filter(Boolean).join(", "));
  // Nothing of the time is cut off.
  expect(await time.evaluate((el) => el.closest("td")!.scrollWidth - el.closest("td")!.clientWidth)).toBeLessThanOrEqual(0);
});

test("rows begin with the newest, and say so", async ({ page }) => {
  await open(page, "/live?event_type=command");
  await expect(page.locator(".table-note").filter({ hasText: /events/ })).toHaveText(/^(the newest )?[\d\s]+ events$/);
  await open(page, "/live?search=a");
  await expect(page.locator(".table-note").filter({ hasText: /event/ })).not.toContainText("the first");
});

test("the session of a row leads to its log", async ({ page, day }) => {
  const complaints = new Complaints(page);
  await open(page, `/live?event_type=command&log=${day.command}`);
  const drawer = page.locator(".drawer");
  const session = await (await page.request.get(`/api/v1/logs/${day.command}`)).json();
  const id: string = session.fields.session;
  await drawer.locator(".fields").getByRole("link", { name: id }).click();
  await expect(page).toHaveURL(new RegExp(`/live\\?search=session(:|%3A)${id}$`));
  const rows = page.locator("table.logs tbody tr:not(.gap)");
  await expect(rows.first()).toBeVisible();
  const { data } = await (await page.request.get(`/api/v1/logs?search=session:${id}&limit=500`)).json();
  await expect(page.locator("table.logs")).toHaveAttribute("aria-rowcount", String(Math.min(data.length, 100) + 1));
  complaints.none();
});

test("a credential leads to who else used it", async ({ page }) => {
  const { data } = await (await page.request.get("/api/v1/credential-reuse?limit=1")).json();
  const value: string = data[0].value;
  const finds = await (await page.request.get(`/api/v1/bounty?bounty_type=credential&search=${encodeURIComponent(value)}&limit=500`)).json();
  const find = finds.data.find((one: { value: string; secret_kind: string }) => one.value === value && one.secret_kind === data[0].secret_kind);
  await open(page, `/credentials?bounty=${find.id}`);
  await page.locator(".drawer").getByRole("link", { name: "who else used it, and where" }).click();
  await expect(page).toHaveURL(new RegExp(`/credentials/reuse\\?reuse=${data[0].id}$`));
  await expect(page.locator(".drawer")).toContainText(value.slice(0, 20));
  await expect(page.locator(".drawer .used li").nth(1)).toBeVisible();
});

test("attackers of a chosen time are told to be counted of all time, and nobody glows who did nothing since", async ({ page, host }) => {
  const complaints = new Complaints(page);
  await open(page, "/attackers?last=24h");
  await live(page);
  const note = page.locator(".table-note").filter({ hasText: "attackers" });
  await expect(note).toContainText("What is counted of each is of all time.");
  await expect(page.getByRole("columnheader", { name: "Tries" })).toBeVisible();
  await open(page, "/attackers");
  await live(page);
  await expect(note).not.toContainText("of all time");
  const from = "127.8.9.1";
  const web = await host.service("http");
  await curl(`http://${web.host}:${web.port}/`, from);
  const row = page.getByRole("row").filter({ hasText: from });
  await expect(row).toHaveClass(/new/);
  // All of it is told.
  const logs = async (query: string) => (await (await page.request.get(`/api/v1/logs?attacker_ip=${from}&limit=500${query}`)).json()).data.length;
  await expect.poll(() => logs("&event_type=disconnect")).toBe(1);
  const events = await logs("");
  await expect(row.locator(".number").first()).toHaveText(String(events));
  // From another page the list comes anew, with what the stream told before.
  await page.keyboard.press("g");
  await page.keyboard.press("f");
  await expect(page.getByRole("heading", { name: "Fleet", level: 1 })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await expect(row).toBeVisible();
  await expect(page.locator("table.attackers tr.new")).toHaveCount(0);
  await curl(`http://${web.host}:${web.port}/again`, from);
  await expect(row).toHaveClass(/new/);
  complaints.none();
});

test("who signed in last is told as the last, and the title counts what nobody has read", async ({ page, host }) => {
  const complaints = new Complaints(page);
  await open(page, "/fleet");
  await live(page);
  const { at, user, password } = host.account();
  await ssh(at, user, password, "id", "127.8.9.2");
  await ssh(at, user, password, "id", "127.8.9.3");
  await expect(page).toHaveTitle(/^\(\d\) Fleet · DECNET$/);
  await page.locator(".bell summary").click();
  await expect(page.locator(".bell .alert-intrusion .alert-detail")).toHaveText(/^last: ssh of /);
  // What is still wrong with the host is never read.
  const wrong = await page.locator(".bell .alerts li:not(.alert-intrusion)").count();
  await expect(page).toHaveTitle(`${wrong > 0 ? `(${wrong}) ` : ""}Fleet · DECNET`);
  complaints.none();
});
