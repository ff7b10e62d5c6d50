// What the tests have at hand: a host, a page that is signed in, and an eye on everything that a page complains about.

import { test as base, expect, type Page } from "@playwright/test";
import { Host, type Session } from "./host";

/** What went wrong in a page: errors on the console, exceptions, requests without an answer or with a bad one. */
export class Complaints {
  private readonly heard: string[] = [];

  constructor(page: Page) {
    page.on("console", (message) => {
      if (message.type() === "error") this.heard.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => this.heard.push(`exception: ${error.message}`));
    page.on("requestfailed", (request) => {
      // A page that is left takes what it was fetching with it.
      const why = request.failure()?.errorText ?? "";
      if (why !== "net::ERR_ABORTED") this.heard.push(`${request.method()} ${request.url()}: ${why}`);
    });
    page.on("response", (answer) => {
      if (answer.status() >= 400) this.heard.push(`${answer.request().method()} ${answer.url()}: ${answer.status()}`);
    });
  }

  /** Nothing was said since the last time, but what fits `expected`. */
  none(expected?: RegExp): void {
    const heard = this.heard.splice(0).filter((line) => !expected?.test(line));
    expect(heard, "what the page complained about").toEqual([]);
  }
}

interface ForTests {
  complaints: Complaints;
}

interface ForWorkers {
  /** A host with the demo fleet, shared by the tests of a worker process. */
  host: Host;
  /** The administrator's session on it. */
  session: Session;
}

export const test = base.extend<ForTests, ForWorkers>({
  host: [
    async ({}, use) => {
      const host = await Host.start();
      await use(host);
      await host.stop();
    },
    { scope: "worker", timeout: 120_000 },
  ],
  session: [async ({ host }, use) => use(await host.signIn()), { scope: "worker", timeout: 60_000 }],
  baseURL: async ({ host }, use) => use(host.url),
  storageState: async ({ session }, use) => use(session),
  complaints: [async ({ page }, use) => use(new Complaints(page)), { auto: true }],
});

/** Tests on a host that no other file's tests have touched. */
export const onOwnHost = () =>
  test.extend<object, Pick<ForWorkers, "host">>({
    host: [
      async ({}, use) => {
        const host = await Host.start();
        await use(host);
        await host.stop();
      },
      { scope: "worker", timeout: 120_000 },
    ],
  });

/** Go to a page and wait until it is the app's own. */
export async function open(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await hydrated(page);
}

/** Go there as by a link of the page, which stays loaded. */
export async function goTo(page: Page, path: string): Promise<void> {
  await page.evaluate((path) => {
    const link = document.createElement("a");
    link.href = path;
    document.body.append(link);
    link.click();
    link.remove();
  }, path);
  await expect(page).toHaveURL(path);
}

/** The WebAssembly has taken over: keys, clicks and the stream work from here on. */
export async function hydrated(page: Page): Promise<void> {
  // A development build of the WebAssembly is large.
  await page.locator("html[data-hydrated]").waitFor({ state: "attached", timeout: 45_000 });
}

/** The page is live: the stream is open. */
export async function live(page: Page): Promise<void> {
  await expect(page.locator(".live-dot")).toHaveText(/^live/);
}

/** A word that stands nowhere else. */
export function marker(): string {
  return `mark${Math.random().toString(36).slice(2, 12)}`;
}

/** Nothing of the page is wider than the screen. */
export async function fits(page: Page): Promise<void> {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(wide, `pixels of ${page.url()} beyond the right edge`).toBeLessThanOrEqual(0);
}

/** Where the stream is asked for, from its beginning or from where it goes on. */
export const STREAM = /\/api\/v1\/stream(\?|$)/;

export { expect };
