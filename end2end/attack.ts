// Attacks with the clients that intruders use, and by hand where no client says it. Each says `text` in every field of its protocol that
// an attacker reaches and that a decoy reports; a field that cannot carry some of it gets the rest.

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import type { Account, Address } from "./host";

/** Run a client. That a decoy refuses it is no failure; that the client is not there, or hangs, is one. */
function run(program: string, args: string[], input = "", variables: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: 20_000, maxBuffer: 4 << 20, env: { ...process.env, ...variables } };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error && (error.killed || "ENOENT" === error.code)) reject(new Error(`${program}: ${error.message}`));
      else resolve(stdout + stderr);
    });
    // A client that is refused closes its input before all of it is written.
    child.stdin!.on("error", () => {});
    child.stdin!.end(input);
  });
}

/** How long nothing is answered to what has no answer, in milliseconds. */
const SILENCE_MS = 2_500;

/** Until something is answered, or the other side is silent or gone. */
function heard(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const ways = ["data", "close", "timeout"];
    const done = () => {
      for (const way of ways) socket.off(way, done);
      socket.setTimeout(0);
      resolve();
    };
    if (socket.destroyed) return resolve();
    for (const way of ways) socket.on(way, done);
    socket.setTimeout(SILENCE_MS);
  });
}

/** Connect by hand, and say `words` one after the other, each once the one before is answered. */
async function dial({ host, port }: Address, words: (string | Buffer)[], greeted: boolean): Promise<Socket> {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const socket = connect(Number(port), host, () => {
      // Whoever is hung up on was heard.
      socket.off("error", reject).on("error", () => {});
      resolve(socket);
    });
    socket.on("error", reject);
  });
  if (greeted) await heard(socket);
  for (const word of words) {
    if (socket.writable) socket.write(word);
    await heard(socket);
  }
  return socket;
}

/** Say `words` by hand; `greeted` by the server before, unless it waits for its client. */
async function talk(at: Address, words: (string | Buffer)[], greeted = true): Promise<void> {
  (await dial(at, words, greeted)).destroy();
}

/** Say `words`, and then begin TLS with a server called `name`, in a protocol called so. */
async function underTls(at: Address, name: string, words: (string | Buffer)[]): Promise<void> {
  const socket = await dial(at, words, true);
  if (socket.destroyed) return;
  const secret = connectTls({ socket, servername: name, ALPNProtocols: [name], rejectUnauthorized: false });
  await new Promise<void>((resolve) => {
    for (const end of ["secureConnect", "error", "close", "timeout"]) secret.once(end, () => resolve());
    secret.setTimeout(SILENCE_MS);
  });
  secret.on("error", () => {}).destroy();
}

/** Without what a header or an argument cannot carry. */
const inOneLine = (text: string) => text.replace(/[\r\n\0]/g, " ");

/** Without what only moves a cursor. */
const seen = (text: string) => text.replace(/[\u0000-\u001f\u007f]/g, "");

/** The head of a text that takes at most so many bytes, no character of it cut in two. */
const head = (text: string, bytes: number) => new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, bytes), { stream: true });

/** Something to go by the name of a text, in a folder. */
const asName = (text: string) => head(inOneLine(text).replaceAll("/", "-"), 255);

/** In double quotes, as most read them. */
const quoted = (text: string) => `"${text.replace(/["\\]/g, "\\$&")}"`;

type Attack = (at: Address, text: string) => Promise<void>;

/** By service: what anybody can do there. */
export const attacks: Record<string, Attack> = {
  redis: async (at, text) => {
    const name = text.replace(/[^!-~]/g, "");
    for (const command of [
      ["AUTH", text, text],
      ["HELLO", "3", "AUTH", text, text, "SETNAME", name],
      ["CLIENT", "SETNAME", name],
      ["SET", text, text],
      ["CONFIG", "SET", "dir", text],
      ["CONFIG", "SET", "dbfilename", text.replaceAll("/", "-")],
      ["SAVE"],
      ["EVAL", text, "1", text, text],
      ["SCRIPT", "LOAD", text],
      ["MODULE", "LOAD", text],
      ["MIGRATE", text, "6379", text, "0", "10"],
      ["SLAVEOF", text, "6379"],
      ["SLAVEOF", "NO", "ONE"],
      ["POST", text],
      [text],
    ]) {
      await redis(at, ...command);
    }
  },

  http: async (at, text) => {
    const line = inOneLine(text);
    const server = `http://${at.host}:${at.port}`;
    const url = `${server}/${encodeURIComponent(line)}?q=${encodeURIComponent(line)}`;
    const target = seen(line).replaceAll(" ", "+");
    const letters = line.replace(/[^a-z]+/gi, "-").replace(/^-/, "");
    const header = (name: string, value = line) => ["--header", `${name}: ${value}`];
    const ask = (args: string[], input = "") => run("curl", ["--silent", "--max-time", "15", ...args], input);
    await ask(["--user-agent", line, "--referer", line, ...header("X-Forwarded-For"), ...header("Cookie", `session=${line}`), url]);
    await ask([...header("Host", line.replace(/[^!-~]|[/\\?#@]/g, "")), ...header(`X-${letters}`), "--request", letters.toUpperCase(), url]);
    await ask(["--request-target", `/${target}?q=\${jndi:ldap://${target}}`, server]);
    await ask(["--user", `${line.replaceAll(":", "")}:${line}`, url]);
    await ask([...header("Authorization", `Bearer ${line}`), url]);
    await ask([...header("Authorization", `Digest username=${quoted(line)}`), url]);
    await ask(["--data-urlencode", `username=${line}`, "--data-urlencode", `password=${line}`, `${server}/login`]);
    await ask([...header("Content-Type"), "--data-binary", text, url]);
    await ask(["--request", "PUT", "--data-binary", text, url]);
    await ask(["--form", `file=@-;filename=${quoted(line)}`, url], text);
    // None at all.
    await talk(at, [`${line} HTTP/1.1\r\nHost: ${line}\r\n${line}: ${line}\r\n\r\n`], false);
  },

  ftp: async (at, text) => {
    const line = inOneLine(text);
    const url = `ftp://${at.host}:${at.port}/`;
    const ask = (args: string[], input = "") => run("curl", ["--silent", "--max-time", "15", ...args], input);
    const words = ["CWD", "MKD", "RNFR", "RNTO", "RMD", "DELE", "SIZE", "RETR", "STAT", "HELP", "OPTS", "CLNT", "SITE EXEC"];
    await ask(["--user", `${line.replaceAll(":", "")}:${line}`, url]);
    await ask(["--user", `anonymous:${line}`, ...words.flatMap((word) => ["--quote", `*${word} ${line}`]), url]);
    const name = encodeURIComponent(seen(line).replaceAll("/", "-"));
    await ask(["--user", "anonymous:a@b", "--upload-file", "-", `${url}${name}`], text);
    await talk(at, [`${line}\r\n`, `AUTH TLS\r\n${line}\r\n`]);
    await talk(at, [`${line} ${"x".repeat(5_000)}\r\n`]);
    await underTls(at, head(line, 255), ["AUTH TLS\r\n"]);
  },

  ssh: async (at, text) => {
    const line = inOneLine(text);
    // OpenSSH's own client takes no such name.
    const guess = `${line.replaceAll(":", "")}:${text}`;
    await run("curl", ["--silent", "--insecure", "--max-time", "15", "--user", guess, `sftp://${at.host}:${at.port}/`]);
    await ssh(at, "root", text, "id");
    await talk(at, [`SSH-2.0-${line}\r\n`, kexInit(line)]);
    await talk(at, [`${line}\r\n`]);
  },

  mysql: async (at, text) => {
    const line = inOneLine(text);
    await mysql({ at, user: line, password: text }, [`--database=${line}`, "--execute", "SELECT 1"]);
    await talk(at, [mysqlPacket(mysqlLogin(line))]);
    await talk(at, [mysqlPacket(Buffer.from(line))]);
    await underTls(at, head(line, 255), [mysqlPacket(MYSQL_TLS)]);
  },

  smtp: async (at, text) => {
    const line = inOneLine(text);
    const url = `smtp://${at.host}:${at.port}/${encodeURIComponent(head(line, 400))}`;
    const mail = `Subject: ${line}\nX-Mailer: ${line}\n\n${text}\n`;
    await run("curl", ["--silent", "--max-time", "15", "--mail-from", "a@b.example", "--mail-rcpt", "postmaster@localhost", "--upload-file", "-", url], mail);
    const swaks = ["--server", at.host, "--port", at.port, "--ehlo", "client.example", "--quit-after", "AUTH"];
    for (const mechanism of ["LOGIN", "PLAIN", "CRAM-MD5"]) {
      await run("swaks", [...swaks, "--auth", mechanism, "--auth-user", line, "--auth-password", line]);
    }
    const greeting = "EHLO client.example\r\n";
    const word = head(seen(line).replace(/["\\]/g, ""), 400);
    // In quotes a local part may hold anything; in brackets every product reads it so.
    const path = (local: string, domain: string) => `<"${local}"@${domain}>\r\n`;
    const envelope = [`MAIL FROM:${path(word, "b.example")}`, `RCPT TO:${path(word, "b.example")}`, `RCPT TO:${path(`postmaster+${word}`, "localhost")}`];
    await talk(at, [greeting, ...envelope, "DATA\r\n", `Subject: ${line}\r\n\r\n${line}\r\n.\r\n`]);
    await talk(at, [greeting, `VRFY ${line}\r\n`, `AUTH PLAIN ${line}\r\n`, `${line}\r\n`]);
    await talk(at, [`GET ${line}\r\n`]);
    await talk(at, [greeting, `STARTTLS\r\n${line}\r\n`]);
    await underTls(at, head(line, 255), [greeting, "STARTTLS\r\n"]);
  },
};

/** By service: what somebody can do who gets in. */
export const intrusions: Record<string, (account: Account, text: string) => Promise<void>> = {
  ssh: async (account, text) => {
    const { at, user } = account;
    const line = inOneLine(text);
    const name = asName(text);
    const shell = (...args: string[]) => openSsh(account, "ssh", ["-p", at.port, "-l", user, ...args]);
    await shell(at.host, "--", text);
    const [word, file] = [line, name].map((said) => `'${said.replaceAll("'", "'\\''")}'`);
    const get = ["wget -q", "curl -s"].map((get) => `${get} http://127.0.0.1/${word}`);
    await shell(at.host, "--", [`cd /var/tmp; echo ${word} > ${file}`, ...get].join("; "));
    const variables = { TERM: line, LC_WORD: text, [`LC_${line.replaceAll("=", "-")}`]: line };
    await openSsh(account, "ssh", ["-tt", "-o", "SendEnv=LC_*", "-p", at.port, "-l", user, at.host, "--", "true"], "", variables);
    await shell("-s", at.host, "--", line);
    const place = head(line.replace(/[[\]]/g, ""), 100);
    await shell("-W", `[${place.replaceAll("/", "-")}]:80`, at.host);
    await shell("-o", "ExitOnForwardFailure=yes", "-R", `[/${place}]:127.0.0.1:9`, at.host, "--", "true");

    // Files and folders: by SFTP and as scp did before it had that.
    const folder = mkdtempSync(join(tmpdir(), "decnet-attack-"));
    try {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, name), text);
      for (const way of [[], ["-O"]]) {
        await openSsh(account, "scp", [...way, "-r", "-P", at.port, join(folder, name), `${user}@${at.host}:/tmp/`]);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
    const [here, other, both] = [name, head(`2${name}`, 255), `/tmp/${name}/${name}`].map(quoted);
    const batch = [`mkdir ${here}`, `rename ${here} ${other}`, `symlink ${other} ${here}`, `rmdir ${other}`, `rm ${here}`, `get ${both} /dev/null`];
    const steps = batch.map((step) => `-${step}\n`).join("");
    await openSsh(account, "sftp", ["-o", "BatchMode=no", "-b", "-", "-P", at.port, `${user}@${at.host}`], steps);
  },

  mysql: async (account, text) => {
    const said = `'${text.replaceAll("'", "''")}'`;
    for (const statement of [`SELECT ${said}`, `SELECT ${said} INTO OUTFILE '/tmp/x'`]) await mysql(account, ["--execute", statement]);
    await mysql(account, [], `use \`${inOneLine(text).replaceAll("`", "")}\`\n`);
  },
};

/** What OpenSSH's clients are told: to know nobody, and to give up at once. */
const ONCE = [
  ...["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null"],
  ...["PubkeyAuthentication=no", "NumberOfPasswordPrompts=1", "ConnectTimeout=10", "LogLevel=ERROR"],
].flatMap((option) => ["-o", option]);

/** Run a client of OpenSSH, which is given the password when it asks. */
const openSsh = ({ password }: Account, client: string, args: string[], input = "", variables = {}) =>
  run("sshpass", ["-p", password, client, ...ONCE, ...args], input, variables);

/** Sign in by ssh with a password and run a command. */
export function ssh(at: Address, user: string, password: string, command: string, from?: string): Promise<string> {
  const source = from ? ["-b", from] : [];
  return openSsh({ at, user, password }, "ssh", [...source, "-p", at.port, "-l", user, at.host, "--", command]);
}

/** A length of four bytes and what is that long, as SSH has it. */
function sized(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The packet in which an SSH client lists its algorithms (RFC 4253, section 7.1): in every list this one. */
function kexInit(algorithm: string): Buffer {
  const list = sized(Buffer.from(algorithm));
  const payload = Buffer.concat([Buffer.of(20), Buffer.alloc(16), ...Array<Buffer>(10).fill(list), Buffer.alloc(5)]);
  const padding = 16 - ((payload.length + 5) % 8);
  return sized(Buffer.concat([Buffer.of(padding), payload, Buffer.alloc(padding)]));
}

/** A client's first packet of the MySQL protocol. */
function mysqlPacket(payload: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUIntLE(payload.length, 0, 3);
  header[3] = 1;
  return Buffer.concat([header, payload]);
}

/** The head of a login: capabilities, the longest packet, a character set, and what is left free. */
function mysqlHead(capabilities: number): Buffer {
  const head = Buffer.alloc(32);
  head.writeUInt32LE(capabilities);
  head[8] = 45;
  return head;
}

/** The wish for TLS: `CLIENT_SSL` beside protocol 4.1. */
const MYSQL_TLS = mysqlHead(0x8a00);

/** A login as `word`, to a schema of that name, by a client that says so of itself: with a schema, a plugin and attributes. */
function mysqlLogin(word: string): Buffer {
  const counted = (bytes: Buffer) => Buffer.concat([Buffer.of(0xfc, bytes.length & 0xff, bytes.length >> 8), bytes]);
  const said = Buffer.from(word);
  const attributes = Buffer.concat([counted(said), counted(said)]);
  const ended = (text: string) => Buffer.from(`${text}\0`);
  return Buffer.concat([mysqlHead(0x188209), ended(word), Buffer.of(0), ended(word), ended("mysql_native_password"), counted(attributes)]);
}

/** Run the client of MySQL or MariaDB. */
const mysql = ({ at, user, password }: Account, args: string[], input = "") =>
  run("mysql", ["--host", at.host, "--port", at.port, "--user", user, `--password=${password}`, "--connect-timeout=10", "--force", ...args], input);

/** Attack every service of a fleet at once. A service without an attack here is a gap in these tests. */
export async function attackAll(services: Map<string, Address>, text: string): Promise<void> {
  const attack = ([slug, at]: [string, Address]) => {
    const attack = attacks[slug];
    if (!attack) throw new Error(`nobody wrote an attack on ${slug}: add one to attack.ts`);
    return attack(at, text);
  };
  await Promise.all([...services].map(attack));
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
