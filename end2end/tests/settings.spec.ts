// Accounts: made, changed and removed by an administrator; what each shows to a viewer; and the log of who did what.

import { createHmac } from "node:crypto";
import { request, type Page } from "@playwright/test";
import { PASSWORD } from "../host";
import { Complaints, expect, fits, hydrated, live, marker, open, test } from "../test";

test("an account is made, changes its role, cannot sign in while disabled, and is removed by its name", async ({ page, host, complaints }) => {
  const name = marker();
  await open(page, "/settings/users");
  await page.getByRole("link", { name: "New user" }).click();
  const dialog = page.getByRole("dialog", { name: "New user" });
  await dialog.getByLabel("Name").fill(name);
  await dialog.getByRole("button", { name: "Draw one" }).click();
  const password = await dialog.getByLabel("First password").inputValue();
  expect(password).toMatch(/^[a-z0-9]{20}$/);
  await dialog.getByRole("button", { name: "Make" }).click();

  // It leads to the drawer of the new account.
  const drawer = page.getByRole("dialog", { name });
  await expect(drawer).toContainText("has to choose a password");
  const signIn = async (given: string) => {
    const api = await request.newContext({ baseURL: host.url, storageState: { cookies: [], origins: [] } });
    const answer = await api.post("/api/v1/auth/login", { data: { username: name, password: given } });
    await api.dispose();
    return answer.status();
  };
  expect(await signIn(password)).toBe(200);

  // What is done to it says before what it ends, and can be thought better of.
  const order = async (words: string) => {
    await page.getByRole("dialog", { name, exact: true }).getByRole("link", { name: words }).click();
    return page.getByRole("dialog", { name: `${words}: ${name}` });
  };
  const role = await order("Change role");
  await expect(page).toHaveURL(/order=role/);
  await expect(role).toContainText(`Ends 1 session of ${name}; they sign in again`);
  await role.getByRole("link", { name: "Cancel" }).click();
  await expect(role).toHaveCount(0);
  await order("Change role");
  await role.getByLabel("Role").selectOption("admin");
  await role.getByRole("button", { name: "Change role" }).click();
  await expect(role).toHaveCount(0);
  await expect(page.locator("tr").filter({ hasText: name })).toContainText("admin");

  const disable = await order("Disable");
  await expect(disable).toContainText(`${name} has no open session, and there is no API token of theirs`);
  await disable.getByRole("button", { name: "Disable" }).click();
  await expect(page.locator("tr").filter({ hasText: name })).toContainText("disabled");
  expect(await signIn(password)).toBe(401);

  const remove = await order("Remove the account");
  await remove.getByLabel(/to confirm/).fill("somebody-else");
  await page.getByRole("button", { name: "Remove the account" }).click();
  await expect(page.getByRole("alert")).toContainText(`Type ${name} to confirm`);
  complaints.none(/user_delete|status of 4\d\d/);
  await page.getByLabel(/to confirm/).fill(name);
  await page.getByRole("button", { name: "Remove the account" }).click();
  await expect(page.locator("tr").filter({ hasText: name })).toHaveCount(0);

  await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "Audit log" }).click();
  const audit = page.locator("table.audit tbody tr");
  for (const action of ["user.create", "user.role", "user.disable", "user.delete"]) {
    await expect(audit.filter({ hasText: action }).first()).toBeVisible();
  }
});

test("an ended session leads every page to the login, and back", async ({ browser, host }) => {
  const name = marker();
  const password = "ended-Light-2026-harbour";
  await host.decnet(["user", "create", name, "--role", "viewer"], `${password}\n`);
  const context = await browser.newContext({ baseURL: host.url, storageState: await host.signIn(name, password) });
  const page = await context.newPage();
  await open(page, "/attackers?sort_by=active");
  await live(page);
  // Signed out elsewhere.
  await context.request.post("/ui/logout", { headers: { origin: host.url } });
  await expect(page).toHaveURL(/\/login\?next=/, { timeout: 30_000 });
  expect(new URL(page.url()).searchParams.get("next")).toBe("/attackers?sort_by=active");
  await context.close();
});

test("a viewer sees neither users nor the audit log nor an order, and the server gives none", async ({ browser, host }) => {
  const name = marker();
  await host.decnet(["user", "create", name, "--role", "viewer"], "viewer-Light-2026-harbour\n");
  const session = await host.signIn(name, "viewer-Light-2026-harbour");
  const context = await browser.newContext({ baseURL: host.url, storageState: session });
  const page = await context.newPage();
  await open(page, "/settings");
  await expect(page.getByText(name, { exact: true }).first()).toBeVisible();
  await expect(page.getByRole("navigation", { name: "Settings" }).getByRole("link")).toHaveText(["Account", "Installation"]);
  for (const path of ["/settings/users", "/settings/tokens", "/settings/audit"]) {
    expect((await page.goto(path))?.status(), path).toBe(403);
    await hydrated(page);
    await expect(page.getByRole("alert")).toContainText("Not allowed for this account");
  }
  await open(page, "/workers");
  await expect(page.locator(".worker").first()).toBeVisible();
  await expect(page.getByRole("link", { name: "Stop" })).toHaveCount(0);
  for (const path of ["/workers?stop=mutator", "/settings/users?dialog=user", "/settings/tokens?end=01890a5d-ac96-774b-bcce-b302099a8057"]) {
    await open(page, path);
    await expect(page.locator(".worker, [role=alert]").first()).toBeVisible();
    await expect(page.getByRole("dialog")).toHaveCount(0);
  }
  await open(page, "/fleet?view=table");
  await expect(page.locator("table.fleet tbody tr").first()).toBeVisible();
  await expect(page.locator("[data-tick]")).toHaveCount(0);
  const refused = await context.request.get("/api/v1/users");
  expect(refused.status()).toBe(403);
  await context.close();
});

/** The code that an authenticator shows now (RFC 6238: SHA-1, six digits, 30 s). */
function totp(secret: string, at = Date.now()): string {
  const bits = [...secret.replace(/=+$/, "")].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const mac = createHmac("sha1", key).update(counter).digest();
  const offset = mac[mac.length - 1] & 15;
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

test("a second factor is set up, asked for at the door, replaced by a recovery code, and given up", async ({ browser, host }) => {
  const name = marker();
  const given = "viewer-Light-2026-harbour";
  await host.decnet(["user", "create", name, "--role", "viewer"], `${given}\n`);
  const context = await browser.newContext({ baseURL: host.url, storageState: await host.signIn(name, given) });
  const page = await context.newPage();
  const complaints = new Complaints(page);
  await open(page, "/settings");
  await page.getByRole("link", { name: "Set up" }).click();
  await page.getByRole("button", { name: "Set it up" }).click();
  await expect(page.getByRole("img", { name: "QR code of the secret" })).toBeVisible();
  const secret = (await page.locator(".qr-secret code").textContent())!;
  await page.getByLabel("The code that it shows now").fill("000000");
  await page.getByRole("button", { name: "Done" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  complaints.none(/second_factor_confirm|status of 4\d\d/);
  await page.getByLabel("The code that it shows now").fill(totp(secret));
  await page.getByRole("button", { name: "Done" }).click();
  await expect(page.locator(".codes code")).toHaveCount(10);
  const codes = await page.locator(".codes code").allTextContents();
  expect(new Set(codes).size).toBe(10);
  await page.getByRole("link", { name: "I have them" }).click();
  await expect(page.getByText("enabled").first()).toBeVisible();

  // At the door, a code follows the password. One that was used is none; a recovery code is.
  await context.clearCookies();
  await page.goto("/settings");
  await hydrated(page);
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/step=code/);
  expect(page.url()).not.toContain("eyJ");
  await page.getByLabel(/Code of your authenticator/).fill("123456");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  await page.getByLabel(/Code of your authenticator/).fill(codes[0]);
  await page.getByRole("button", { name: "Sign in" }).click();
  // The door's own address ends with where it leads.
  await expect(page).toHaveURL((url) => url.pathname === "/settings");

  await page.goto("/second-factor");
  await hydrated(page);
  await expect(page.getByText("9 of 10 recovery codes left")).toBeVisible();
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByLabel("A code, or a recovery code").fill(codes[1]);
  await page.getByRole("button", { name: "Sign in with the password alone" }).click();
  await expect(page).toHaveURL(/\/settings$/);
  await expect(page.getByRole("link", { name: "Set up" })).toBeVisible();
  await context.close();
});

test("a token is shown once, opens the API for its role, and is refused once it was ended", async ({ page, host, complaints }) => {
  const name = marker();
  await open(page, "/settings?dialog=token");
  await page.getByLabel("Name").fill(name);
  await page.getByLabel(/May do what/).selectOption("viewer");
  await page.getByRole("button", { name: "Make" }).click();
  const token = (await page.locator(".token-text code").textContent())!;
  expect(token).toMatch(/^dnt_/);
  const ask = async (path: string) => {
    const api = await request.newContext({ baseURL: host.url, storageState: { cookies: [], origins: [] } });
    const answer = await api.get(path, { headers: { authorization: `Bearer ${token}` } });
    await api.dispose();
    return answer.status();
  };
  expect(await ask("/api/v1/logs")).toBe(200);
  expect(await ask("/api/v1/audit")).toBe(403);
  await page.getByRole("link", { name: "I have it" }).click();
  await expect(page.getByText(token)).toHaveCount(0);
  await page.locator("table.tokens").getByRole("link", { name }).click();
  await page.getByRole("button", { name: "End the token" }).click();
  await expect(page.locator("table.tokens").getByRole("link", { name })).toHaveCount(0);
  expect(await ask("/api/v1/logs")).toBe(401);
  complaints.none();
});

test("an administrator sees everybody's tokens as they come, finds some, takes them along, and ends one or several", async ({ page, host, complaints }) => {
  const owner = marker();
  const names = ["backup", "probe", "report"];
  await host.decnet(["user", "create", owner, "--role", "viewer"], "viewer-Light-2026-harbour\n");
  // Nothing may be done in the name of who has no password of their own yet.
  await host.signIn(owner, "viewer-Light-2026-harbour");
  const made = async (name: string) => /dnt_\S+/.exec(await host.decnet(["user", "token", "add", owner, name]))![0];
  const rows = page.locator("table.all-tokens tbody tr");
  const theirs = rows.filter({ hasText: owner });
  const ask = async (token: string) => {
    const api = await request.newContext({ baseURL: host.url, storageState: { cookies: [], origins: [] } });
    const answer = await api.get("/api/v1/logs", { headers: { authorization: `Bearer ${token}` } });
    await api.dispose();
    return answer.status();
  };
  const first = await made(names[0]);
  await open(page, "/settings");
  await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "API tokens" }).click();
  await expect(theirs).toHaveCount(1);
  await expect(theirs).toContainText("never");

  // What is made elsewhere, and that one is used, comes by itself.
  const second = await made(names[1]);
  const third = await made(names[2]);
  expect(await ask(first)).toBe(200);
  await back(page);
  await expect(theirs).toHaveCount(3);
  await expect(theirs.filter({ hasText: names[0] })).not.toContainText("never", { timeout: 30_000 });

  await page.getByRole("searchbox", { name: "Name or owner" }).fill(`${owner} PROBE`);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/search=/);
  await expect(rows).toHaveCount(1);
  await page.getByRole("combobox", { name: "Role", exact: true }).selectOption("admin");
  await expect(page.getByText("No token fits these filters")).toBeVisible();
  await page.getByRole("link", { name: "Remove the filter role admin" }).click();
  await expect(rows).toHaveCount(1);

  // The drawer leads to whose it is and what it did, and to its end.
  await rows.getByRole("link", { name: `probe of ${owner}` }).click();
  const drawer = page.getByRole("dialog", { name: "probe" });
  await expect(drawer).toContainText("never");
  await expect(drawer.getByRole("link", { name: "All it did" })).toHaveAttribute("href", `/settings/audit?actor=${owner}/probe`);
  await drawer.getByRole("link", { name: "End it" }).click();
  const one = page.getByRole("dialog", { name: "End 1 API token" });
  await expect(one).toContainText(`probe of ${owner}`);
  await expect(one).toContainText("Ends 1 token of 1 account. Nothing used it during the last 24 hours.");
  await one.getByRole("link", { name: "Cancel" }).click();
  await expect(one).toHaveCount(0);
  expect(await ask(second), "thought better of").toBe(200);

  // Several at once, by the keyboard; of those that are shown.
  await open(page, `/settings/tokens?search=${owner}`);
  await expect(rows).toHaveCount(3);
  for (const key of ["j", "x", "j", "x"]) await page.keyboard.press(key);
  const bulk = page.getByRole("group", { name: "Orders for the selected tokens" });
  await expect(bulk).toContainText("2 selected");
  await bulk.getByRole("link", { name: "End" }).click();
  const two = page.getByRole("dialog", { name: "End 2 API tokens" });
  await expect(two.locator(".named li")).toHaveCount(2);
  await expect(two).toContainText("Ends 2 tokens of 1 account.");
  await expect(two).toContainText("of them w");
  await two.getByRole("button", { name: "End for good" }).click();
  await expect(two).toHaveCount(0);
  await expect(page.locator(".toast").filter({ hasText: "refused from now on" })).toBeVisible();
  await expect(theirs).toHaveCount(1);
  await expect(theirs).toContainText(names[2]);
  expect(await Promise.all([first, second, third].map(ask))).toEqual([401, 401, 200]);

  // All of them as a file; and a link to one that is gone says so.
  await page.locator(".table-bar .export summary").click();
  const json = page.locator(".table-bar .export .menu-body").getByRole("link", { name: /^JSON/ });
  const file = await page.request.get((await json.getAttribute("href"))!);
  const left: { owner: string; name: string }[] = await file.json();
  expect(left.filter((token) => token.owner === owner).map((token) => token.name)).toEqual([names[2]]);
  await open(page, "/settings/tokens?token=01890a5d-ac96-774b-bcce-b302099a8057");
  await expect(page.getByRole("dialog", { name: "No such token" })).toBeVisible();
  await open(page, "/settings/tokens?end=01890a5d-ac96-774b-bcce-b302099a8057");
  const none = page.getByRole("dialog", { name: "End 0 API tokens" });
  await expect(none.getByRole("button", { name: "End for good" })).toHaveCount(0);
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/settings/tokens");
  await expect(theirs.getByRole("cell", { name: `of ${owner}`, exact: true })).toBeVisible();
  await fits(page);
  complaints.none();
});

test("who was made and removed elsewhere, and what was done, comes by itself, and leaves what is being filled in", async ({ page, host, context, complaints }) => {
  const [one, other] = [marker(), marker()];
  const create = (name: string) => host.decnet(["user", "create", name, "--role", "viewer"], "viewer-Light-2026-harbour\n");
  const rows = page.locator("table.users tbody tr");
  await create(one);
  await open(page, "/settings/users");
  const first = rows.filter({ hasText: one });
  await expect(first).toContainText("has to choose a password");
  await first.getByRole("link").click();
  await page.getByRole("dialog", { name: one }).getByRole("link", { name: "Remove the account" }).click();
  const typed = page.getByRole("dialog", { name: one }).getByLabel(/to confirm/);
  await typed.fill("half of a na");
  const log = await context.newPage();
  await open(log, `/settings/audit?target=${other}`);
  await expect(log.getByText("Nothing fits these filters")).toBeVisible();

  await create(other);
  await back(page);
  await expect(rows.filter({ hasText: other })).toHaveCount(1);
  await expect(typed).toHaveValue("half of a na");
  const done = log.locator("table.audit tbody tr");
  await expect(done.filter({ hasText: "user.create" }), "by the clock alone").toHaveCount(1, { timeout: 30_000 });

  await host.decnet(["user", "delete", other]);
  await back(page);
  await expect(rows.filter({ hasText: other })).toHaveCount(0);
  await expect(typed).toHaveValue("half of a na");
  // What is told of them is told anew.
  await host.signIn(one, "viewer-Light-2026-harbour");
  await back(page);
  await page.getByRole("dialog", { name: one }).getByRole("link", { name: "Cancel" }).click();
  await expect(page.getByRole("dialog", { name: one, exact: true })).toContainText("may sign in");
  await expect(done.filter({ hasText: "user.delete" })).toHaveCount(1, { timeout: 30_000 });
  complaints.none();
});

/** What a browser says when its reader comes back to a page. */
async function back(page: Page): Promise<void> {
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange", { bubbles: true })));
}

test("limits and rules of what is not looked at are set, and say what they do", async ({ page, complaints }) => {
  await open(page, "/settings/host");
  await page.getByLabel("Keep log rows for").fill("30");
  const keep = page.locator(".knob").filter({ hasText: "Keep log rows for" });
  await keep.getByRole("button").click();
  // Nothing on this host is so old, so there is nothing to confirm.
  const dialog = page.getByRole("dialog", { name: "Keep log rows for 30 days" });
  await expect(dialog).toContainText("Deletes nothing now");
  await expect(dialog.getByLabel(/to confirm/)).toHaveCount(0);
  await dialog.getByRole("button", { name: "Set", exact: true }).click();
  await expect(dialog).toHaveCount(0);
  await expect(keep).toContainText("Set here");
  await page.getByText("New rule").click();
  await page.getByLabel("From").fill("nobody");
  await page.getByRole("button", { name: "Ignore such lines" }).click();
  await expect(page.getByRole("alert").filter({ hasText: "an address" })).toBeVisible();
  complaints.none(/ignore_rule_create|status of 4\d\d/);
  await page.getByText("New rule").click();
  await page.getByLabel("From").fill("203.0.113.77");
  await page.getByRole("button", { name: "Ignore such lines" }).click();
  const rule = page.locator("table.rules tbody tr").filter({ hasText: "203.0.113.77" });
  await expect(rule).toBeVisible();
  // They can be taken along.
  const panel = page.locator(".panel").filter({ has: page.getByRole("heading", { name: "Not looked at" }) });
  await panel.locator(".export summary").click();
  const csv = panel.locator(".export .menu-body").getByRole("link", { name: /^CSV/ });
  const file = await page.request.get((await csv.getAttribute("href")) ?? "");
  expect(await file.text()).toContain('"203.0.113.77/32"');
  await page.keyboard.press("Escape");
  await rule.getByRole("link").click();
  await page.getByRole("button", { name: "Remove the rule" }).click();
  await expect(rule).toHaveCount(0);
  complaints.none();
});

test("log rows are kept for less time only once it was said how many go, and words were typed", async ({ page, complaints }) => {
  // The count is the server's business, and tried there; no host of a test is a day old.
  await page.route("**/ui/retention_preview", (route) => route.fulfill({ json: 12_345 }));
  const setting = async () => (await (await page.request.get("/api/v1/config")).json()).retention_days ?? null;
  const before = await setting();
  await open(page, "/settings/host");
  await page.getByLabel("Keep log rows for").fill("1");
  await page.locator(".knob").filter({ hasText: "Keep log rows for" }).getByRole("button").click();
  await expect(page).toHaveURL(/keep=1$/);
  const dialog = page.getByRole("dialog", { name: "Keep log rows for 1 day" });
  await expect(dialog).toContainText(/Deletes 12\s345 log rows/);
  const order = dialog.getByRole("button", { name: "Set and delete" });
  const typed = dialog.getByLabel(/to confirm/);
  for (const words of ["", "delete"]) {
    await typed.fill(words);
    await order.click();
    await expect(typed.and(dialog.locator(":invalid"))).toHaveCount(1);
  }
  expect(await setting(), "nothing is set without the words").toBe(before);
  await dialog.getByRole("link", { name: "Cancel" }).click();
  await expect(dialog).toHaveCount(0);
  expect(await setting()).toBe(before);
  await page.goBack();
  await typed.fill("delete old rows");
  await order.click();
  await expect(dialog).toHaveCount(0);
  expect(await setting()).toBe(1);
  await page.request.put("/api/v1/config/retention", { data: { days: before } });
  complaints.none();
});

test("the audit log is found by who, what, on what and when, and has who took what along", async ({ page, host, complaints }) => {
  const name = marker();
  await host.decnet(["user", "create", name, "--role", "viewer"], "viewer-Light-2026-harbour\n");
  const rows = page.locator("table.audit tbody tr");
  await open(page, "/settings/audit");
  await page.getByLabel("What it was done to").fill(name);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`target=${name}`));
  await expect(rows).toHaveCount(1);
  await expect(rows.first()).toContainText("user.create");
  // A row opens with all of it, to be copied.
  await rows.first().getByRole("link").click();
  await expect(page).toHaveURL(/entry=\d+/);
  const entry = page.getByRole("dialog", { name: "Entry of the audit log" });
  await expect(entry).toContainText(name);
  await expect(entry.getByRole("button", { name: "Copy target" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(entry).toHaveCount(0);
  await page.getByRole("textbox", { name: "Did" }).fill("user.delete");
  await page.keyboard.press("Enter");
  await expect(page.getByText("Nothing fits these filters")).toBeVisible();

  // A link has all of it, also what was taken along.
  const file = await page.request.get(`/api/v1/logs/export?search=${name}`);
  expect(file.ok()).toBe(true);
  await open(page, `/settings/audit?actor=admin&action=export&target=${name}&last=1h`);
  await expect(rows).toHaveCount(1);
  await expect(rows.first()).toContainText("export.logs");
  await expect(rows.first()).toContainText("0 rows");
  await expect(page.getByRole("textbox", { name: "Who" })).toHaveValue("admin");
  complaints.none();
});
