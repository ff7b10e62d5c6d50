// The buttons that copy: what is said is what happened, also where the browser does not let a page copy.

import { expect, open, test } from "../test";

const NOT_HERE = /lets no page copy here/;

test("what is copied is on the clipboard, and only then it is said", async ({ page, context, host, complaints }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const [{ ip }] = await host.deckies();
  await open(page, "/fleet");
  const card = page.locator(".card").filter({ has: page.getByText(ip, { exact: true }) });
  const copy = card.getByRole("button", { name: "Copy address" });
  await copy.click();
  await expect(copy.locator(".copied")).toHaveText("copied");
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(ip);
  await expect(page.getByText(NOT_HERE)).toHaveCount(0);
  complaints.none();
});

for (const [why, how] of [
  ["refuses", () => (navigator.clipboard.writeText = () => Promise.reject(new DOMException("no", "NotAllowedError")))],
  // As in a page that came over plain http, by a name.
  ["has no clipboard", () => Object.defineProperty(Navigator.prototype, "clipboard", { get: () => undefined })],
] as const) {
  test(`where the browser ${why}, the text stands there marked, until one goes elsewhere`, async ({ page, host, complaints }) => {
    await page.addInitScript(how);
    const [{ ip }] = await host.deckies();
    await open(page, "/fleet");
    const card = page.locator(".card").filter({ has: page.getByText(ip, { exact: true }) });
    const copy = card.getByRole("button", { name: "Copy address" });
    await copy.click();
    const field = page.getByLabel(NOT_HERE);
    await expect(field).toBeFocused();
    await expect(field).toHaveValue(ip);
    const marked = await field.evaluate((field: HTMLTextAreaElement) => field.value.slice(field.selectionStart, field.selectionEnd));
    expect(marked).toBe(ip);
    await expect(copy.locator(".copied")).toHaveText("");
    await page.keyboard.press("Escape");
    await expect(field).toHaveCount(0);
    complaints.none();
  });
}
