// A page loads the program that it shows, and no more.

import { type Page, type Request } from "@playwright/test";
import { expect, live, open, test } from "../test";

/** The most bytes of program that a page may load until it is alive: `deploy/xtask/src/weight.rs` holds it for every page. */
const BAR = 400_000;

/** The program's files that were asked for, by their address: for now, or (`later`) for pages that may follow. */
class Program {
  private readonly asked: Request[] = [];

  constructor(page: Page) {
    page.on("requestfinished", (request) => {
      if (/\/pkg\/.*\.(wasm|js)$/.test(request.url())) this.asked.push(request);
    });
  }

  async files(later: boolean): Promise<Map<string, number>> {
    const files = new Map<string, number>();
    for (const request of this.asked) {
      const prefetched = "sec-purpose" in (await request.allHeaders());
      if (prefetched === later) files.set(request.url(), (await request.sizes()).responseBodySize);
    }
    return files;
  }
}

/** The names of all pieces, where the program is in pieces. */
const pieces = (page: Page) => page.locator('script[src="/boot.js"]').getAttribute("data-pieces");

test("the first page loads its own piece in at most 400 KB, what reads the stream and the others when nothing else is to do", async ({ page, complaints }) => {
  const program = new Program(page);
  await open(page, "/");
  const all = (await pieces(page))?.split(" ");
  test.skip(!all, "a development build is in one piece: `cargo xtask e2e --release` runs this");
  await live(page);
  const now = await program.files(false);
  const names = [...now.keys()].map((url) => url.split("/").pop());
  expect(names).toEqual(expect.arrayContaining(["decnet.js", "decnet.wasm", "page_overview.wasm"]));
  expect(names).not.toContain("page_fleet.wasm");
  const untilAlive = [...now].filter(([url]) => !url.endsWith("/page_stream.wasm"));
  const sum = untilAlive.reduce((sum, [, bytes]) => sum + bytes, 0);
  expect(sum, [...now].join("\n")).toBeLessThanOrEqual(BAR);
  // Together they are the whole, and each comes once.
  await expect.poll(async () => (await program.files(true)).size).toBeGreaterThan(0);
  const came = () => program.files(true).then((later) => [...now.keys(), ...later.keys()].length);
  await expect.poll(came).toBeGreaterThanOrEqual(all!.length + 2);
  complaints.none();
});

test("a page whose piece does not come is fetched whole from the server", async ({ page }) => {
  await open(page, "/");
  test.skip(!(await pieces(page)), "a development build is in one piece: `cargo xtask e2e --release` runs this");
  await page.route("**/page_fleet.wasm", (route) => route.abort());
  await page.getByRole("link", { name: "Fleet" }).first().click();
  await expect(page).toHaveURL(/\/fleet/);
  await expect(page.getByRole("heading", { name: "Fleet" })).toBeVisible();
  // It is not alive without its piece, and as good as without scripts.
  await expect(page.locator("html[data-hydrated]")).toHaveCount(0);
  await page.unroute("**/page_fleet.wasm");
  await page.reload();
  await live(page);
});
