// The fleet: deploy, change, take down; what the dialog asks for, and what of that arrives; and what a viewer may not.

import AxeBuilder from "@axe-core/playwright";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { request, type Locator, type Page } from "@playwright/test";
import { curl, redis, ssh } from "../attack";
import { address as at } from "../host";
import { Complaints, expect, fits, hydrated, live, marker, open, STREAM, test } from "../test";

const card = (page: Page, name: string) => page.locator(".card").filter({ has: page.locator(".card-name", { hasText: name }) });
const name = () => `shop-${marker().slice(4, 10)}`;
/** Open a fold of the dialog. */
const unfold = (dialog: Locator, label: string) => dialog.locator("summary", { hasText: label }).press("Enter");

/** What the API tells of a decky. */
interface Told {
  name: string;
  ip: string;
  mac: string;
  os: string;
  distro: string;
  hostname: string;
  services: { slug: string; listen: string[] }[];
  mutate_interval_minutes?: number;
}
async function told(page: Page, name: string): Promise<Told> {
  const deckies: Told[] = await (await page.request.get("/api/v1/deckies")).json();
  return deckies.find((decky) => decky.name === name)!;
}
/** A gate that requests wait at until it is opened. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}
const slugs = (decky: Told) => decky.services.map((service) => service.slug).sort();

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
    // Once it is mended, it is no longer marked.
    await named.fill("mended");
    await expect(named).not.toHaveAttribute("aria-invalid", "true");
  });

  await test.step("the preview says what will be there", async () => {
    await dialog.getByLabel(/^Name/).fill("web-01");
    await expect(dialog.locator(".preview")).toContainText("web-01 is there already");
    // It keeps what is not said, as long as it is not made another kind of machine.
    await expect(dialog.locator(".preview")).toContainText("with the services that it has now.");
    await expect(dialog.locator(".preview")).toContainText("stays as it is there: services, interval.");
    await dialog.getByRole("radio", { name: /Linux server/i }).check();
    await expect(dialog.locator(".preview")).not.toContainText("stays as it is there");
    await dialog.getByRole("radio", { name: /Web server/i }).check();
    await dialog.getByLabel(/^Name/).fill("web");
    await dialog.getByLabel("How many").fill("2");
    await expect(dialog.locator(".preview")).toContainText("web-01 is there already");
    await dialog.getByRole("button", { name: "Show the plan" }).click();
    const planned = (decky: string) => dialog.locator(".plan tr").filter({ hasText: decky });
    await expect(planned("web-01")).toContainText("stays as it is");
    await expect(planned("web-02")).not.toContainText(/as it is|anew/);
    // It is the machine that is there, so nothing is sown, and what is new is not yet settled.
    const there = await told(page, "web-01");
    for (const words of [there.hostname, there.mac, there.ip]) await expect(planned("web-01")).toContainText(words);
    await expect(dialog.getByText("are drawn once more")).toBeVisible();
    // Nobody set the seed that the plan was made from.
    await expect(dialog.locator("summary", { hasText: "More" })).not.toContainText("set)");
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
    await card(page, shop).getByRole("link", { name: `Change services of ${shop}` }).click();
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
  await unfold(dialog, "Adjust services");
  // Only what they have is adjusted, and only what fits the archetype can be chosen.
  await expect(dialog.getByRole("group", { name: "HTTP" })).toBeVisible();
  await expect(banner).toHaveCount(0);
  await expect(dialog.getByRole("checkbox", { name: "SMTP" })).toHaveCount(0);
  await dialog.getByRole("checkbox", { name: "SSH" }).check();
  await expect(banner).toBeVisible();
  await banner.fill("Authorised use only");
  await expect(dialog.locator("summary", { hasText: "Adjust services" })).toContainText("(1 set)");
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
  await expect(address).toBeHidden();
  await unfold(dialog, "More");
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

test("everything that is chosen arrives in the plan and in the fleet", async ({ page, host, complaints }) => {
  const shop = name();
  const bait = join(host.dataDir, "bait", shop);
  const found = marker();
  mkdirSync(bait, { recursive: true });
  writeFileSync(join(bait, "files.toml"), `[[file]]\npath = "/opt/${shop}.txt"\ncontent = "${found}"\n`);
  const [network] = (await host.deckies())[0].ip.split(/\.\d+$/);
  await open(page, "/fleet?dialog=deploy");
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("radio", { name: /Linux server/i }).check();
  await dialog.getByLabel(/^Name/).fill(shop);

  await test.step("services are chosen", async () => {
    const group = dialog.getByRole("group", { name: "Services", exact: true });
    const ticked = async () => {
      const labels = await group.locator("label").filter({ has: page.locator("input[type=checkbox]:checked") }).allTextContents();
      return labels.map((label) => label.trim()).sort();
    };
    await expect(group.getByRole("radio", { name: "The usual" })).toBeChecked();
    await expect.poll(ticked).toEqual(["HTTP", "SSH"]);
    await group.getByRole("checkbox", { name: "HTTP" }).uncheck();
    await group.getByRole("checkbox", { name: "Redis" }).check();
    await expect(group.getByRole("radio", { name: "These" })).toBeChecked();
    // What does not fit another kind of machine is not there, and chosen again of one that it fits.
    await dialog.getByRole("radio", { name: /Entry point/i }).check();
    await expect(group.getByRole("checkbox", { name: "Redis" })).toHaveCount(0);
    await expect.poll(ticked).toEqual(["SSH"]);
    await dialog.getByRole("radio", { name: /Linux server/i }).check();
    await expect.poll(ticked).toEqual(["Redis", "SSH"]);
    // Nor do the arrows lose anything on their way.
    const drawn = group.getByRole("radio", { name: "Drawn at random" });
    await group.getByRole("radio", { name: "These" }).press("ArrowDown");
    await expect(drawn).toBeChecked();
    await expect.poll(ticked).toEqual([]);
    await drawn.press("ArrowUp");
    await expect(group.getByRole("radio", { name: "These" })).toBeChecked();
    await expect.poll(ticked).toEqual(["Redis", "SSH"]);
    await group.getByRole("radio", { name: "The usual" }).check();
    await expect.poll(ticked).toEqual(["HTTP", "SSH"]);
    await group.getByRole("checkbox", { name: "HTTP" }).uncheck();
    await group.getByRole("checkbox", { name: "Redis" }).check();
    await expect.poll(ticked).toEqual(["Redis", "SSH"]);
    await expect(dialog.locator(".preview")).toContainText(/with (ssh, redis|redis, ssh)[,.]/);
    await unfold(dialog, "Adjust services");
    const accept = dialog.getByRole("group", { name: "SSH", exact: true }).getByLabel("accept", { exact: true });
    await accept.fill("always");
    await dialog.getByRole("radio", { name: /Windows server/i }).check();
    await expect(accept).toHaveCount(0);
    await expect(group.getByRole("radio", { name: "The usual" })).toBeChecked();
    await dialog.getByRole("radio", { name: /Linux server/i }).check();
    await expect(accept).toHaveValue("always");
    await expect.poll(ticked).toEqual(["Redis", "SSH"]);
  });

  await unfold(dialog, "More");
  const more = dialog.locator("details").filter({ has: page.getByText(/^More/) });
  await expect(more.locator("summary")).not.toContainText("set)");
  // Of the distributions those are offered that fit.
  const distros = () => more.getByLabel("Distribution").locator("option:not([disabled])").allTextContents();
  expect(await distros()).toContain("rocky9");
  expect(await distros()).not.toContain("windows");
  await more.getByLabel("Distribution").selectOption("rocky9");
  await more.getByLabel("System").selectOption("linux");
  await more.getByLabel(/^Host name/).fill(`${shop}-host`);
  await more.getByLabel(/^Address/).fill(`${network}.201`);
  await more.getByLabel(/^Hardware address/).fill("00:50:56:0a:0b:0c");
  await more.getByLabel(/^New services every/).fill("45");
  // The folders that there are can be picked.
  const offered = await more.locator("datalist option").evaluateAll((options) => options.map((option) => option.getAttribute("value")));
  expect(offered).toContain(bait);
  await more.getByLabel(/^Bait/).fill(bait);
  await expect(more.locator("summary")).toContainText("(7 set)");
  await expect(dialog.locator(".preview")).toContainText("changing services every 45");

  await dialog.getByRole("button", { name: "Show the plan" }).click();
  const row = dialog.locator(".plan tbody tr");
  await expect(row).toHaveCount(1);
  for (const words of [shop, `${network}.201`, "00:50:56:0a:0b:0c", `${shop}-host`, "rocky9 linux", "ssh", "redis", "new ones every 45"]) {
    await expect(row).toContainText(words);
  }
  await expect(row).not.toContainText("http");

  await dialog.getByRole("button", { name: "Deploy", exact: true }).click();
  await expect(dialog).toHaveCount(0);
  await expect(card(page, shop)).toContainText("running");
  const decky = await told(page, shop);
  expect(slugs(decky)).toEqual(["redis", "ssh"]);
  expect(decky).toMatchObject({
    distro: "rocky9",
    os: "linux",
    hostname: `${shop}-host`,
    ip: `${network}.201`,
    mac: "00:50:56:0a:0b:0c",
    mutate_interval_minutes: 45,
  });
  const listens = decky.services.find((service) => service.slug === "ssh")!;
  expect(await ssh(at(listens.listen[0]), "nobody-knows", marker(), `cat /opt/${shop}.txt`)).toContain(found);
  expect((await page.request.delete(`/api/v1/deckies/${shop}`)).status()).toBe(202);
  await expect(card(page, shop)).toHaveCount(0);
  complaints.none();
});

test("the plan of a decky that is there is about that machine, whatever was planned before", async ({ page, complaints }) => {
  const before = await told(page, "web-01");
  await open(page, "/fleet?dialog=deploy");
  await live(page);
  const dialog = page.getByRole("dialog");
  const row = dialog.locator(".plan tbody tr");
  const plan = dialog.getByRole("button", { name: "Show the plan" });
  await dialog.getByRole("radio", { name: /Web server/i }).check();
  // A plan of a new one sows a seed.
  await dialog.getByLabel(/^Name/).fill(name());
  await plan.click();
  await expect(row).toHaveCount(1);
  await expect(row).not.toContainText(/as it is|anew/);
  await dialog.getByLabel(/^Name/).fill("web-01");
  await plan.click();
  await expect(row).toContainText("stays as it is");
  for (const words of [before.hostname, before.mac, before.ip]) await expect(row).toContainText(words);
  // Made another kind of machine it is another one, and a machine with other services is the same.
  await dialog.getByRole("radio", { name: /Linux server/i }).check();
  await plan.click();
  await expect(row).toContainText("set up anew");
  await dialog.getByRole("radio", { name: /Web server/i }).check();
  await dialog.getByRole("radio", { name: "These" }).check();
  await dialog.getByRole("checkbox", { name: "SSH" }).check();
  for (const service of ["HTTP", "FTP"]) await dialog.getByRole("checkbox", { name: service, exact: true }).uncheck();
  await plan.click();
  await expect(row).toContainText("reconfigured");
  await expect(row).toContainText(before.hostname);
  await dialog.getByRole("radio", { name: "The usual" }).check();
  await plan.click();
  await expect(row).toContainText("stays as it is");
  await dialog.getByRole("button", { name: "Deploy", exact: true }).click();
  await expect(dialog).toHaveCount(0);
  await expect(page.locator(".task").first()).toContainText("succeeded");
  const after = await told(page, "web-01");
  expect([after.hostname, after.mac, after.ip]).toEqual([before.hostname, before.mac, before.ip]);
  complaints.none();
});

test("all that is wrong with the form is told at once, each beside its field", async ({ page, complaints }) => {
  await open(page, "/fleet?dialog=deploy");
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("radio", { name: /Web server/i }).check();
  const group = dialog.getByRole("group", { name: "Services", exact: true });
  await group.getByRole("radio", { name: "These" }).check();
  for (const service of ["HTTP", "FTP"]) await group.getByRole("checkbox", { name: service }).uncheck();
  await expect(group.getByRole("checkbox", { checked: true })).toHaveCount(0);
  await unfold(dialog, "Adjust services");
  await expect(dialog.getByText("Tick services to adjust them.")).toBeVisible();
  await unfold(dialog, "More");
  const distro = dialog.getByLabel("Distribution");
  // A page of yesterday may offer what is no more.
  await distro.evaluate((select) => select.append(new Option("beos", "beos")));
  await distro.selectOption("beos");
  const wrong: [Locator, string, RegExp][] = [
    [dialog.getByLabel("How many"), "0", /1 to 64/],
    [dialog.getByLabel(/^Name/), "No Name", /a-z, 0-9 and -/],
    [dialog.getByLabel(/^Host name/), "-no-", /letters, digits and -/],
    [dialog.getByLabel(/^Address/), "8.8.8.8", /8\.8\.8\.8 is outside/],
    [dialog.getByLabel(/^Hardware address/), "02:00", /02:00/],
    [dialog.getByLabel(/^New services every/), "525601", /1 to 525600/],
  ];
  for (const [field, value] of wrong) await field.fill(value);
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await expect(group).toHaveAttribute("aria-invalid", "true");
  await expect(group).toHaveAccessibleDescription(/choose at least one/);
  await expect(distro).toHaveAccessibleDescription(/beos/);
  for (const [field, , words] of wrong) {
    await expect(field).toHaveAttribute("aria-invalid", "true");
    await expect(field).toHaveAccessibleDescription(words);
  }
  // The first is where one goes on.
  await expect(dialog.getByLabel("How many")).toBeFocused();
  await expect(dialog.locator(".form-fault")).toHaveCount(0);
  complaints.none(/\/ui\/deploy_preview|status of 4\d\d/);

  // Mended, and bait from where none may be taken; a fold that was closed opens on it.
  await dialog.getByLabel("How many").fill("1");
  await dialog.getByLabel(/^Name/).fill(name());
  await group.getByRole("checkbox", { name: "HTTP" }).check();
  for (const [field] of wrong.slice(2)) await field.fill("");
  await distro.selectOption("");
  const bait = dialog.getByLabel(/^Bait/);
  await bait.fill("/etc");
  await unfold(dialog, "More");
  await expect(bait).toBeHidden();
  await dialog.getByRole("button", { name: "Deploy", exact: true }).click();
  await expect(bait).toBeVisible();
  await expect(bait).toHaveAccessibleDescription(/no such folder in/);
  await expect(group).not.toHaveAttribute("aria-invalid", "true");
  complaints.none(/\/ui\/deploy|status of 4\d\d/);

  // So is a group of radios, and it is where one goes on.
  await bait.fill("");
  const kinds = dialog.getByRole("group", { name: "Archetype" });
  await kinds.getByRole("radio", { checked: true }).evaluate((radio) => radio.setAttribute("value", "beos"));
  await dialog.getByRole("button", { name: "Deploy", exact: true }).click();
  await expect(kinds).toHaveAttribute("aria-invalid", "true");
  await expect(kinds).toHaveAccessibleDescription(/beos/);
  await expect(kinds).toBeFocused();
  complaints.none(/\/ui\/deploy|status of 4\d\d/);
});

test("what was picked before the page was alive is not posted while it shows something else", async ({ page }) => {
  const program = gate();
  await page.route(/\/decnet\.wasm$/, async (route) => {
    await program.opened;
    await route.continue();
  });
  await page.goto("/fleet?dialog=deploy", { waitUntil: "commit" });
  const dialog = page.getByRole("dialog");
  const picked = dialog.getByRole("radio", { name: /Web server/i });
  await picked.check();
  program.open();
  await hydrated(page);
  // The form begins with the first, and so do preview, plan and what is posted.
  await expect(dialog.locator(".preview")).toContainText("Linux Server");
  await expect(picked).not.toBeChecked();
  await expect(dialog.getByRole("radio", { name: /Linux server/i })).toBeChecked();
});

test("what stands in the dialog stays when not all came that happened meanwhile", async ({ page, host, session }) => {
  const api = await request.newContext({ baseURL: host.url, storageState: session });
  const stored = async () => (await (await api.get("/api/v1/stats")).json()).total_logs as number;
  // Asked for every few seconds, how things stand can be held back.
  await page.route(STREAM, (route) => route.abort());
  const held = gate();
  let holds = false;
  await page.route("**/ui/snapshot", async (route) => {
    if (holds) await held.opened;
    await route.continue();
  });
  await open(page, "/fleet?dialog=deploy");
  await expect(page.locator(".live-dot")).toHaveText("every 4 s", { timeout: 30_000 });
  holds = true;
  const named = page.getByRole("dialog").getByLabel(/^Name/);
  await named.fill("half-typed");
  const before = await stored();
  const at = await host.service("redis");
  // More than the answer has rows: what is counted by them has to be fetched again.
  for (let touch = 0; touch < 50; touch++) await redis(at, "SET", marker(), "1");
  await expect.poll(stored, { timeout: 30_000 }).toBeGreaterThanOrEqual(before + 120);
  let asked = 0;
  page.on("request", (sent) => {
    if (sent.url().endsWith("/ui/decky_list")) asked++;
  });
  const again = page.waitForResponse(/\/ui\/decky_traffic$/, { timeout: 30_000 });
  held.open();
  await again;
  await expect(named).toHaveValue("half-typed");
  expect(asked, "the answer has the whole fleet").toBe(0);
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await api.dispose();
});

test("services are drawn for each decky, and come as the plan has them", async ({ page, complaints }) => {
  const shop = name();
  await open(page, "/fleet?dialog=deploy");
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("radio", { name: /Linux server/i }).check();
  await dialog.getByLabel("How many").fill("6");
  await dialog.getByLabel(/^Name/).fill(shop);
  const drawn = dialog.getByRole("radio", { name: "Drawn at random" });
  await drawn.check();
  // One step back, what is usual is ticked to go on from.
  await drawn.press("ArrowUp");
  await expect(dialog.getByRole("radio", { name: "These" })).toBeChecked();
  await expect(dialog.getByRole("checkbox", { name: "SSH" })).toBeChecked();
  await drawn.check();
  await expect(dialog.locator(".preview")).toContainText("with services that are drawn");
  await unfold(dialog, "Adjust services");
  await expect(dialog.getByText("choose services to adjust them")).toBeVisible();
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  const rows = dialog.locator(".plan tbody tr");
  await expect(rows).toHaveCount(6);
  const sets = (await rows.locator("td:nth-child(5)").allTextContents()).map((set) => set.trim().split(", ").sort().join(", "));
  expect(new Set(sets).size, sets.join("; ")).toBeGreaterThan(1);
  await dialog.getByRole("button", { name: "Deploy", exact: true }).click();
  await expect(dialog).toHaveCount(0);
  for (const [nth, set] of sets.entries()) {
    const decky = `${shop}-0${nth + 1}`;
    await expect(card(page, decky)).toContainText("running");
    expect(slugs(await told(page, decky)).join(", ")).toEqual(set);
  }
  for (const nth of sets.keys()) await page.request.delete(`/api/v1/deckies/${shop}-0${nth + 1}`);
  await expect(card(page, shop)).toHaveCount(0);
  complaints.none();
});

test("a fleet is described as text, made from the form, and told by line where it is wrong", async ({ page, complaints }) => {
  const [shop, other] = [name(), name()];
  await open(page, "/fleet?dialog=deploy");
  const dialog = page.getByRole("dialog");
  const text = dialog.getByLabel(/^Description/);
  const plan = dialog.getByRole("button", { name: "Show the plan" });
  const rows = dialog.locator(".plan tbody tr");

  await test.step("it says what the form says", async () => {
    await dialog.getByRole("radio", { name: /Web server/i }).check();
    await dialog.getByLabel(/^Name/).fill(shop);
    await dialog.getByLabel("How many").fill("2");
    await dialog.getByRole("checkbox", { name: "SSH" }).check();
    await unfold(dialog, "Adjust services");
    await dialog.getByRole("group", { name: "SSH" }).getByLabel("refusal_ms", { exact: true }).fill("500");
    await dialog.getByRole("link", { name: "As text" }).click();
    await expect(page).toHaveURL(/as=text/);
    await expect(text).toHaveValue(new RegExp(`^\\[${shop}\\]\narchetype = web-server\namount = 2\n`));
    await expect(text).toHaveValue(/\nservices = .*ssh/);
    await expect(text).toHaveValue(/\nseed = \w+\n/);
    await expect(text).toHaveValue(new RegExp(`\\[${shop}\\.ssh\\]\nrefusal_ms = 500\n`));
    await fits(page);
    expect((await new AxeBuilder({ page }).include("dialog").analyze()).violations.map((broken) => broken.id)).toEqual([]);
  });

  await test.step("it is made anew once the form changes, and what is written is kept until that is asked for", async () => {
    const amount = async (number: string) => {
      await dialog.getByRole("link", { name: "A form" }).click();
      await dialog.getByLabel("How many").fill(number);
      await dialog.getByRole("link", { name: "As text" }).click();
    };
    await amount("3");
    await expect(text).toHaveValue(/amount = 3\n/);
    const anew = dialog.getByRole("button", { name: "Make the text anew from the form" });
    await text.fill(`${await text.inputValue()}# mine\n`);
    await amount("3");
    await expect(text).toHaveValue(/# mine/);
    await expect(anew).toHaveCount(0);
    await amount("1");
    await expect(anew).toBeVisible();
    await expect(text).toHaveValue(/amount = 3\n[^]*# mine/);
    await anew.click();
    await expect(text).toHaveValue(/amount = 1\n/);
    await expect(text).not.toHaveValue(/# mine/);
    await expect(anew).toHaveCount(0);
  });

  await test.step("what is told that can be said is itself such a text", async () => {
    const made = await text.inputValue();
    await unfold(dialog, "What can be said");
    const said = await dialog.locator("details pre").textContent();
    await text.fill(said!);
    await plan.click();
    // All but the image, which this engine has no room for.
    await expect(text).toHaveAccessibleDescription(/needs engine=docker/);
    await expect(text).not.toHaveAccessibleDescription(/neither \[section\]|no key/);
    complaints.none(/\/ui\/description_preview|status of 4\d\d/);
    await text.fill(made);
  });

  await test.step("its faults are told by line", async () => {
    const made = await text.inputValue();
    const lines = made.trimEnd().split("\n").length;
    const bad = `${made}\n[${other}]\narchetype = mail-server\namount = many\nservices = smtp, own\n[custom-own]\nimage = Not A Name\nports = 8080\n`;
    await text.fill(bad);
    await plan.click();
    await expect(text).toHaveAttribute("aria-invalid", "true");
    const described = async (line: number, words: string) =>
      expect(text).toHaveAccessibleDescription(new RegExp(`line ${lines + line} \\([^)]*\\): [^]*${words}`));
    await described(4, "not a number");
    await described(5, "needs engine=docker");
    await described(7, "no name of an image");
    complaints.none(/\/ui\/description_preview|status of 4\d\d/);
    const refused = page.waitForResponse(/description_deploy/);
    await dialog.getByRole("button", { name: "Deploy", exact: true }).click();
    expect((await refused).status()).toBe(422);
    await described(4, "not a number");
    complaints.none(/\/ui\/description_deploy|status of 4\d\d/);
    await text.fill(`${made}\n[${other}]\narchetype = mail-server\nmutate_interval_minutes = 30\n`);
    await expect(text).not.toHaveAttribute("aria-invalid", "true");
  });

  await test.step("what it takes down is told before", async () => {
    const mended = await text.inputValue();
    await text.fill(`[general]\nreplace = yes\n${mended}`);
    await plan.click();
    await expect(rows).toHaveCount(2);
    await expect(dialog.getByRole("status").filter({ hasText: "Takes down" })).toContainText("web-01");
    await text.fill(mended);
    await expect(dialog.getByText("Takes down")).toHaveCount(0);
  });

  await test.step("several groups are deployed at once", async () => {
    await plan.click();
    await expect(rows).toHaveCount(2);
    await expect(rows.filter({ hasText: other })).toContainText("new ones every 30");
    const hosts = await rows.filter({ hasText: shop }).locator("td:nth-child(3)").allTextContents();
    await dialog.getByRole("button", { name: "Deploy", exact: true }).click();
    await expect(dialog).toHaveCount(0);
    await expect(page).not.toHaveURL(/as=text/);
    for (const decky of [shop, other]) await expect(card(page, decky)).toContainText("running");
    const made = await told(page, shop);
    expect(slugs(made)).toContain("ssh");
    // The form's seed is in the text: what was planned is what came.
    expect(hosts).toEqual([made.hostname]);
    expect((await told(page, other)).mutate_interval_minutes).toBe(30);
  });
  for (const decky of [shop, other]) await page.request.delete(`/api/v1/deckies/${decky}`);
  for (const decky of [shop, other]) await expect(card(page, decky)).toHaveCount(0);
  complaints.none();
});

test("what is written is kept from an answer that comes late, and its faults are told whatever the form has", async ({ page, complaints }) => {
  const answer = gate();
  await page.route("**/ui/description_make", async (route) => {
    await answer.opened;
    await route.continue();
  });
  await open(page, "/fleet?dialog=deploy&as=text");
  const dialog = page.getByRole("dialog");
  const text = dialog.getByLabel(/^Description/);
  const plan = dialog.getByRole("button", { name: "Show the plan" });
  const own = "[mine]\narchetype = web-server\n";
  await text.fill(own);
  const late = page.waitForResponse(/\/ui\/description_make$/);
  answer.open();
  await late;
  await plan.click();
  await expect(dialog.locator(".plan tbody tr")).toContainText("mine");
  await expect(text).toHaveValue(own);
  complaints.none();

  // There is no text of what the form has now; that is told, until somebody writes one.
  await dialog.getByRole("link", { name: "A form" }).click();
  await dialog.getByLabel("How many").fill("0");
  await dialog.getByRole("link", { name: "As text" }).click();
  await dialog.getByRole("button", { name: "Make the text anew from the form" }).click();
  const fault = dialog.locator(".form-fault");
  await expect(fault).toContainText("1 to 64");
  await expect(text).toHaveValue(own);
  complaints.none(/\/ui\/description_make|status of 4\d\d/);
  await text.fill(`${own}amount = ${"many".repeat(50)}\n`);
  await expect(fault).toHaveCount(0);
  await plan.click();
  // A long line is quoted in part.
  await expect(text).toHaveAccessibleDescription(/line 3 \([^)]{1,80}\): /);
  complaints.none(/\/ui\/description_preview|status of 4\d\d/);
});

test("the usual way is three decisions, in the order of the keys", async ({ page, complaints }) => {
  const shop = name();
  await open(page, "/fleet");
  await page.getByRole("link", { name: "Deploy", exact: true }).click();
  const dialog = page.getByRole("dialog");
  const first = dialog.getByRole("radio").first();
  await expect(first).toBeVisible();
  await first.focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Tab");
  await expect(dialog.getByLabel("How many")).toBeFocused();
  await page.keyboard.press("Tab");
  await expect(dialog.getByLabel(/^Name/)).toBeFocused();
  await page.keyboard.type(shop);
  const group = dialog.getByRole("group", { name: "Services", exact: true });
  await page.keyboard.press("Tab");
  await expect(group.getByRole("radio", { name: "The usual" })).toBeFocused();
  // Over what can be ticked and the two folds, which stay closed.
  const ticks = await group.getByRole("checkbox").count();
  for (let tick = 0; tick < ticks; tick++) {
    await page.keyboard.press("Tab");
    await expect(group.getByRole("checkbox").nth(tick)).toBeFocused();
  }
  for (const fold of ["Adjust services", "More"]) {
    await page.keyboard.press("Tab");
    await expect(dialog.locator("summary", { hasText: fold })).toBeFocused();
  }
  await dialog.getByRole("button", { name: "Deploy", exact: true }).press("Enter");
  await expect(dialog).toHaveCount(0);
  await expect(card(page, shop)).toContainText("running");
  await page.request.delete(`/api/v1/deckies/${shop}`);
  await expect(card(page, shop)).toHaveCount(0);
  complaints.none();
});

test("the dialog is filled in without scripts, and on a phone", async ({ browser, host, session }) => {
  const [shop, other] = [name(), name()];
  const context = await browser.newContext({
    baseURL: host.url,
    storageState: session,
    javaScriptEnabled: false,
    viewport: { width: 390, height: 844 },
  });
  const page = await context.newPage();
  await page.goto("/fleet?dialog=deploy");
  const dialog = page.getByRole("dialog");
  // Any archetype, not only the first: every service is there, and a tick says enough.
  await dialog.getByRole("radio", { name: /Web server/i }).check();
  await dialog.getByLabel(/^Name/).fill(shop);
  await dialog.getByRole("checkbox", { name: "FTP" }).check();
  await dialog.getByText("Adjust services").click();
  // A service that is not chosen comes with what is set on it.
  const field = dialog.getByRole("group", { name: "SSH" }).getByLabel("refusal_ms", { exact: true });
  await field.fill("500");
  await unfold(dialog, "More");
  await dialog.getByLabel("Distribution").selectOption("debian11");
  await dialog.getByLabel(/^Host name/).fill(`${shop}-host`);
  const wide = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(await wide(), "nothing stands out of a phone").toBeLessThanOrEqual(0);
  await dialog.getByRole("button", { name: "Deploy" }).click();
  await expect(page).toHaveURL(/task=/);
  const decky = await told(page, shop);
  expect(slugs(decky)).toEqual(["ftp", "ssh"]);
  expect([decky.distro, decky.hostname]).toEqual(["debian11", `${shop}-host`]);

  await page.goto("/fleet?dialog=deploy");
  await dialog.getByRole("link", { name: "As text" }).click();
  await dialog.getByLabel(/^Description/).fill(`[${other}]\nservices = redis\n`);
  expect(await wide(), "nothing stands out of a phone").toBeLessThanOrEqual(0);
  await dialog.getByRole("button", { name: "Deploy" }).click();
  await expect(page).toHaveURL(/task=/);
  expect(slugs(await told(page, other))).toEqual(["redis"]);
  for (const made of [shop, other]) await page.request.delete(`/api/v1/deckies/${made}`);

  // What is refused is told at its field, and how to get back to what was typed.
  const kept = dialog.getByText("Go back in the browser");
  await page.goto("/fleet?dialog=deploy");
  const named = dialog.getByLabel(/^Name/);
  await named.evaluate((field) => field.removeAttribute("pattern"));
  await named.fill("No Name!");
  await unfold(dialog, "More");
  const address = dialog.getByLabel(/^Address/);
  await address.fill("8.8.8.8");
  await expect(kept).toHaveCount(0);
  await dialog.getByRole("button", { name: "Deploy" }).click();
  await expect(page).toHaveURL(/__err=/);
  await expect(named).toHaveAttribute("aria-invalid", "true");
  await expect(named).toHaveAccessibleDescription(/a-z, 0-9 and -/);
  await expect(address).toBeVisible();
  await expect(address).toHaveAccessibleDescription(/8\.8\.8\.8 is outside/);
  await expect(kept).toBeVisible();

  await page.goto("/fleet?dialog=deploy&as=text");
  await dialog.getByLabel(/^Description/).fill(`[${other}]\nservices = no-such-service\n`);
  await dialog.getByRole("button", { name: "Deploy" }).click();
  await expect(page).toHaveURL(/__err=/);
  await expect(dialog.getByLabel(/^Description/)).toHaveAccessibleDescription(/line 2: /);
  await expect(kept).toBeVisible();
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
  const orders = ["dialog=deploy", "dialog=deploy&as=text", "teardown=web-01", "mutate=web-01", "redeploy=web-01", "stop=web-01", "start=web-01"];
  for (const path of ["/", "/fleet", "/fleet?view=table", ...orders.map((order) => `/fleet?${order}`)]) {
    await open(page, path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expect(page.getByText("web-01").or(page.getByText("Overview")).first()).toBeVisible();
    await expect(page.getByRole("dialog"), path).toHaveCount(0);
    await expect(page.locator(".page-tools a.button, .orders"), path).toHaveCount(0);
  }
  await open(page, "/workers?stop=profiler");
  await expect(page.locator(".worker").filter({ hasText: "profiler" })).toContainText("running");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(page.locator("main").getByRole("button", { name: /Start|Stop|Clear/ })).toHaveCount(0);
  await expect(page.locator("main").getByRole("link", { name: "Stop" })).toHaveCount(0);
  complaints.none();

  const refused = async (answer: Promise<{ status(): number }>) => expect((await answer).status()).toBe(403);
  const { request } = context;
  await refused(request.post("/api/v1/deckies/deploy", { data: { deckies: [{ archetype: "web-server" }] } }));
  await refused(request.post("/api/v1/deckies/web-01/mutate"));
  await refused(request.post("/api/v1/deckies/web-01/redeploy"));
  for (const order of ["stop", "start"]) await refused(request.post(`/api/v1/deckies/web-01/${order}`));
  await refused(request.delete("/api/v1/deckies/web-01"));
  await refused(request.delete("/api/v1/workers/profiler/quarantine"));
  await refused(request.get("/api/v1/users"));
  for (const [path, form] of [
    ["/ui/deploy", { "form[archetype]": "web-server", "form[amount]": "1" }],
    ["/ui/description_deploy", { text: "[web]\narchetype = web-server" }],
    ["/ui/teardown", { names: "web-01" }],
    ["/ui/mutate", { names: "web-01" }],
    ["/ui/redeploy", { names: "web-01" }],
    ["/ui/decky_stop", { names: "web-01" }],
    ["/ui/decky_start", { names: "web-01" }],
    ["/ui/worker_stop", { name: "profiler" }],
    ["/ui/worker_start", { name: "profiler" }],
    ["/ui/worker_clear", { name: "profiler" }],
    ["/ui/worker_start_all", {}],
  ] as const) {
    const answer = await request.post(path, { form, headers: { accept: "application/json" } });
    expect(await answer.text(), path).toContain("Forbidden");
  }
  const names = (await host.deckies()).map((d) => d.name);
  expect(names).toContain("web-01");
  await context.close();
});
