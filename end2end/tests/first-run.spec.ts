// Nothing has happened yet: three steps to the first catch, until it is there or somebody does not want them.

import { redis } from "../attack";
import { expect, live, onOwnHost, open } from "../test";

const test = onOwnHost();

test("the guide leads to the first touch, can be skipped for good, and is gone once something happened", async ({ page, host, context, complaints }) => {
  await open(page, "/");
  await live(page);
  const guide = page.getByRole("region", { name: "Three steps to your first catch" });
  await expect(guide.getByRole("listitem")).toHaveCount(3);
  await expect(guide.locator("li.done")).toHaveCount(2);
  await expect(guide.locator("li.now h3")).toHaveText("Touch your first decoy");
  const { at } = host.account();
  await expect(guide.locator("li.now .command code")).toContainText(at.host);

  // Who skips it is told the command all the same, and does not see it again.
  const other = await context.newPage();
  await open(other, "/");
  await other.getByRole("button", { name: "Skip" }).click();
  await expect(other.getByText("Nothing has touched your decoys yet")).toBeVisible();
  await other.reload();
  await expect(other.getByText("Nothing has touched your decoys yet")).toBeVisible();
  await other.close();

  await redis(await host.service("redis"), "PING");
  await expect(page.locator("section.feed tbody tr").first()).toBeVisible();
  await expect(guide).toHaveCount(0);
  complaints.none();
});
