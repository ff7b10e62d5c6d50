// Tables are read for hours: what stands in them has the contrast of AAA, in both themes and on each ground that a row has.

import AxeBuilder from "@axe-core/playwright";
import { at, onDay, settled, show, THEMES } from "../pages";
import { expect, open } from "../test";

const test = onDay(600);

/** A page with a table for each kind of row; of those with a drawer one row is chosen. */
const TABLES = [
  "/",
  "/live",
  "/live?event_type=command&log=COMMAND",
  "/attackers?attacker=ATTACKER",
  "/attackers/ATTACKER",
  "/credentials?bounty=BOUNTY",
  "/credentials/reuse",
  "/fleet?view=table",
  "/settings/users",
  "/settings/tokens",
  "/settings/audit",
];

for (const theme of THEMES) {
  test(`text in tables is AAA in the ${theme} theme`, async ({ page, day }) => {
    test.slow();
    await show(page, 1440, theme);
    for (const path of TABLES) {
      await open(page, at(path, day));
      await settled(page);
      const table = page.locator(".table").first();
      await expect(table, path).toBeVisible();
      // One row has the ground of that which is pointed at.
      await table.locator("tbody tr:not(.gap)").first().hover();
      const found = await new AxeBuilder({ page }).include(".table").withRules(["color-contrast-enhanced"]).analyze();
      expect(found.passes.length + found.violations.length, path).toBeGreaterThan(0);
      const faint = found.violations.flatMap(({ nodes }) => nodes.map((node) => `${node.html.slice(0, 160)}: ${node.any[0]?.message}`));
      expect(faint, path).toEqual([]);
    }
  });
}
