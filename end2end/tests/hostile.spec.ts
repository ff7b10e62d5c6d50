// What an intruder says is text, wherever it is shown: nothing of it runs, nothing of it breaks a page.

import { attackAll, ssh } from "../attack";
import { expect, fits, open, test } from "../test";

const canary = (how: string) => `document.documentElement.dataset.canary='${how}'`;

/** Strings that try something, by what they try. */
const STRINGS: Record<string, string> = {
  markup: `<script>${canary("script")}</script><img src=x onerror="${canary("img")}"><svg onload=${canary("svg")}>`,
  breakout: `"'></title></textarea></style><b onmouseover="${canary("attribute")}" autofocus onfocus=${canary("focus")} x='`,
  scheme: `javascript:${canary("scheme")}//{{7*7}}\${7*7}&lt;i&gt;%3Cscript%3E`,
  unseen: "\u001b[31mred\u001b[2J\u001b]0;title\u0007 \u202Egnp.exe\u202C zero\u200bwidth\u2060 \u{1F4A3}\u{1F469}\u200D\u{1F4BB} \u0627\u0644\u0639",
  long: `W${"\u{1F4A3}".repeat(50)}${"m".repeat(2_000)}`,
};

const PAGES = ["/", "/live", "/attackers", "/fleet", "/fleet?view=table"];

test.beforeAll(async ({ host }) => {
  const services = await host.services();
  const { at, user, password } = host.account();
  for (const text of Object.values(STRINGS)) {
    await attackAll(services, text);
    // As a command, too: guessing alone lets nobody in.
    await ssh(at, user, password, text);
  }
});

interface LogRow {
  id: number;
  attacker_id?: string;
  raw: string;
  event_type: string;
  service: string;
}

for (const [width, what] of [
  [390, "a phone"],
  [1440, "a desk"],
] as const) {
  test(`no page runs, hides or is broken by what intruders said, on ${what}`, async ({ page, complaints }) => {
    await page.setViewportSize({ width, height: 900 });
    page.on("dialog", (dialog) => {
      throw new Error(`a page opened a dialog: ${dialog.message()}`);
    });

    const { data } = (await (await page.request.get("/api/v1/logs?limit=500")).json()) as { data: LogRow[] };
    const attacker = data.find((row) => row.attacker_id)?.attacker_id;
    expect(attacker).toBeDefined();

    const look = async (path: string) => {
      await open(page, path);
      await expect(page.locator(".loading")).toHaveCount(0);
      await fits(page);
      expect(await page.locator("html").getAttribute("data-canary"), `what ran on ${path}`).toBeNull();
      complaints.none();
    };
    for (const path of [...PAGES, `/attackers/${attacker}`]) await look(path);
  });
}

test("no drawer is broken by what intruders said", async ({ page, host, complaints }) => {
  await page.setViewportSize({ width: 390, height: 900 });
  // One row of each kind that holds some of it.
  const kinds = new Map<string, LogRow>();
  for (const word of ["canary", "gnp.exe", "mmmmmmmmmm"]) {
    const { data } = (await (await page.request.get(`/api/v1/logs?limit=500&search=${word}`)).json()) as { data: LogRow[] };
    for (const row of data) kinds.set(`${row.event_type} ${word}`, row);
  }
  const services = new Set([...kinds.values()].map((row) => row.service));
  expect(services.size, `${[...services]} of ${[...(await host.services()).keys()]}`).toBeGreaterThan(3);
  // Each is a page of its own, and a development build takes seconds to hydrate on a busy machine.
  test.setTimeout(30_000 + kinds.size * 15_000);
  for (const [kind, row] of kinds) {
    await open(page, `/live?service=none&log=${row.id}`);
    await expect(page.getByRole("dialog").locator(".raw").first(), kind).toBeVisible();
    await fits(page);
    expect(await page.locator("html").getAttribute("data-canary"), `what ran in ${kind}`).toBeNull();
    complaints.none();
  }
});

test("it stands there as text, with what cannot be seen made visible", async ({ page, complaints }) => {
  await open(page, "/live?service=redis&event_type=command&search=onerror");
  await expect(page.locator("table.logs tbody tr").first()).toContainText("<script>");
  await page.locator("table.logs tbody tr").first().locator(".c-what").click();
  await expect(page.getByRole("dialog").locator(".fields")).toContainText("<img src=x onerror=");

  await open(page, "/live?service=redis&event_type=command&search=gnp.exe");
  const row = page.locator("table.logs tbody tr").first();
  await expect(row).toContainText("⟨U+202E⟩gnp.exe");
  await expect(row).toContainText("zero⟨U+200B⟩width");
  expect(await row.innerText()).not.toMatch(/[\u0000-\u0008\u001b\u202e\u200b]/);

  // And so it does in a link that somebody was sent.
  const text = encodeURIComponent(STRINGS.breakout);
  await open(page, `/live?search=${text}&decky=${text}&service=${text}&event_type=${text}`);
  await expect(page.locator(".chip").first()).toContainText("</title>");
  await open(page, `/attackers?search=${text}`);
  await open(page, `/fleet?teardown=${text}`);
  await expect(page.getByRole("dialog")).toContainText("</textarea>");
  expect(await page.locator("html").getAttribute("data-canary")).toBeNull();
  complaints.none();
});
