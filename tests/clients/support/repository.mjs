// Where the repository is. The suites themselves run as a copy beside their packages.

import { fileURLToPath } from "node:url";

export const repository = process.env.STS_REPOSITORY ?? fileURLToPath(new URL("../../..", import.meta.url));
export const sts = process.env.STS_BIN;
