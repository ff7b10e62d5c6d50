import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";

// Debian's browser where there is one; elsewhere Playwright's own.
const system = "/usr/bin/chromium";
const quiet = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export default defineConfig({
  testDir: "tests",
  outputDir: "test-results",
  // Each worker runs a host of its own; two cores carry two.
  workers: 2,
  fullyParallel: false,
  forbidOnly: true,
  retries: 0,
  timeout: 90_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  use: {
    browserName: "chromium",
    trace: "retain-on-failure",
    launchOptions: existsSync(system) ? { executablePath: system, args: quiet } : { args: quiet },
  },
});
