// A whole host for tests: `decnet up` on a data directory of its own, ended with everything that it started.

import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { request } from "@playwright/test";

const programs = process.env.DECNET_PROGRAMS;
if (!programs) throw new Error("DECNET_PROGRAMS is not set: run these tests with `cargo xtask e2e`");

/** The administrator's password, before the first sign-in and after it. */
export const FIRST_PASSWORD = "first-Light-2026-harbour";
export const PASSWORD = "second-Light-2026-harbour";

/** How long a host may take to be up, in milliseconds. */
const UP_MS = 60_000;

/** Cookies and storage of a browser, as Playwright keeps them. */
export type Session = Awaited<ReturnType<Awaited<ReturnType<typeof request.newContext>>["storageState"]>>;

/** Where a service listens. */
export interface Address {
  host: string;
  port: string;
}

/** Somebody who is let in there. */
export interface Account {
  at: Address;
  user: string;
  password: string;
}

/** How `decnet up` tells of an account that a decoy lets in, by service. */
const TOLD: Record<string, RegExp> = {
  ssh: /ssh -p (?<port>\d+) (?<user>\S+)@(?<host>\S+) +# password: (?<password>\S+)/,
  mysql: /mysql --host (?<host>\S+) --port (?<port>\d+) --user (?<user>\S+) --password='(?<password>[^']+)'/,
};

export interface Decky {
  name: string;
  ip: string;
  state: string;
  services: { slug: string; listen: string[] }[];
}

/** A running installation. */
export class Host {
  private log = "";

  private constructor(
    readonly dataDir: string,
    private readonly port: number,
    private readonly drawn: boolean,
    private process: ChildProcess,
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** A new installation with the demo fleet. Its first password is `FIRST_PASSWORD`, or one that it draws and prints. */
  static async start({ drawn = false } = {}): Promise<Host> {
    const dataDir = mkdtempSync(join(tmpdir(), "decnet-e2e-"));
    const port = await freePort();
    const host = new Host(dataDir, port, drawn, up(dataDir, port, drawn));
    await host.ready();
    return host;
  }

  /** Stop it in order and start it again on what it kept. */
  async restart(): Promise<void> {
    await this.interrupt();
    this.process = up(this.dataDir, this.port, this.drawn);
    this.log = "";
    await this.ready();
  }

  /** Tell it to stop, as Ctrl-C does or a service manager, wait until it has, and give its exit code. */
  async interrupt(signal: "SIGINT" | "SIGTERM" = "SIGINT"): Promise<number | null> {
    const { process } = this;
    if (process.exitCode === null && process.signalCode === null) {
      const ended = new Promise((resolve) => process.once("exit", resolve));
      // Its workers are in groups of their own: no terminal reaches them either.
      process.kill(signal);
      await ended;
    }
    return process.exitCode;
  }

  /** Stop it for good. */
  async stop(): Promise<void> {
    await this.interrupt("SIGTERM");
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** What it printed since it was started. */
  get printed(): string {
    return this.log;
  }

  /** The password that it drew and printed when it was started; none where it knew one. */
  get printedPassword(): string | undefined {
    return /Log in as admin with the password (\S+) \(told once/.exec(this.log)?.[1];
  }

  private ready(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${why}:\n${this.log}`));
      const late = setTimeout(() => fail("decnet up is not ready"), UP_MS);
      const listen = (chunk: Buffer) => {
        this.log += chunk.toString();
        // The last thing it prints: a command for each service, and an empty line.
        if (!/Touch a decky[^]*\n\n/.test(this.log)) return;
        clearTimeout(late);
        resolve();
      };
      this.process.stdout!.on("data", listen);
      this.process.stderr!.on("data", listen);
      this.process.once("exit", (code) => fail(`decnet up ended with ${code}`));
    });
  }

  /** Run `decnet` on this installation and give what it printed. */
  decnet(args: string[], input = ""): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = execFile(join(programs!, "decnet"), args, { env: environment(this.dataDir, this.drawn) }, (error, stdout, stderr) =>
        error ? reject(new Error(`decnet ${args.join(" ")}: ${error.message}\n${stderr}`)) : resolve(stdout),
      );
      // A command that ends without reading what it is given breaks this pipe; its exit code says how it went.
      child.stdin!.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "EPIPE") reject(error);
      });
      child.stdin!.end(input);
    });
  }

  async deckies(): Promise<Decky[]> {
    return JSON.parse(await this.decnet(["status", "--json"]));
  }

  /** Where the fleet listens: one address for each kind of service. */
  async services(): Promise<Map<string, Address>> {
    const found = new Map<string, Address>();
    for (const decky of await this.deckies()) {
      for (const { slug, listen } of decky.services) {
        if (listen.length > 0 && !found.has(slug)) found.set(slug, address(listen[0]));
      }
    }
    return found;
  }

  /** Where a service of that kind listens. */
  async service(slug: string): Promise<Address> {
    const found = (await this.services()).get(slug);
    if (!found) throw new Error(`no decky listens for ${slug}`);
    return found;
  }

  /** An account that a decoy of that kind lets in, as `decnet up` told it. */
  account(slug = "ssh"): Account {
    const told = TOLD[slug].exec(this.log)?.groups;
    if (!told) throw new Error(`no account of ${slug} was told of:\n${this.log}`);
    const { host, port, user, password } = told;
    return { at: { host, port }, user, password };
  }

  /** Sign in by the API; an account that has to change its password gets `PASSWORD`. */
  async signIn(username = "admin", first = FIRST_PASSWORD): Promise<Session> {
    const api = await request.newContext({ baseURL: this.url });
    const post = async (path: string, data: object) => {
      const answer = await api.post(path, { data });
      if (!answer.ok()) throw new Error(`${path} answered ${answer.status()}: ${await answer.text()}`);
      return answer.json();
    };
    const { must_change_password } = await post("/api/v1/auth/login", { username, password: first });
    if (must_change_password) {
      await post("/api/v1/auth/change-password", { old_password: first, new_password: PASSWORD });
    }
    const session = await api.storageState();
    await api.dispose();
    return session;
  }

  /** Processes that this installation started and that still run, by their command lines. */
  processes(): string[] {
    return readdirSync("/proc")
      .filter((pid) => /^\d+$/.test(pid))
      .flatMap((pid) => {
        try {
          const text = (file: string) => readFileSync(`/proc/${pid}/${file}`, "utf8");
          const command = text("cmdline").replaceAll("\0", " ");
          const ours = [command, text("environ"), readlinkSync(`/proc/${pid}/cwd`)];
          return ours.some((said) => said.includes(this.dataDir)) ? [command] : [];
        } catch {
          // It ended while we looked, or is another user's.
          return [];
        }
      });
  }
}

function up(dataDir: string, port: number, drawn: boolean): ChildProcess {
  // Ports are unique on a machine, so a network made of the port is too.
  const network = `127.${port >> 8}.${port & 255}.0/24`;
  const args = ["up", "--demo", "--listen", `127.0.0.1:${port}`, "--set", `fleet-network=${network}`];
  return spawn(join(programs!, "decnet"), args, { env: environment(dataDir, drawn), stdio: ["ignore", "pipe", "pipe"] });
}

function environment(dataDir: string, drawn: boolean): NodeJS.ProcessEnv {
  return {
    ...process.env,
    DECNET_DATA_DIR: dataDir,
    DECNET_BUS_URL: `unix:${join(dataDir, "run/bus.sock")}`,
    ...(drawn ? {} : { DECNET_ADMIN_PASSWORD: FIRST_PASSWORD }),
  };
}

export function address(listen: string): Address {
  const [host, port] = listen.split(":");
  return { host, port };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const at = server.address();
      if (at === null || typeof at === "string") return reject(new Error("no port"));
      server.close(() => resolve(at.port));
    });
  });
}

