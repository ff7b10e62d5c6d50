// The fleet: the drawer of a decky, orders to several at once, the plan before a deployment; and the workers.

import { once } from "node:events";
import { readdirSync, readlinkSync, realpathSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { curl, hostKey } from "../attack";
import { address, type Address } from "../host";
import { expect, hydrated, marker, open, test } from "../test";

/** Why nobody gets in there. */
function refused({ host, port }: Address): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const visitor = connect(Number(port), host);
    visitor.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    visitor.once("connect", () => {
      visitor.destroy();
      reject(new Error(`${host}:${port} answers`));
    });
  });
}

test("a decky opens into its drawer by the keyboard, and its interval is set there", async ({ page, host, complaints }) => {
  const [decky] = await host.deckies();
  await open(page, "/fleet?view=table");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/decky=/);
  const name = new URL(page.url()).searchParams.get("decky")!;
  const drawer = page.getByRole("dialog", { name });
  await expect(drawer).toContainText("Last 24 hours");
  await drawer.getByRole("spinbutton").fill("90");
  await drawer.getByRole("button", { name: "Set" }).click();
  await expect(page.getByRole("dialog", { name })).toContainText("every 90 min");
  await expect(page.locator(".toast").filter({ hasText: "The interval holds from now on." })).toBeVisible();
  // What a form says wrongly is named.
  await page.keyboard.press("Escape");
  await expect(page).not.toHaveURL(/decky=/);
  await page.goto(`/fleet?decky=${decky.name}`);
  await hydrated(page);
  await expect(page.getByRole("dialog", { name: decky.name })).toContainText(decky.ip);
  complaints.none();
});

test("several deckies are selected with x and get one order", async ({ page, complaints }) => {
  await open(page, "/fleet?view=table");
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  const bulk = page.getByRole("group", { name: "Orders for the selected deckies" });
  await expect(bulk).toContainText("2 selected");

  // An order that is thought better of leaves everything as it was; while it is open, the keys of the page are not.
  const down = bulk.getByRole("link", { name: "Take down" });
  await down.focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog", { name: "Take down 2 deckies" })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("l");
  await page.keyboard.press("Escape");
  await expect(page).toHaveURL(/\/fleet\?view=table$/);
  await expect(bulk).toContainText("2 selected");
  await expect(down).toBeFocused();
  await bulk.getByRole("link", { name: "Restart" }).click();
  const dialog = page.getByRole("dialog", { name: "Restart 2 deckies" });
  await expect(dialog.locator(".named li")).toHaveCount(2);
  await dialog.getByRole("button", { name: "Restart" }).click();
  await expect(page.locator(".task.good").filter({ hasText: "redeploy" })).toBeVisible({ timeout: 30_000 });
  complaints.none();
});

test("the plan names the deckies that are then deployed", async ({ page, host, complaints }) => {
  await open(page, "/fleet?dialog=deploy");
  const dialog = page.getByRole("dialog", { name: "Deploy deckies" });
  await dialog.getByLabel("How many").fill("2");
  await dialog.getByLabel(/^Name/).fill("planned");
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  const planned = dialog.locator(".plan tbody tr");
  await expect(planned).toHaveCount(2);
  const hosts = await planned.locator("td:nth-child(3)").allTextContents();
  await dialog.getByRole("button", { name: "Deploy", exact: true }).click();
  await expect(page.locator(".task.good").filter({ hasText: "planned-" })).toBeVisible({ timeout: 30_000 });
  const made = (await host.deckies()).filter((d) => d.name.startsWith("planned-")) as unknown as { name: string; hostname: string }[];
  expect(made.map((d) => d.hostname).sort()).toEqual(hosts.sort());
  complaints.none();
  await host.decnet(["teardown", ...made.map((d) => d.name)]);
});

test("the whole fleet is taken down only by who types that", async ({ page, host, complaints }) => {
  const names = (await host.deckies()).map((decky) => decky.name);
  expect(names.length).toBeGreaterThan(1);
  await open(page, `/fleet?teardown=${names.join(",")}`);
  const dialog = page.getByRole("dialog", { name: `Take down ${names.length} deckies` });
  await expect(dialog).toContainText("This is the whole fleet");
  const typed = dialog.getByLabel(/to confirm/);
  const button = dialog.getByRole("button", { name: "Take down" });
  // Nothing typed: the browser itself asks for it.
  await button.click();
  await expect(dialog).toBeVisible();
  await typed.fill("take it down");
  await button.click();
  await expect(dialog.getByRole("alert")).toContainText(/take down the fleet to confirm/i);
  complaints.none(/teardown|status of 4\d\d/);
  const plain = await page.request.post("/ui/teardown", { form: { names: names.join(",") }, headers: { origin: host.url, accept: "application/json" } });
  expect(plain.status()).toBe(422);
  // Of some of them nothing of the kind is asked.
  await open(page, `/fleet?teardown=${names[0]}`);
  const one = page.getByRole("dialog", { name: "Take down 1 decky" });
  await expect(one.getByRole("button", { name: "Take down" })).toBeVisible();
  await expect(one.getByLabel(/to confirm/)).toHaveCount(0);
  expect((await host.deckies()).map((decky) => decky.name)).toEqual(names);
  complaints.none();
});

test("an order counts only deckies that are there", async ({ page, host }) => {
  const [decky] = await host.deckies();
  await open(page, `/fleet?redeploy=${decky.name},nobody-1`);
  const dialog = page.getByRole("dialog", { name: "Restart 1 decky" });
  await expect(dialog.locator(".named li").filter({ hasText: "nobody-1" })).toContainText("is not there");
  await open(page, "/fleet?teardown=nobody-1");
  await expect(page.getByRole("dialog", { name: "Take down 0 deckies" }).getByRole("button", { name: "Take down" })).toHaveCount(0);
});

test("an order says how many live sessions it ends", async ({ page, host, complaints }) => {
  const at = await host.service("redis");
  const visitor = connect(Number(at.port), at.host);
  await once(visitor, "connect");
  const here = `${at.host}:${at.port}`;
  const decky = (await host.deckies()).find((decky) => decky.services.some(({ listen }) => listen.includes(here)))!;
  const dialog = page.getByRole("dialog", { name: "Restart 1 decky" });
  // The visit has to be stored first.
  await expect(async () => {
    await open(page, `/fleet?redeploy=${decky.name}`);
    await expect(dialog).toContainText(/, ends \d+ live sessions?, and starts the same again/, { timeout: 2_000 });
  }).toPass();
  visitor.destroy();
  complaints.none();
});

test("a decky is stopped, stays so though the mutator starts anew, and is started as the same machine", async ({ page, host, complaints }) => {
  // The whole fleet ends and comes up again in it.
  test.setTimeout(150_000);
  const name = "resting";
  await host.decnet(["deploy", "--name", name, "--archetype", "linux-server"]);
  const ssh = (await host.deckies()).find((decky) => decky.name === name)!.services.find(({ slug }) => slug === "ssh")!;
  const at = address(ssh.listen[0]);
  const key = await hostKey(at);
  expect(key).toContain("ssh-ed25519 ");
  const card = page.locator(".card").filter({ has: page.locator(".card-name", { hasText: name }) });
  // By its head: the last step of another order may be called so, too.
  const task = (operation: string) => page.locator(".task.good").filter({ has: page.locator("header b", { hasText: new RegExp(`^${operation}$`) }) });

  await test.step("the order says what it ends", async () => {
    const visitor = connect(Number(at.port), at.host);
    await once(visitor, "connect");
    const dialog = page.getByRole("dialog", { name: "Stop 1 decky" });
    // The visit has to be stored first.
    await expect(async () => {
      await open(page, `/fleet?stop=${name}`);
      await expect(dialog).toContainText(/Stops 1 decky with \d+ services?, ends \d+ live sessions?, until started again/, { timeout: 2_000 });
    }).toPass();
    visitor.destroy();
    await dialog.getByRole("button", { name: "Stop" }).click();
    await expect(dialog).toHaveCount(0);
    await expect(task("stop")).toBeVisible({ timeout: 30_000 });
  });

  await test.step("it is down, says so in a word, and offers nothing that would not help", async () => {
    expect(await refused(at)).toBe("ECONNREFUSED");
    await expect(card.locator("header .badge.idle")).toHaveText("stopped");
    await expect(card.getByRole("link", { name: `Start ${name}` })).toBeVisible();
    await expect(card.getByRole("link", { name: `Take down ${name}` })).toBeVisible();
    for (const order of ["Stop", "Restart", "Change services of"]) {
      await expect(card.getByRole("link", { name: `${order} ${name}` })).toHaveCount(0);
    }
    await expect(page.locator(".table-note").first()).toContainText("1 stopped");
    await open(page, `/fleet?decky=${name}`);
    const drawer = page.getByRole("dialog", { name });
    await expect(drawer).toContainText("An operator stopped it");
    await expect(drawer.getByRole("link", { name: `Start ${name}` })).toBeVisible();
    // It is neither a fault of the host nor an alert.
    const health = async () => {
      const { components } = await (await page.request.get("/api/v1/health")).json();
      const { status, detail } = components.find((part: { name: string }) => part.name === "fleet");
      return `${status}: ${detail}`;
    };
    await expect.poll(health).toMatch(/^ok: .*, 1 stopped$/);
    expect(await (await page.request.get("/api/v1/alerts")).text()).not.toContain(name);
  });

  await test.step("it stays so", async () => {
    await host.decnet(["worker", "stop", "mutator"]);
    await expect.poll(() => host.printed).toContain("decnet-mutator was told to stop, and stays stopped");
    await host.decnet(["worker", "start", "mutator"]);
    const others = async () => (await host.deckies()).filter((decky) => decky.name !== name).map((decky) => decky.state);
    await expect.poll(async () => new Set(await others()), { timeout: 60_000 }).toEqual(new Set(["running"]));
    expect((await host.deckies()).find((decky) => decky.name === name)!.state).toBe("stopped");
    expect(await refused(at)).toBe("ECONNREFUSED");
  });

  await test.step("of several that are selected, those are started that are stopped", async () => {
    const other = (await host.deckies()).find((decky) => decky.name !== name)!.name;
    await open(page, "/fleet?view=table");
    for (const selected of [name, other]) {
      await page.getByRole("checkbox", { name: new RegExp(`^Select ${selected}, `) }).check();
    }
    const bulk = page.getByRole("group", { name: "Orders for the selected deckies" });
    await expect(bulk.getByRole("link", { name: "Stop" })).toBeVisible();
    await bulk.getByRole("link", { name: "Start", exact: true }).click();
    const dialog = page.getByRole("dialog", { name: "Start 1 decky" });
    await expect(dialog.locator(".named li").filter({ hasText: other })).toContainText("is not stopped");
    await expect(dialog).toContainText(/Starts 1 decky with \d+ services?, as before/);
    await dialog.getByRole("button", { name: "Start" }).click();
    await expect(dialog).toHaveCount(0);
    await expect(task("start")).toBeVisible({ timeout: 30_000 });
    await expect(page.locator("tr").filter({ hasText: name })).toContainText("running");
    expect(await hostKey(at)).toBe(key);
  });
  complaints.none();
  await host.decnet(["teardown", name]);
});

test("on a phone, where no tooltip tells what a sign means, a card has the words of its orders", async ({ page, host, complaints }) => {
  const [{ name }] = await host.deckies();
  const card = page.locator(".card").filter({ has: page.getByRole("link", { name, exact: true }) });
  const words = ["Change services", "Restart", "Stop", "Take down"];
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/fleet");
  for (const said of words) await expect(card.locator(".order").getByText(said, { exact: true })).toBeVisible();
  const boxes = await card.locator(".order").evaluateAll((orders) => orders.map((order) => order.getBoundingClientRect()));
  expect(boxes).toHaveLength(words.length);
  for (const { height, right } of boxes) {
    expect(height, "what a finger meets").toBeGreaterThanOrEqual(40);
    expect(right).toBeLessThanOrEqual(390);
  }
  const colour = (order: string) => card.getByRole("link", { name: `${order} ${name}` }).evaluate((link) => getComputedStyle(link).color);
  expect(await colour("Take down")).not.toBe(await colour("Stop"));
  complaints.none();
});

test("a decky that is left alone because it ended too often is tried again from its drawer", async ({ page, host, complaints }) => {
  test.setTimeout(150_000);
  const name = "frail";
  await host.decnet(["deploy", "--name", name, "--archetype", "deaddeck"]);
  const folder = join(realpathSync(host.dataDir), "deckies", name);
  const pidOf = () =>
    readdirSync("/proc").find((pid) => {
      try {
        return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`) === folder;
      } catch {
        // It ended while we looked, or is another user's.
        return false;
      }
    });
  const quarantined = async () => ((await host.deckies()).find((decky) => decky.name === name) as unknown as { quarantined: boolean }).quarantined;
  await expect(async () => {
    const pid = pidOf();
    if (pid) process.kill(Number(pid), "SIGKILL");
    expect(await quarantined()).toBe(true);
  }).toPass({ timeout: 90_000, intervals: [500] });

  await open(page, `/fleet?decky=${name}`);
  const drawer = page.getByRole("dialog", { name });
  await expect(drawer).toContainText("in quarantine after 5 deaths");
  const again = drawer.getByRole("button", { name: "Try it again" });
  await again.click();
  await expect(page.locator(".toast").filter({ hasText: "The decky is tried again." })).toBeVisible();
  await expect(drawer.locator(".drawer-state .badge")).toHaveText("running", { timeout: 30_000 });
  await expect(again).toHaveCount(0);
  expect(await quarantined()).toBe(false);
  complaints.none();
  await host.decnet(["teardown", name]);
});

test("columns that are put away stay away, and come back", async ({ page }) => {
  await open(page, "/fleet?view=table");
  await page.locator("summary[aria-label=Columns]").click();
  await page.getByLabel("Persona").uncheck();
  await expect(page.locator("table.fleet th", { hasText: "Persona" })).toBeHidden();
  await page.reload();
  await hydrated(page);
  await expect(page.locator("table.fleet th", { hasText: "Persona" })).toBeHidden();
  await page.locator("summary[aria-label=Columns]").click();
  await page.getByLabel("Persona").check();
  await expect(page.locator("table.fleet th", { hasText: "Persona" })).toBeVisible();
});

test("a worker that is told to stop stays stopped until it is started again, alone or with all", async ({ page, host, complaints }) => {
  await open(page, "/workers");
  const card = page.locator(".worker").filter({ hasText: "profiler" });
  const part = page.locator(".health li").filter({ hasText: "profiler" });
  const bell = page.locator(".bell summary");
  const toast = page.locator(".toast");
  for (const [button, told] of [
    [card.getByRole("button", { name: "Start" }), "The worker was started."],
    [page.getByRole("button", { name: "Start all" }), "Started: profiler."],
  ] as const) {
    await expect(card).toContainText("running");
    const pid = await card.locator("dd code").first().textContent();
    await card.getByRole("link", { name: "Stop" }).click();
    const dialog = page.getByRole("dialog", { name: "Stop the profiler" });
    await expect(dialog).toContainText("stays stopped until it is started again");
    await dialog.getByRole("button", { name: "Stop" }).click();
    await expect(toast.filter({ hasText: "told to stop" })).toBeVisible();
    await expect(card).toContainText("stopped by order", { timeout: 30_000 });
    await expect(card).toContainText("to stop, from admin");
    await expect(card).not.toContainText("Up for");
    await expect(part).toContainText("stopped");
    await expect(bell).toHaveAttribute("aria-label", /[1-9]\d* new/);
    await expect.poll(() => host.printed).toContain("decnet-profiler was told to stop, and stays stopped");
    await button.click();
    await expect(toast.filter({ hasText: told })).toBeVisible({ timeout: 30_000 });
    await expect(card).toContainText("running", { timeout: 30_000 });
    await expect(card.locator("dd code").first()).not.toHaveText(pid!);
    await expect(part).toContainText("running");
  }
  complaints.none();
});

test("the palette goes anywhere and finds anybody", async ({ page, host, complaints }) => {
  const [decky] = await host.deckies();
  await open(page, "/");
  await page.keyboard.press("Control+k");
  const field = page.getByRole("combobox", { name: "Where to?" });
  await expect(field).toBeFocused();
  await page.keyboard.type("work");
  await expect(page.getByRole("option").first()).toContainText("Workers");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/workers$/);

  await page.keyboard.press("Control+k");
  await page.keyboard.type(decky.ip);
  await expect(page.getByRole("option", { name: decky.name }).locator(".archetype-mark")).toBeVisible();
  await page.getByRole("option", { name: decky.name }).click();
  await expect(page.getByRole("dialog", { name: decky.name })).toBeVisible();
  await page.keyboard.press("Escape");

  await page.keyboard.press("Control+k");
  await page.keyboard.type("wget & <b>");
  await page.getByRole("option", { name: /Search the log for/ }).click();
  await expect(page).toHaveURL(/\/live\?search=wget/);
  await expect(page.getByLabel("Text, or field:value")).toHaveValue("wget & <b>");

  // What opens beside a page leaves it as it is.
  await page.keyboard.press("Control+k");
  await page.keyboard.type("shortc");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog", { name: "Shortcuts" })).toBeVisible();
  await expect(page).toHaveURL(/\/live\?.*search=wget/);
  await page.keyboard.press("Escape");
  await expect(page.getByLabel("Text, or field:value")).toHaveValue("wget & <b>");

  await page.keyboard.press("Control+k");
  await page.keyboard.type("audit");
  await expect(page.locator("dialog.palette").getByRole("option").first()).toContainText("Settings: audit log");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/settings\/audit$/);
  // Pages of settings are found by what is on them.
  for (const [typed, name, path] of [
    ["retention", "Settings: installation", /\/settings\/host$/],
    ["tokens of everybody", "Settings: API tokens", /\/settings\/tokens$/],
    ["new api", "New API token", /\/settings\?dialog=token$/],
  ] as const) {
    await page.keyboard.press("Control+k");
    await page.keyboard.type(typed);
    await expect(page.locator("dialog.palette").getByRole("option").first()).toContainText(name);
    await page.keyboard.press("Enter");
    await expect(page).toHaveURL(path);
  }
  await page.keyboard.press("Escape");
  await expect(page.locator("dialog[open]")).toHaveCount(0);
  await page.keyboard.press("Control+k");
  await page.keyboard.type("hunter2");
  await page.getByRole("option", { name: /Search the credentials for/ }).click();
  await expect(page).toHaveURL(/\/credentials\?search=hunter2$/);

  // Who is found comes after what was there at once, and moves nothing under the pointer.
  const from = "127.8.7.6";
  const { host: ip, port } = await host.service("http");
  await curl(`http://${ip}:${port}/`, from);
  await expect
    .poll(async () => (await (await page.request.get(`/api/v1/attackers?search=${from}`)).json()).data.length)
    .toBe(1);
  await page.keyboard.press("Control+k");
  await page.keyboard.type(from);
  const options = page.locator("dialog.palette").getByRole("option");
  await expect(options.first()).toHaveText(`Search the attackers for “${from}”`);
  await expect(options.last()).toContainText(/attacker, \d+ events?/);
  await page.keyboard.press("ArrowUp");
  await expect(options.last()).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/attackers\/[0-9a-f-]+$/);
  await expect(page.getByRole("heading", { name: from })).toBeVisible();
  complaints.none();
});

test("the fleet is filtered by state and by words, as cards and as rows, and the URL has it", async ({ page, host, complaints }) => {
  const deckies = await host.deckies();
  const [one] = deckies;
  await open(page, "/fleet");
  const cards = page.locator(".card");
  await expect(cards).toHaveCount(deckies.length);
  const search = page.getByRole("searchbox");
  await search.fill(`${one.ip} ${one.services[0].slug.toUpperCase()}`);
  await search.press("Enter");
  await expect(page).toHaveURL(/\/fleet\?search=/);
  await expect(cards).toHaveCount(1);
  await expect(cards).toContainText(one.name);
  await expect(page.locator(".table-note")).toContainText("1 shown");
  await page.getByRole("combobox", { name: "State" }).selectOption("stopped");
  await expect(page.getByText("No decky fits these filters")).toBeVisible();
  await page.getByRole("link", { name: "Remove the filter state stopped" }).click();
  await expect(cards).toHaveCount(1);

  // A link has all of it, and the orders that heads give where there are heads.
  await open(page, `/fleet?view=table&state=running&sort_by=address&sort_order=asc`);
  const rows = page.locator("table.fleet tbody tr:not(.gap)");
  const running = deckies.filter((decky) => decky.state === "running").length;
  await expect(rows).toHaveCount(running);
  await page.getByRole("combobox", { name: "Order" }).selectOption("events");
  await expect(page).toHaveURL(/sort_by=events/);
  await search.fill(one.name);
  await search.press("Enter");
  await expect(rows.filter({ hasText: one.name })).toHaveCount(1);
  await expect(page).toHaveURL(/view=table/);
  complaints.none();
});

test("a decky of which there is only evidence leads to that", async ({ page, host, complaints }) => {
  await open(page, `/fleet?decky=${marker()}`);
  const nobody = page.getByRole("dialog", { name: /^mark/ });
  await expect(nobody).toContainText("No such decky");
  await nobody.getByRole("link", { name: "All it saw" }).click();
  await expect(page).toHaveURL(/\/live\?decky=mark\w+$/);
  // And of one that is there, it is told how often it changes its services where nothing is set for it alone.
  const decky = (await host.deckies()).at(-1)!;
  await open(page, `/fleet?decky=${decky.name}`);
  await page.getByRole("dialog", { name: decky.name }).getByRole("link", { name: "as the whole fleet" }).click();
  await expect(page.getByLabel("New services every")).toBeVisible();
  complaints.none();
});
