// What an intruder says is text, wherever it is shown: nothing of it runs, nothing of it breaks a page.

import type { Page } from "@playwright/test";
import { attackAll, intrusions } from "../attack";
import { expect, fits, goTo, open, test } from "../test";

const canary = (how: string) => `document.documentElement.dataset.canary='${how}'`;

/** Strings that try something, by what they try. */
const STRINGS: Record<string, string> = {
  markup: `<script>${canary("script")}</script><img src=x onerror="${canary("img")}"><svg onload=${canary("svg")}>`,
  breakout: `"'></title></textarea></style><b onmouseover="${canary("attribute")}" autofocus onfocus=${canary("focus")} x='`,
  scheme: `javascript:${canary("scheme")}//{{7*7}}\${7*7}&lt;i&gt;%3Cscript%3E`,
  unseen: "\u001b[31mred\u001b[2J\u001b]0;title\u0007 \u202Egnp.exe\u202C zero\u200bwidth\u2060 \u{1F4A3}\u{1F469}\u200D\u{1F4BB} \u0627\u0644\u0639",
  long: `W${"\u{1F4A3}".repeat(50)}${"m".repeat(2_000)}`,
};

const PAGES = [
  "/",
  "/live",
  "/attackers",
  "/credentials",
  "/credentials/reuse",
  "/fleet",
  "/fleet?view=table",
  "/workers",
  "/settings",
  "/settings/host",
  "/settings/users",
  "/settings/tokens",
  "/settings/audit",
  "/quarantine",
];

/** A part of each kind of string that stands in whatever a decoy kept of it. */
const WORDS = ["canary", "gnp.exe", "mmmmmmmmmm"];

/**
 * The fields in which markup stands once everything was attacked, by service: the kind of event, more exactly where it has several, and
 * the name of the field. Those that only some products have are left out.
 */
const REACHED: Record<string, string[]> = {
  redis: [
    "auth_attempt principal",
    "auth_attempt secret_printable",
    "client_info client_name info",
    "command command",
    "exploit_attempt redis-dump-to-file bytes",
    "exploit_attempt redis-eval bytes",
    "exploit_attempt redis-module-load bytes",
    "exploit_attempt redis-rogue-master bytes",
    "file_captured redis-save orig_path",
    "forward_refused MIGRATE target",
    "forward_refused SLAVEOF target",
    "protocol_violation HTTP spoken to Redis bytes",
  ],
  http: [
    "auth_attempt principal",
    "auth_attempt secret_printable",
    "client_info user_agent info",
    "exploit_attempt CVE-2021-44228 bytes",
    "file_captured post orig_path",
    "file_captured put orig_path",
    "protocol_violation not an HTTP request bytes",
    "request body",
    "request header_<name>",
    "request header_authorization",
    "request header_content_type",
    "request header_cookie",
    "request header_host",
    "request header_referer",
    "request header_user_agent",
    "request header_x_forwarded_for",
    "request method",
    "request path",
  ],
  ftp: [
    "auth_attempt principal",
    "auth_attempt secret_printable",
    "client_info client_software info",
    "client_info tls_alpn info",
    "client_info tls_server_name info",
    "command command",
    "download path",
    "exploit_attempt ftp-site-exec bytes",
    "file_captured stor orig_path",
    "protocol_violation a command line that is too long bytes",
    "protocol_violation plaintext ahead of the TLS handshake bytes",
    "request path",
  ],
  ssh: [
    "auth_attempt principal",
    "auth_attempt secret_printable",
    "client_fingerprint hassh fingerprint_raw",
    "client_info environment info",
    "client_info ssh_version info",
    "client_info terminal info",
    "command command",
    "download path",
    "fetch_attempt url",
    "file_captured redirect orig_path",
    "file_captured scp orig_path",
    "file_captured sftp orig_path",
    "forward_refused direct-tcpip target",
    "forward_refused streamlocal-forward target",
    "protocol_violation no SSH identification bytes",
    "protocol_violation no such subsystem bytes",
  ],
  mysql: [
    "auth_attempt principal",
    "client_info client_name info",
    "client_info schema info",
    "command command",
    "exploit_attempt mysql-into-outfile bytes",
    "protocol_violation a bad handshake bytes",
    "query query",
  ],
  smtp: [
    "auth_attempt principal",
    "auth_attempt secret_printable",
    "client_info tls_alpn info",
    "client_info tls_server_name info",
    "command command",
    "forward_refused relay target",
    "mail_accepted smtp mail_from",
    "mail_accepted smtp rcpt_to",
    "mail_accepted smtp subject",
    "protocol_violation not base64 in AUTH bytes",
    "protocol_violation plaintext ahead of the TLS handshake bytes",
  ],
};

test.beforeAll(async ({ host }) => {
  // A wrong password takes seconds.
  test.setTimeout(240_000);
  const services = await host.services();
  for (const text of Object.values(STRINGS)) {
    const inside = Object.entries(intrusions).map(([slug, intrude]) => intrude(host.account(slug), text));
    await Promise.all([attackAll(services, text), ...inside]);
  }
});

interface Find {
  id: number;
  kind: string;
  service: string;
  principal?: string;
  value: string;
}

interface Reuse {
  id: number;
  principal?: string;
  value: string;
}

/** Every row of a list of the API. */
async function list<T>(page: Page, path: string): Promise<T[]> {
  const answer = await page.request.get(`/api/v1/${path}`);
  expect(answer.status(), path).toBe(200);
  return (await answer.json()).data;
}

/** Nothing of what intruders said ran, and nothing of it became an element. */
async function isText(page: Page, where: string): Promise<void> {
  expect(await page.locator("html").getAttribute("data-canary"), `what ran on ${where}`).toBeNull();
  await expect(page.locator("img[src=x], [onload], [onerror], [onfocus], [onmouseover], [href^='javascript:']"), where).toHaveCount(0);
}

interface LogRow {
  id: number;
  attacker_id?: string;
  event_type: string;
  service: string;
  fields: Record<string, string>;
}

/** Every log row that fits a search. */
async function found(page: Page, search: string): Promise<LogRow[]> {
  const rows: LogRow[] = [];
  for (let next: string | undefined = ""; next !== undefined; ) {
    const answer = await page.request.get(`/api/v1/logs?limit=500&search=${search}${next && `&before=${next}`}`);
    expect(answer.status()).toBe(200);
    const part: { data: LogRow[]; next?: string } = await answer.json();
    rows.push(...part.data);
    next = part.next ?? undefined;
  }
  return rows;
}

/** The kind of event that a row tells of: which information, violation, exploit, way of a file. */
function kindOf({ event_type, fields }: LogRow): string {
  // What fetches is there or not, as the machine has it.
  const via = event_type === "fetch_attempt" ? undefined : fields.via;
  const which = fields.info_kind ?? fields.fingerprint_kind ?? fields.what ?? fields.exploit ?? via;
  return which ? `${event_type} ${which}` : event_type;
}

/** The fields of a row that hold markup; of a method and of the name of a header, which have nothing but letters, those. */
function heldBy(row: LogRow): string[] {
  return Object.entries(row.fields).flatMap(([field, value]) => {
    const name = field.startsWith("header_x_script") ? "header_<name>" : field;
    const letters = name !== field || (field === "method" && value.startsWith("SCRIPT-"));
    return letters || value.includes("<script>") ? [`${kindOf(row)} ${name}`] : [];
  });
}

test("what intruders say stands in every field that they reach", async ({ page, host }) => {
  const services = [...(await host.services()).keys()];
  expect(Object.keys(REACHED)).toEqual(expect.arrayContaining(services));
  const missing = async () => {
    const rows = await found(page, "canary");
    const held = new Set(rows.flatMap((row) => heldBy(row).map((field) => `${row.service}: ${field}`)));
    return services.flatMap((slug) => REACHED[slug].map((field) => `${slug}: ${field}`)).filter((field) => !held.has(field));
  };
  await expect.poll(missing, { timeout: 30_000 }).toEqual([]);
});

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
      await isText(page, path);
      complaints.none();
    };
    const paths = [...PAGES, `/attackers/${attacker}`, `/attackers?attacker=${attacker}`];
    // Each is a page of its own, and a development build takes seconds to hydrate on a busy machine.
    test.setTimeout(30_000 + paths.length * 15_000);
    for (const path of paths) await look(path);
  });
}

test("no drawer is broken by what intruders said", async ({ page, host, complaints }) => {
  await page.setViewportSize({ width: 390, height: 900 });
  // One row of each kind that holds some of it.
  const kinds = new Map<string, LogRow>();
  for (const word of WORDS) {
    for (const row of await found(page, word)) kinds.set(`${kindOf(row)}, ${word}`, row);
  }
  const services = new Set([...kinds.values()].map((row) => row.service));
  expect(services.size, `${[...services]} of ${[...(await host.services()).keys()]}`).toBeGreaterThan(3);
  test.setTimeout(60_000 + kinds.size * 5_000);
  // As the server draws it, one of each type; the browser draws all.
  const drawn = new Set<string>();
  for (const [kind, row] of kinds) {
    const path = `/live?service=none&log=${row.id}`;
    await (drawn.has(row.event_type) ? goTo : open)(page, path);
    drawn.add(row.event_type);
    await expect(page.locator(`.drawer[data-of="${row.id}"] .raw`).first(), kind).toBeVisible();
    await fits(page);
    await isText(page, kind);
    complaints.none();
  }
});

test("accounts and secrets of intruders stand in the finds and among what was used again as text", async ({ page, complaints }) => {
  const finds = () => list<Find>(page, "bounty?limit=500");
  const isMarkup = ({ kind, service, value }: Find) => kind === "credential" && service === "redis" && value.includes("<script>");
  await expect.poll(async () => (await finds()).some(isMarkup)).toBe(true);
  // One of each kind that holds some of it.
  const kinds = new Map<string, Find>();
  for (const find of await finds()) {
    for (const word of WORDS) {
      if (`${find.principal ?? ""} ${find.value}`.includes(word)) kinds.set(`${find.kind} ${word}`, find);
    }
  }
  // The profiler compares credentials behind the ingester.
  const again = async () => (await list<Reuse>(page, "credential-reuse?limit=500")).find(({ value }) => value.includes("<script>"));
  await expect.poll(async () => (await again()) !== undefined, { timeout: 60_000 }).toBe(true);
  const reuse = (await again())!;
  test.setTimeout(120_000 + kinds.size * 15_000);

  const drawer = page.getByRole("dialog");
  await page.setViewportSize({ width: 390, height: 900 });
  for (const [kind, find] of kinds) {
    await open(page, `/credentials?bounty=${find.id}`);
    await expect(drawer, kind).toContainText("Evidence");
    await fits(page);
    await isText(page, kind);
    complaints.none();
  }
  await open(page, `/credentials/reuse?reuse=${reuse.id}`);
  await expect(drawer).toContainText("<img src=x onerror=");
  await expect(page.locator("table.reuse tbody")).toContainText("<script>");
  await fits(page);
  await isText(page, "what was used again");

  await page.setViewportSize({ width: 1440, height: 900 });
  const markup = (await finds()).find(isMarkup)!;
  await open(page, `/credentials?bounty_type=credential&service=redis&bounty=${markup.id}`);
  await expect(drawer).toContainText("<img src=x onerror=");
  await page.keyboard.press("Escape");
  await expect(drawer).toHaveCount(0);
  const row = page.locator("table.bounties tbody tr").filter({ has: page.locator(`[data-row="${markup.id}"]`) });
  const value = row.locator(".c-value .said");
  await expect(value).toContainText("<script>");
  // Its middle is left out; who comes to the row by the keyboard has the whole.
  await expect(value).not.toContainText("onerror");
  await expect(value).toHaveAttribute("title", /<img src=x onerror=/);
  await page.keyboard.press("j");
  await row.locator(".row-link").focus();
  await expect.poll(() => value.evaluate((said) => getComputedStyle(said, "::before").content)).not.toMatch(/^(none|normal)$/);
  await isText(page, "the finds");
  complaints.none();
});

test("the bell and the palette run nothing", async ({ page, complaints }) => {
  await open(page, "/");
  const bell = page.locator(".bell");
  await bell.locator("summary").click();
  await expect(bell.locator(".alert-intrusion")).toBeVisible();
  await isText(page, "the bell");
  await page.keyboard.press("Escape");

  await page.keyboard.press("Control+k");
  const palette = page.getByRole("dialog", { name: "Go to" });
  for (const text of [STRINGS.markup, STRINGS.scheme, STRINGS.breakout]) {
    await palette.getByRole("combobox").fill(text);
    await expect(palette.getByRole("option").filter({ hasText: "Search the log for" })).toContainText(text.slice(0, 12));
    await isText(page, "the palette");
  }
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/live\?search=/);
  await expect(page.locator(".chip").first()).toContainText("</title>");
  await isText(page, "where the palette leads");
  complaints.none();
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
