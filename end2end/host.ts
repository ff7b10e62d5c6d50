// A whole host for a test file: `decnet up` on a data directory of its own, ended with everything it started.

import { spawn, execFile, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { test as base, expect, type Page } from "@playwright/test";

const run = promisify(execFile);
const programs = process.env.DECNET_PROGRAMS;
if (!programs) throw new Error("DECNET_PROGRAMS is not set: run these tests with `cargo xtask e2e`");

/** What the administrator's password is before and after it was changed. */
export const FIRST_PASSWORD = "first-Light-2026-harbour";
export const PASSWORD = "second-Light-2026-harbour";

export interface Decky {
  name: string;
  ip: string;
  state: string;
  services: { slug: string; listen: string[] }[];
}

/** A running installation. */
export class Host {
  private constructor(
    readonly url: string,
    private readonly dataDir: string,
    private readonly process: ChildProcess,
    private readonly log: string[],
  ) {}

  static async start(options: { network: number; demo: boolean }): Promise<Host> {
    const dataDir = mkdtempSync(join(tmpdir(), "decnet-e2e-"));
    const port = await freePort();
    const log: string[] = [];
    const args = ["up", "--listen", `127.0.0.1:${port}`, "--set", `fleet-network=127.${options.network}.0.0/16`];
    if (options.demo) args.push("--demo");
    const child = spawn(join(programs!, "decnet"), args, {
      env: { ...process.env, ...environment(dataDir) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const host = new Host(`http://127.0.0.1:${port}`, dataDir, child, log);
    const ready = options.demo ? "Touch a decky" : "DECNET is up";
    await new Promise<void>((resolve, reject) => {
      const listen = (chunk: Buffer) => {
        log.push(chunk.toString());
        if (log.join("").includes(ready)) resolve();
      };
      child.stdout!.on("data", listen);
      child.stderr!.on("data", listen);
      child.once("exit", (code) => reject(new Error(`decnet up ended with ${code}:\n${log.join("")}`)));
      setTimeout(() => reject(new Error(`decnet up is not ready:\n${log.join("")}`)), 60_000).unref();
    });
    return host;
  }

  /** Run `decnet` on this installation and give what it printed. */
  async decnet(...args: string[]): Promise<string> {
    const { stdout } = await run(join(programs!, "decnet"), args, { env: { ...process.env, ...environment(this.dataDir) } });
    return stdout;
  }

  async deckies(): Promise<Decky[]> {
    return JSON.parse(await this.decnet("status", "--json"));
  }

  /** Where a service of the demo fleet listens. */
  async listen(slug: string): Promise<{ host: string; port: string }> {
    for (const decky of await this.deckies()) {
      const service = decky.services.find((s) => s.slug === slug && s.listen.length > 0);
      if (service) {
        const [host, port] = service.listen[0].split(":");
        return { host, port };
      }
    }
    throw new Error(`no decky listens for ${slug}`);
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null) {
      const ended = new Promise((resolve) => this.process.once("exit", resolve));
      this.process.kill("SIGTERM");
      await ended;
    }
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

function environment(dataDir: string): Record<string, string> {
  return {
    DECNET_DATA_DIR: dataDir,
    DECNET_BUS_URL: `unix:${join(dataDir, "run/bus.sock")}`,
    DECNET_ADMIN_PASSWORD: FIRST_PASSWORD,
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") return reject(new Error("no port"));
      server.close(() => resolve(address.port));
    });
  });
}

/** Sign in as the administrator, and change the first password where that is asked for. */
export async function signIn(page: Page, host: Host): Promise<void> {
  await page.goto(`${host.url}/login`);
  for (const password of [PASSWORD, FIRST_PASSWORD]) {
    await page.getByLabel("User name").fill("admin");
    await page.getByLabel("Password", { exact: true }).fill(password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL((url) => url.pathname !== "/login" || url.searchParams.has("error"), { timeout: 10_000 }).catch(() => {});
    if (!new URL(page.url()).pathname.startsWith("/login")) break;
  }
  if (new URL(page.url()).pathname.startsWith("/password")) {
    await changePassword(page);
  }
  await expect(page.getByRole("navigation").first()).toBeVisible();
}

export async function changePassword(page: Page): Promise<void> {
  await page.getByLabel("Current password").fill(FIRST_PASSWORD);
  await page.getByLabel("New password", { exact: true }).fill(PASSWORD);
  await page.getByLabel("New password again").fill(PASSWORD);
  await page.getByRole("button", { name: "Change password" }).click();
  await page.waitForURL((url) => !url.pathname.startsWith("/password"));
}

/** Tests with a host: one for each worker process, with the demo fleet. */
export const test = base.extend<object, { host: Host }>({
  host: [
    async ({}, use, info) => {
      const host = await Host.start({ network: 70 + info.workerIndex, demo: true });
      await use(host);
      await host.stop();
    },
    { scope: "worker", timeout: 120_000 },
  ],
});
export { expect };
