// The way between a browser and a host, which can be cut: what a browser's own switch for being offline does not do to a connection that is open.

import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Host } from "./host";

/** A port of this machine that leads to a host. */
export class Line {
  /** Both ends of everything that is open. */
  private readonly open = new Set<Socket>();
  private isCut = false;

  private constructor(private readonly server: Server) {}

  static async to(host: Host): Promise<Line> {
    const { hostname, port } = new URL(host.url);
    const server = createServer();
    const line = new Line(server);
    server.on("connection", (near) => {
      if (line.isCut) {
        near.destroy();
        return;
      }
      const far = connect(Number(port), hostname);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ]) {
        line.open.add(from);
        from.pipe(to);
        // What breaks is closed, and what is closed takes its other end along.
        from.on("error", () => {});
        from.on("close", () => {
          line.open.delete(from);
          to.destroy();
        });
      }
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return line;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Break everything that is open, and let nothing through. */
  cut(): void {
    this.isCut = true;
    for (const socket of this.open) socket.destroy();
  }

  /** Let through again. */
  mend(): void {
    this.isCut = false;
  }

  /** For good. */
  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
