// Lists of which much is chosen, or looked for.

import { expect, fits, goTo, marker, open, test } from "../test";

test("hundreds of tokens are selected and ended together, and a link has none of them", async ({ page, complaints }) => {
  test.slow();
  const count = 220;
  // An account has fifty at most: here are those of many.
  let tokens = Array.from({ length: count }, (_, n) => ({
    id: `01890a5d-ac96-774b-bcce-${String(n).padStart(12, "0")}`,
    name: `token-${n}`,
    owner: `owner-${n % 5}`,
    role: "viewer",
    created_at: "2026-01-01T00:00:00Z",
    expires_at: "2036-01-01T00:00:00Z",
    last_used_at: null,
  }));
  await page.route("**/ui/token_list_all", (route) => route.fulfill({ json: tokens }));
  await open(page, "/settings");
  await goTo(page, "/settings/tokens");
  await expect(page.locator("table.all-tokens tbody tr").first()).toBeVisible();
  const bulk = page.getByRole("group", { name: "Orders for the selected tokens" });
  for (let ticked = 1; ticked <= count; ticked++) {
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await expect(bulk.locator("b")).toHaveText(`${ticked} selected`);
  }
  await bulk.getByRole("link", { name: "End" }).click();
  await expect(page).toHaveURL(/\/settings\/tokens\?end=selected$/);
  const dialog = page.getByRole("dialog", { name: `End ${count} API tokens` });
  await expect(dialog.locator(".named li")).toHaveCount(count);
  await expect(dialog).toContainText(`Ends ${count} tokens of 5 accounts.`);

  // A page that is loaded by that link has nothing selected, and says so.
  const other = await page.context().newPage();
  await open(other, "/settings/tokens?end=selected");
  const none = other.getByRole("dialog", { name: "End 0 API tokens" });
  await expect(none).toContainText("None is selected.");
  await expect(none.getByRole("button", { name: "End for good" })).toHaveCount(0);
  await other.close();

  const asked = page.waitForRequest("**/ui/tokens_end");
  tokens = [];
  await dialog.getByRole("button", { name: "End for good" }).click();
  expect(new URLSearchParams((await asked).postData()!).get("ids")!.split(",")).toHaveLength(count);
  await expect(dialog).toHaveCount(0);
  await expect(page.getByText("No API tokens")).toBeVisible();
  complaints.none();
});

test("unread lines are looked for by text, by segment and by time, and taken along so", async ({ page, complaints }) => {
  const found = marker();
  const line = (n: number, line: string, why: string) => ({
    id: n,
    received_at: "2026-11-20T12:00:00Z",
    segment: 3,
    offset: n * 100,
    why,
    line,
  });
  const asked: object[] = [];
  // What cannot be read is not made by hand: collectors and decoys write well. The search itself is a test of the API.
  await page.route("**/ui/quarantine_page", async (route) => {
    const { query } = route.request().postDataJSON();
    asked.push(query);
    const all = [line(2, `\\xff ${found}`, "no priority"), line(1, "another", "no version")];
    const fits = all.filter((one) => !query.search || one.line.includes(query.search) || one.why.includes(query.search));
    await route.fulfill({ json: query.segment === 9 ? { data: [] } : { data: fits } });
  });
  await open(page, "/live");
  await goTo(page, "/quarantine");
  const rows = page.locator("table.quarantine tbody tr");
  await expect(rows).toHaveCount(2);
  await page.getByRole("searchbox", { name: "Text in the line or the reason" }).fill(found);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`/quarantine\\?search=${found}$`));
  await expect(rows).toHaveCount(1);
  await expect(rows).toContainText(found);
  await page.getByRole("textbox", { name: "Segment" }).fill("9");
  await page.keyboard.press("Enter");
  await expect(page.getByText("Nothing fits these filters")).toBeVisible();
  await page.locator(".export summary").click();
  const csv = page.locator(".export .menu-body").getByRole("link", { name: /^CSV/ });
  await expect(csv).toHaveAttribute("href", `/api/v1/quarantine/export?search=${found}&segment=9&format=csv`);
  expect((await page.request.get((await csv.getAttribute("href"))!)).status()).toBe(200);
  await page.keyboard.press("Escape");
  await page.getByRole("link", { name: "Remove the filter segment 9" }).click();
  await expect(rows).toHaveCount(1);
  expect(asked.at(-1)).toMatchObject({ search: found });
  await page.getByRole("link", { name: `Remove the filter text ${found}` }).click();
  await expect(rows).toHaveCount(2);
  await page.setViewportSize({ width: 390, height: 844 });
  await fits(page);
  complaints.none();
});

test("what a link says wrongly of unread lines is named", async ({ page, complaints }) => {
  await open(page, "/quarantine?segment=some&start_time=yesterday");
  const alert = page.getByRole("alert");
  await expect(alert).toContainText("the segment is not a number");
  await expect(alert).toContainText("start_time is not a time");
  complaints.none();
});
