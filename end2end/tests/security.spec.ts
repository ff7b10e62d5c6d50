// What a browser holds to: other sites get nothing done with a reader's session, and no text becomes a program.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, open, test } from "../test";

/** A site of somebody else's, on this machine but of another name. */
async function elsewhere(html: string): Promise<{ url: string; server: Server }> {
  const server = createServer((_request, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end(html);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://localhost:${(server.address() as AddressInfo).port}/`, server };
}

test("a form, a fetch and a frame of another site do nothing", async ({ page, host }) => {
  const user = { username: "planted", password: "planted-Light-2026-harbour", role: "admin" };
  const { url, server } = await elsewhere(`<!doctype html>
    <form method="post" action="${host.url}/api/v1/auth/logout" target="form"><button>Win a prize</button></form>
    <form method="post" enctype="text/plain" action="${host.url}/api/v1/users" target="form">
      <input name='${JSON.stringify(user).slice(0, -1)}, "x":"' value='"}'><button>Win another</button>
    </form>
    <iframe name="form"></iframe><iframe name="frame" src="${host.url}/fleet"></iframe>`);
  try {
    await page.goto(url);
    for (const prize of ["Win a prize", "Win another"]) {
      const answered = page.waitForResponse((answer) => answer.request().method() === "POST");
      await page.getByRole("button", { name: prize }).click();
      expect((await answered).status(), prize).toBeGreaterThanOrEqual(400);
    }
    const read = await page.evaluate(async (at) => {
      try {
        const answer = await fetch(`${at}/api/v1/users`, { credentials: "include" });
        return await answer.text();
      } catch {
        return "refused";
      }
    }, host.url);
    expect(read).toBe("refused");
    // A page of ours in a frame of theirs could be clicked without being seen.
    const frame = page.frame("frame");
    expect(frame?.url()).not.toContain("/fleet");
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
  // The session is as good as before, and nobody was planted.
  const users = await page.request.get(`${host.url}/api/v1/users`);
  expect(users.status()).toBe(200);
  expect(await users.text()).not.toContain("planted");
});

test("script that gets into a page does not run, and nothing is sent away", async ({ page }) => {
  await open(page, "/");
  const blocked = await page.evaluate(async () => {
    const violated: string[] = [];
    document.addEventListener("securitypolicyviolation", (event) => violated.push(event.effectiveDirective));
    const add = <K extends keyof HTMLElementTagNameMap>(tag: K, set: (element: HTMLElementTagNameMap[K]) => void) => {
      const element = document.createElement(tag);
      set(element);
      document.body.append(element);
    };
    add("script", (script) => (script.textContent = "document.documentElement.dataset.canary = 'script'"));
    add("script", (script) => (script.src = "data:text/javascript,document.documentElement.dataset.canary='data'"));
    add("div", (div) => div.setAttribute("onclick", "document.documentElement.dataset.canary = 'attribute'"));
    (document.body.lastElementChild as HTMLElement).click();
    add("img", (img) => (img.src = "http://127.0.0.1:9/stolen"));
    add("iframe", (frame) => (frame.src = "http://127.0.0.1:9/"));
    add("object", (object) => (object.data = "http://127.0.0.1:9/"));
    const tried = await fetch("http://127.0.0.1:9/stolen").then(
      () => "sent",
      () => "refused",
    );
    setTimeout("document.documentElement.dataset.canary = 'string'");
    // What is refused is told when the browser comes to it.
    const all = ["script-src-elem", "script-src-attr", "img-src", "frame-src", "object-src", "connect-src", "script-src"];
    for (let i = 0; i < 100 && !all.every((one) => violated.includes(one)); i++) await new Promise((resolve) => setTimeout(resolve, 100));
    return { violated, tried, canary: document.documentElement.dataset.canary };
  });
  expect(blocked.canary).toBeUndefined();
  expect(blocked.tried).toBe("refused");
  for (const directive of ["script-src-elem", "script-src-attr", "img-src", "frame-src", "object-src", "connect-src"]) {
    expect(blocked.violated, directive).toContain(directive);
  }
});
