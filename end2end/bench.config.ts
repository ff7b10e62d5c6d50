// Benchmarks in the browser: `cargo xtask bench weight`. One at a time, so that none slows another.

import config from "./playwright.config";

export default { ...config, testDir: "bench", workers: 1, timeout: 180_000, use: { ...config.use, trace: "off" as const } };
