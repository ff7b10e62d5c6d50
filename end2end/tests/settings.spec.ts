// Accounts: made, changed and removed by an administrator; what each shows to a viewer; and the log of who did what.

import { request } from "@playwright/test";
import { expect, marker, open, test } from "../test";

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
  await expect(page.getByRole("alert")).toContainText(`type ${name} to confirm`);
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

test("a viewer sees neither users nor the audit log nor an order, and the server gives none", async ({ browser, host }) => {
  const name = marker();
  await host.decnet(["user", "create", name, "--role", "viewer"], "viewer-Light-2026-harbour\n");
  const session = await host.signIn(name, "viewer-Light-2026-harbour");
  const context = await browser.newContext({ baseURL: host.url, storageState: session });
  const page = await context.newPage();
  await open(page, "/settings");
  await expect(page.getByText(name, { exact: true }).first()).toBeVisible();
  await expect(page.getByRole("navigation", { name: "Settings" }).getByRole("link")).toHaveText(["Account"]);
  for (const path of ["/settings/users", "/settings/audit"]) {
    await open(page, path);
    await expect(page.getByRole("alert")).toContainText("Not allowed for this account");
  }
  await open(page, "/workers");
  await expect(page.locator(".worker").first()).toBeVisible();
  await expect(page.getByRole("link", { name: "Stop" })).toHaveCount(0);
  await open(page, "/fleet?view=table");
  await expect(page.locator("table.fleet tbody tr").first()).toBeVisible();
  await expect(page.locator("[data-tick]")).toHaveCount(0);
  const refused = await context.request.get("/api/v1/users");
  expect(refused.status()).toBe(403);
  await context.close();
});
