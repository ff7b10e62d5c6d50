// Accounts: made, changed and removed by an administrator; what each shows to a viewer; and the log of who did what.

import { createHmac } from "node:crypto";
import { request } from "@playwright/test";
import { PASSWORD } from "../host";
import { Complaints, expect, hydrated, live, marker, open, test } from "../test";

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

  await drawer.getByLabel("Role").selectOption("admin");
  await drawer.getByRole("button", { name: "Change role" }).click();
  await expect(page.locator("tr").filter({ hasText: name })).toContainText("admin");

  await page.getByRole("dialog", { name }).getByRole("button", { name: "Disable" }).click();
  await expect(page.locator("tr").filter({ hasText: name })).toContainText("disabled");
  expect(await signIn(password)).toBe(401);

  await page.getByRole("dialog", { name }).getByLabel(/to confirm/).fill("somebody-else");
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
  for (const path of ["/settings/users", "/settings/audit"]) {
    expect((await page.goto(path))?.status(), path).toBe(403);
    await hydrated(page);
    await expect(page.getByRole("alert")).toContainText("Not allowed for this account");
  }
  await open(page, "/workers");
  await expect(page.locator(".worker").first()).toBeVisible();
  await expect(page.getByRole("link", { name: "Stop" })).toHaveCount(0);
  for (const path of ["/workers?stop=mutator", "/settings/users?dialog=user"]) {
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

test("limits and rules of what is not looked at are set, and say what they do", async ({ page, complaints }) => {
  await open(page, "/settings/host");
  await page.getByLabel("Keep log rows for").fill("30");
  await page.locator(".knob").filter({ hasText: "Keep log rows for" }).getByRole("button").click();
  await expect(page.locator(".knob").filter({ hasText: "Keep log rows for" })).toContainText("Set here");
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
