// Attacks with the clients that intruders use. Each says `text` in every field of its protocol that an attacker reaches.

import { execFile } from "node:child_process";
import type { Address } from "./host";

/** Run a client. That a decoy refuses it is no failure; that the client is not there, or hangs, is one. */
function run(program: string, args: string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { timeout: 20_000, maxBuffer: 4 << 20 }, (error, stdout, stderr) => {
      if (error && (error.killed || "ENOENT" === error.code)) reject(new Error(`${program}: ${error.message}`));
      else resolve(stdout + stderr);
    });
    // A client that is refused closes its input before all of it is written.
    child.stdin!.on("error", () => {});
    child.stdin!.end(input);
  });
}

/** Without what a header or an argument cannot carry. */
const inOneLine = (text: string) => text.replace(/[\r\n\0]/g, " ");

/** The first characters of a text, none of them cut in two. */
const head = (text: string, length: number) => [...text].slice(0, length).join("");

type Attack = (at: Address, text: string) => Promise<string[]>;

/** By service. Each gives what the decoy answered, client by client. */
export const attacks: Record<string, Attack> = {
  redis: async ({ host, port }, text) => {
    const redis = (...command: string[]) => run("redis-cli", ["-h", host, "-p", port, ...command]);
    return [
      await redis("AUTH", text, text),
      await redis("SET", text, text),
      await redis("CONFIG", "SET", "dir", text),
      await redis(head(text, 60), text),
      await redis("PING"),
    ];
  },

  http: async ({ host, port }, text) => {
    const line = inOneLine(text);
    const url = `http://${host}:${port}/${encodeURIComponent(line)}?q=${encodeURIComponent(line)}`;
    const curl = (...args: string[]) => run("curl", ["--silent", "--include", "--max-time", "15", ...args]);
    return [
      await curl("--user-agent", line, "--referer", line, "--header", `X-Forwarded-For: ${line}`, url),
      await curl("--user", `${line.replaceAll(":", "")}:${line}`, url),
      await curl("--data-urlencode", `username=${line}`, "--data-urlencode", `password=${line}`, `http://${host}:${port}/login`),
      await curl("--request", "PUT", "--data-binary", text, url),
    ];
  },

  ftp: async ({ host, port }, text) => {
    const line = inOneLine(text);
    const curl = (...args: string[]) => run("curl", ["--silent", "--show-error", "--max-time", "15", ...args]);
    const name = encodeURIComponent(head(line.replaceAll("/", "-"), 200));
    return [
      await curl("--user", `${head(line.replaceAll(":", ""), 200)}:${head(line, 200)}`, `ftp://${host}:${port}/`),
      await curl("--user", `anonymous:${head(line, 200)}`, `ftp://${host}:${port}/${name}`),
      await run("curl", ["--silent", "--max-time", "15", "--user", "anonymous:a@b", "--upload-file", "-", `ftp://${host}:${port}/${name}`], text),
    ];
  },

  ssh: async ({ host, port }, text) => {
    const user = head(inOneLine(text), 200);
    return [
      await ssh({ host, port }, user, head(inOneLine(text), 400), text),
      await ssh({ host, port }, "root", "123456", text),
    ];
  },

  mysql: async ({ host, port }, text) => {
    const args = ["--host", host, "--port", port, "--user", head(inOneLine(text), 80), `--password=${text}`];
    return [await run("mysql", [...args, "--connect-timeout=10", "--execute", `SELECT '${text.replaceAll("'", "''")}'`])];
  },

  smtp: async ({ host, port }, text) => {
    const line = head(inOneLine(text), 400);
    const mail = `Subject: ${line}\nX-Mailer: ${line}\n\n${text}\n`;
    const to = ["--mail-from", "a@b.example", "--mail-rcpt", "root@localhost", "--upload-file", "-"];
    return [
      await run("curl", ["--silent", "--verbose", "--max-time", "15", `smtp://${host}:${port}/${encodeURIComponent(head(line, 100))}`, ...to], mail),
      await run("swaks", ["--server", host, "--port", port, "--ehlo", "client.example", "--from", "a@b.example", "--to", "root@localhost", "--header", `Subject: ${line}`, "--body", text]),
    ];
  },
};

/** Sign in by ssh with a password and run a command. */
export function ssh({ host, port }: Address, user: string, password: string, command: string, from?: string): Promise<string> {
  const quiet = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null"];
  const once = ["PubkeyAuthentication=no", "NumberOfPasswordPrompts=1", "ConnectTimeout=10", "LogLevel=ERROR"];
  const options = [...quiet, ...once].flatMap((option) => ["-o", option]);
  const source = from ? ["-b", from] : [];
  return run("sshpass", ["-p", password, "ssh", ...options, ...source, "-p", port, "-l", user, host, "--", command]);
}

/** Attack every service of a fleet, one after the other. A service without an attack here is a gap in these tests. */
export async function attackAll(services: Map<string, Address>, text: string): Promise<void> {
  for (const [slug, at] of services) {
    const attack = attacks[slug];
    if (!attack) throw new Error(`nobody wrote an attack on ${slug}: add one to attack.ts`);
    await attack(at, text);
  }
}

/** Touch a service with redis-cli. */
export const redis = ({ host, port }: Address, ...command: string[]) => run("redis-cli", ["-h", host, "-p", port, ...command]);

/** Fetch with curl; `from` is the address of this machine that it comes from. */
export const curl = (url: string, from?: string) =>
  run("curl", ["--silent", "--show-error", "--max-time", "15", ...(from ? ["--interface", from] : []), url]);

/** The line of `known_hosts` by which the ssh server there is known. */
export async function hostKey({ host, port }: Address): Promise<string> {
  const said = await run("ssh-keyscan", ["-T", "20", "-t", "ed25519", "-p", port, host]);
  return said.split("\n").find((line) => line.includes("ssh-ed25519")) ?? said;
}
