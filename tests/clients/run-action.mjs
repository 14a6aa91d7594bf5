// Runs the GitHub Action for the walk through the documentation: inputs and environment come as JSON, and what came of them goes out.

import { text } from "node:stream/consumers";
import { runAction } from "./support/runner.mjs";

const [inputs, environment] = JSON.parse(await text(process.stdin));
const done = await runAction(process.execPath, {}, inputs, environment);
const after = done.code === 0 && (await done.post());
await done.end();
console.log(JSON.stringify({ outputs: done.outputs, exported: done.exported, lines: done.lines, after: after?.lines }));
process.exitCode = done.code;
