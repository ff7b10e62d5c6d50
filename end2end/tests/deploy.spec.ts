// The fleet: deploy, change, take down; and what a viewer may not.

import type { Page } from "@playwright/test";
import { curl, ssh } from "../attack";
import { address as at } from "../host";
import { Complaints, expect, live, marker, open, test } from "../test";

const card = (page: Page, name: string) => page.locator(".card").filter({ has: page.locator(".card-name", { hasText: name }) });
const name = () => `shop-${marker().slice(4, 10)}`;

test("a decky is deployed, changed and taken down from the browser", async ({ page, host, complaints }) => {
  const shop = name();
  await open(page, "/fleet");
  await live(page);
  const dialog = page.getByRole("dialog");
  const task = page.locator(".task").first();

  await test.step("faults are told at the field", async () => {
    await page.getByRole("link", { name: "Deploy", exact: true }).click();
    await expect(page).toHaveURL(/dialog=deploy/);
    await dialog.getByRole("radio", { name: /Web server/i }).check();
    const amount = dialog.getByLabel("How many");
    await amount.fill("0");
    await expect(amount.and(dialog.locator(":invalid"))).toHaveCount(1);
    await amount.fill("1");
    const named = dialog.getByLabel(/^Name/);
    await named.fill("No Name!");
    await expect(named.and(dialog.locator(":invalid"))).toHaveCount(1);
    // What the browser lets through, the server tells.
    await named.evaluate((field) => field.removeAttribute("pattern"));
    await dialog.getByRole("button", { name: "Deploy" }).click();
    await expect(named).toHaveAttribute("aria-invalid", "true");
    await expect(named).toHaveAccessibleDescription(/a-z, 0-9 and -/);
    await expect(named).toBeFocused();
    await expect(named).toHaveValue("No Name!");
    complaints.none(/\/ui\/deploy|status of 4\d\d|500/);
  });

  await test.step("the preview says what will be there", async () => {
    await dialog.getByLabel(/^Name/).fill("web-01");
    await expect(dialog.locator(".preview")).toContainText("web-01 is there already");
    await dialog.getByLabel(/^Name/).fill("web");
    await dialog.getByLabel("How many").fill("2");
    await expect(dialog.locator(".preview")).toContainText("web-01 is there already");
    await dialog.getByRole("button", { name: "Show the plan" }).click();
    await expect(dialog.locator(".plan tr").filter({ hasText: "web-01" })).toContainText("set up anew");
    await expect(dialog.locator(".plan tr").filter({ hasText: "web-02" })).not.toContainText("set up anew");
    await dialog.getByLabel("How many").fill("1");
    await dialog.getByLabel(/^Name/).fill(shop);
    await expect(dialog.locator(".preview")).toContainText(`named ${shop}`);
    await expect(dialog.locator(".preview")).toContainText("http");
    await dialog.getByLabel("How many").fill("2");
    await expect(dialog.locator(".preview")).toContainText(`named ${shop}-01 to ${shop}-02`);
    await dialog.getByLabel("How many").fill("1");
  });

  await test.step("it runs, and answers", async () => {
    await dialog.getByRole("button", { name: "Deploy" }).click();
    await expect(dialog).toHaveCount(0);
    await expect(task).toContainText("deploy");
    await expect(task).toContainText("succeeded");
    await expect(card(page, shop)).toContainText("running");
    const http = (await host.deckies()).find((d) => d.name === shop)!.services.find((s) => s.slug === "http")!;
    const { host: machine, port } = at(http.listen[0]);
    const answer = await curl(`http://${machine}:${port}/`);
    expect(answer.toLowerCase()).toContain("<html");
    await expect(card(page, shop).locator(".card-events b")).not.toHaveText("0");
  });

  await test.step("its services are changed", async () => {
    await card(page, shop).getByRole("link", { name: `Change the services of ${shop}` }).click();
    await expect(dialog).toContainText("Change the services of 1 decky");
    await expect(dialog).toContainText(/of \d+ services?/);
    await dialog.getByRole("button", { name: "Change services" }).click();
    await expect(dialog).toHaveCount(0);
    await expect(task).toContainText("mutate");
    await expect(task).toContainText("succeeded");
    await expect(card(page, shop)).toContainText("running");
  });

  await test.step("an order for several is one task, followed to the end of the last", async () => {
    const other = name();
    const spec = { deckies: [{ archetype: "web-server", name: other }] };
    expect((await page.request.post("/api/v1/deckies/deploy", { data: spec })).status()).toBe(202);
    await expect(card(page, other)).toContainText("running");
    await open(page, `/fleet?mutate=${shop},${other}`);
    await expect(dialog).toContainText("Change the services of 2 deckies");
    await dialog.getByRole("button", { name: "Change services" }).click();
    await expect(dialog).toHaveCount(0);
    const id = new URL(page.url()).searchParams.get("task")!;
    await expect(task).toContainText("succeeded");
    const done = await (await page.request.get(`/api/v1/tasks/${id}`)).json();
    expect([done.operation, done.status, done.done], "both deckies").toEqual(["mutate", "succeeded", done.total]);
    for (const decky of [shop, other]) await expect(card(page, decky)).toContainText("running");
    expect((await page.request.delete(`/api/v1/deckies/${other}`)).status()).toBe(202);
    await expect(card(page, other)).toHaveCount(0);
  });

  await test.step("it is taken down, once the numbers are told", async () => {
    await card(page, shop).getByRole("link", { name: `Take down ${shop}` }).click();
    await expect(dialog).toContainText("Take down 1 decky");
    await expect(dialog).toContainText(/Stops 1 decky with \d+ services?, and gives the address back/);
    await page.keyboard.press("Escape");
    await expect(dialog).toHaveCount(0);
    await expect(card(page, shop)).toContainText("running");
    await card(page, shop).getByRole("link", { name: `Take down ${shop}` }).click();
    await dialog.getByRole("button", { name: "Take down" }).click();
    await expect(card(page, shop)).toHaveCount(0);
    expect((await host.deckies()).map((d) => d.name)).not.toContain(shop);
  });
  complaints.none();
});

test("knobs are set in the dialog, and what is wrong with one is told at it", async ({ page, host, complaints }) => {
  const shop = name();
  await open(page, "/fleet?dialog=deploy");
  const dialog = page.getByRole("dialog");
  await expect(dialog.locator(".deploy-network")).toContainText(/On the engine local in 127\.\S+: \d+ deck(y|ies)/);
  // The engine contains nothing, so nothing is asked about that.
  await expect(dialog.getByRole("group", { name: "What they may begin by themselves" })).toHaveCount(0);
  await dialog.getByRole("radio", { name: /Web server/i }).check();
  await dialog.getByLabel(/^Name/).fill(shop);
  await expect(dialog.locator(".preview")).not.toContainText("ssh");
  const knob = (service: string, name: string) => dialog.getByRole("group", { name: service }).getByLabel(name, { exact: true });
  const banner = knob("SSH", "banner");
  await expect(banner).toBeHidden();
  await dialog.getByText("Adjust services").press("Enter");
  await expect(banner).toBeVisible();
  // Only what fits the archetype is asked for.
  await expect(dialog.getByRole("group", { name: "SMTP" })).toHaveCount(0);
  await banner.fill("Authorised use only");
  await expect(dialog.locator("summary")).toContainText("(1 set)");
  // A service that the usual machine does not have comes with what is set on it.
  await expect(dialog.locator(".preview")).toContainText("ssh");
  const accept = knob("SSH", "accept");
  await accept.fill("maybe");
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await expect(accept).toHaveAttribute("aria-invalid", "true");
  await expect(accept).toHaveAccessibleDescription(/one of never, listed, weak, always/);
  await expect(accept).toBeFocused();
  await expect(banner).not.toHaveAttribute("aria-invalid", "true");
  complaints.none(/\/ui\/deploy_preview|status of 4\d\d/);
  await accept.fill("always");
  await expect(accept).not.toHaveAttribute("aria-invalid", "true");
  const address = dialog.getByLabel(/^Address/);
  await address.fill("8.8.8.8");
  await dialog.getByRole("button", { name: "Deploy" }).click();
  await expect(address).toHaveAccessibleDescription(/8\.8\.8\.8 is outside/);
  complaints.none(/\/ui\/deploy|status of 4\d\d/);
  await address.fill("");
  await dialog.getByRole("button", { name: "Deploy" }).click();
  await expect(dialog).toHaveCount(0);
  await expect(card(page, shop)).toContainText("running");
  const ssh_ = (await host.deckies()).find((d) => d.name === shop)!.services.find((s) => s.slug === "ssh")!;
  // Anybody gets in, where the usual machine has a few accounts.
  await ssh(at(ssh_.listen[0]), "nobody-knows", marker(), "id");
  await page.request.delete(`/api/v1/deckies/${shop}`);
  await expect(card(page, shop)).toHaveCount(0);
  complaints.none();
});

test("the dialog is filled in without scripts, and on a phone", async ({ browser, host, session }) => {
  const shop = name();
  const context = await browser.newContext({
    baseURL: host.url,
    storageState: session,
    javaScriptEnabled: false,
    viewport: { width: 390, height: 844 },
  });
  const page = await context.newPage();
  await page.goto("/fleet?dialog=deploy");
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(/^Name/).fill(shop);
  await dialog.getByText("Adjust services").click();
  const field = dialog.getByRole("group", { name: "SSH" }).getByLabel("refusal_ms", { exact: true });
  await field.fill("500");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(wide, "nothing stands out of a phone").toBeLessThanOrEqual(0);
  await dialog.getByRole("button", { name: "Deploy" }).click();
  await expect(page).toHaveURL(/task=/);
  expect((await host.deckies()).map((d) => d.name)).toContain(shop);
  await page.request.delete(`/api/v1/deckies/${shop}`);
  await context.close();
});

test("a viewer sees no orders, and the server refuses them", async ({ browser, host }) => {
  const first = "viewer-Light-2026-harbour";
  const viewer = name();
  await host.decnet(["user", "create", viewer, "--role", "viewer"], `${first}\n`);
  const context = await browser.newContext({ baseURL: host.url, storageState: await host.signIn(viewer, first) });
  const page = await context.newPage();
  const complaints = new Complaints(page);

  await open(page, "/fleet");
  await expect(card(page, "web-01")).toBeVisible();
  for (const path of ["/", "/fleet", "/fleet?view=table", "/fleet?dialog=deploy", "/fleet?teardown=web-01", "/fleet?mutate=web-01"]) {
    await open(page, path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expect(page.getByText("web-01").or(page.getByText("Overview")).first()).toBeVisible();
    await expect(page.getByRole("dialog"), path).toHaveCount(0);
    await expect(page.locator(".page-tools a.button, .orders"), path).toHaveCount(0);
  }
  complaints.none();

  const refused = async (answer: Promise<{ status(): number }>) => expect((await answer).status()).toBe(403);
  const { request } = context;
  await refused(request.post("/api/v1/deckies/deploy", { data: { deckies: [{ archetype: "web-server" }] } }));
  await refused(request.post("/api/v1/deckies/web-01/mutate"));
  await refused(request.post("/api/v1/deckies/web-01/redeploy"));
  await refused(request.delete("/api/v1/deckies/web-01"));
  await refused(request.get("/api/v1/users"));
  for (const [path, form] of [
    ["/ui/deploy", { "form[archetype]": "web-server", "form[amount]": "1" }],
    ["/ui/teardown", { names: "web-01" }],
    ["/ui/mutate", { names: "web-01" }],
    ["/ui/redeploy", { names: "web-01" }],
  ] as const) {
    const answer = await request.post(path, { form, headers: { accept: "application/json" } });
    expect(await answer.text(), path).toContain("Forbidden");
  }
  const names = (await host.deckies()).map((d) => d.name);
  expect(names).toContain("web-01");
  await context.close();
});
