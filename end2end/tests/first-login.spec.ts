// The door: nobody gets in without an account, nor past it with the first password.

import { test as base, type Page } from "@playwright/test";
import { FIRST_PASSWORD, Host, PASSWORD } from "../host";
import { Complaints, expect, hydrated } from "../test";

// A host for each test: each begins with the first password.
const test = base.extend<{ drawn: boolean; host: Host; complaints: Complaints }>({
  drawn: [false, { option: true }],
  host: async ({ drawn }, use) => {
    const host = await Host.start({ drawn });
    await use(host);
    await host.stop();
  },
  baseURL: async ({ host }, use) => use(host.url),
  complaints: async ({ page }, use) => use(new Complaints(page)),
});

const PAGES = ["/", "/live", "/attackers", "/attackers/1", "/fleet", "/fleet?dialog=deploy", "/live?service=ssh&log=1"];

async function signIn(page: Page, password: string): Promise<void> {
  await page.getByLabel("User name").fill("admin");
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function change(page: Page, old: string, next: string, again = next): Promise<void> {
  await page.getByLabel("Current password").fill(old);
  await page.getByLabel("New password", { exact: true }).fill(next);
  await page.getByLabel("New password again").fill(again);
  await page.getByRole("button", { name: "Change password" }).click();
}

test("the first sign-in chooses a password, and nothing opens before", async ({ page, complaints }) => {
  await test.step("every page leads a stranger to the login", async () => {
    for (const path of PAGES) {
      await page.goto(path);
      await expect(page, path).toHaveURL(/\/login(\?|$)/);
      await expect(page.getByRole("navigation")).toHaveCount(0);
    }
    const answer = await page.request.get("/api/v1/logs");
    expect(answer.status()).toBe(401);
  });

  await test.step("a wrong password and a wrong name are told in the same words", async () => {
    await page.goto("/login?next=%2Ffleet");
    await hydrated(page);
    complaints.none(/401|ERR_ABORTED/);
    const said: (string | null)[] = [];
    for (const name of ["admin", "nobody"]) {
      await page.getByLabel("User name").fill(name);
      await page.getByLabel("Password", { exact: true }).fill("not-the-password-9");
      await page.getByRole("button", { name: "Sign in" }).click();
      const alert = page.getByRole("alert");
      await expect(alert).toContainText("user name or the password is wrong");
      said.push(await alert.textContent());
      await page.reload();
      await hydrated(page);
    }
    expect(said[0]).toBe(said[1]);
    await expect(page).toHaveURL(/\/login/);
  });

  await test.step("the first password opens nothing but the choice of another", async () => {
    await signIn(page, FIRST_PASSWORD);
    await expect(page).toHaveURL(/\/password\?next=\/fleet$/);
    for (const path of PAGES) {
      await page.goto(path);
      await expect(page, path).toHaveURL(/\/password$/);
    }
    const answer = await page.request.get("/api/v1/logs");
    expect(answer.status()).toBe(403);
    await hydrated(page);
  });

  await test.step("a weak password is told why", async () => {
    const alert = page.getByRole("alert");
    await change(page, FIRST_PASSWORD, PASSWORD, `${PASSWORD}-other`);
    await expect(alert).toContainText("two new passwords differ");
    await change(page, "not-the-present-one", PASSWORD);
    await expect(alert).toContainText("not the present password");
    await change(page, FIRST_PASSWORD, "password1234");
    await expect(alert).toContainText("among the first that an attacker tries");
    await change(page, FIRST_PASSWORD, FIRST_PASSWORD);
    await expect(alert).toContainText("this is the present password");
    // One that is too short does not even leave the browser.
    await page.getByLabel("New password", { exact: true }).fill("short");
    await expect(page.locator("input[name=new]:invalid")).toHaveCount(1);
  });

  await test.step("a good one opens the overview", async () => {
    await change(page, FIRST_PASSWORD, PASSWORD);
    await expect(page).toHaveURL(/\/$/);
    await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
    await expect(page.getByRole("navigation").first()).toBeVisible();
  });

  await test.step("signing out closes the door, and the new password opens it to where one wanted to go", async () => {
    await hydrated(page);
    await page.getByLabel(/Account of/).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await expect(page).toHaveURL(/\/login/);
    await page.goto("/fleet?view=table");
    await expect(page).toHaveURL(/\/login\?next=/);
    await signIn(page, FIRST_PASSWORD);
    await expect(page.getByRole("alert")).toBeVisible();
    await signIn(page, PASSWORD);
    await expect(page).toHaveURL(/\/fleet\?view=table$/);
    await expect(page.getByRole("heading", { name: "Fleet" })).toBeVisible();
  });
});

test.describe("with a password that nobody chose", () => {
  test.use({ drawn: true });

  test("what the start prints opens the door once, and is told no more", async ({ page, host }) => {
    const printed = host.printedPassword;
    expect(printed).toBeTruthy();
    await page.goto("/");
    await hydrated(page);
    await signIn(page, printed!);
    await expect(page).toHaveURL(/\/password/);
    await hydrated(page);
    await change(page, printed!, PASSWORD);
    await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();

    await host.restart();
    expect(host.printed).toContain("Forgotten?");
    expect(host.printed).not.toContain(printed!);
    expect(host.printedPassword).toBeUndefined();
    await page.context().clearCookies();
    await page.goto("/login");
    await hydrated(page);
    await signIn(page, printed!);
    await expect(page.getByRole("alert")).toContainText("user name or the password is wrong");
    await signIn(page, PASSWORD);
    await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
  });
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("the door, the overview and the log are plain HTML that works", async ({ page }) => {
    await page.goto("/live");
    await expect(page).toHaveURL(/\/login/);
    await signIn(page, "not-the-password-9");
    await expect(page.getByRole("alert")).toContainText("user name or the password is wrong");
    await signIn(page, FIRST_PASSWORD);
    await expect(page).toHaveURL(/\/password/);
    await change(page, FIRST_PASSWORD, PASSWORD);
    // To where one wanted.
    await expect(page.getByRole("heading", { name: "Live" })).toBeVisible();
    await page.getByRole("navigation").first().getByRole("link", { name: "Overview", exact: true }).click();
    await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
    await expect(page.locator(".stat").filter({ hasText: "Deckies up" })).toContainText("4");
    await expect(page.locator(".loading")).toHaveCount(0);

    await page.getByRole("navigation").first().getByRole("link", { name: "Live" }).click();
    await page.getByLabel("Type of event").selectOption("service_started");
    await page.getByRole("button", { name: "Apply" }).click();
    await expect(page).toHaveURL(/event_type=service_started/);
    await expect(page.locator("table.logs tbody tr").first()).toContainText("service started");
    await page.locator("table.logs tbody tr a").first().click();
    await expect(page.getByRole("dialog")).toContainText("Fields");
  });

  test("a long list is gone through by links", async ({ page, host }) => {
    await host.signIn();
    await host.decnet(["demo", "seed", "--yes", "--no-fleet", "--events", "1000"]);
    await page.goto("/login?next=/live");
    await signIn(page, PASSWORD);
    await expect(page.getByRole("heading", { name: "Live" })).toBeVisible();
    const rows = page.locator("table.logs tbody tr");
    const first = () => rows.first().innerText();
    await expect(rows).toHaveCount(100);
    const newest = await first();
    await expect(page.getByRole("button", { name: "Older" })).toBeHidden();
    await page.getByRole("link", { name: "Older" }).click();
    await expect(page).toHaveURL(/before=/);
    await expect(rows).toHaveCount(100);
    expect(await first()).not.toBe(newest);
    await page.getByRole("link", { name: "From the start" }).click();
    await expect(page).toHaveURL(/\/live$/);
  });
});
