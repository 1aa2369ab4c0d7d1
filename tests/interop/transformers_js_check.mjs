// Runs folders that `native convert --to onnx` wrote with transformers.js and compares with `native fill-mask` and `native embed`.
//
//     npm install --ignore-scripts @huggingface/transformers
//     node tests/interop/transformers_js_check.mjs target/release/native run/model
//
// Prints one line a check and exits 1 if one fails.

import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequire } from "node:module";

const { pipeline, env } = createRequire(join(process.cwd(), "x.js"))("@huggingface/transformers");
const [native, model] = process.argv.slice(2);
const text = "The patient was [MASK] home.";
const root = mkdtempSync(join(tmpdir(), "onnx-"));
env.allowRemoteModels = false;
env.localModelPath = root;
const run = (...parts) => execFileSync(native, parts, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
let failed = false;
const check = (name, good, detail) => {
  failed ||= !good;
  console.log(`${good ? "ok    " : "FAILED"} ${name}: ${detail}`);
};

for (const task of ["fill-mask", "feature-extraction"]) {
  run("convert", "--from", model, "--to", "onnx", "--task", task, "--out", join(root, task));
}
const fill = await pipeline("fill-mask", "fill-mask", { dtype: "fp32" });
const theirs = await fill(text, { top_k: 5 });
const ours = JSON.parse(run("fill-mask", "--model", model, "--text", text, "--top-k", "5", "--json"));
const same = ours.every((entry, at) => entry.token === theirs[at].token && Math.abs(entry.score - theirs[at].score) < 1e-5);
check("fill-mask", same, ours.map((entry) => `${entry.token_str} ${entry.score.toFixed(4)}`).join(", "));
const extract = await pipeline("feature-extraction", "feature-extraction", { dtype: "fp32" });
const vector = (await extract("Chest pain on exertion.", { pooling: "mean" })).data;
const { embedding } = JSON.parse(run("embed", "--model", model, "--text", "Chest pain on exertion."));
const difference = Math.max(...embedding.map((value, at) => Math.abs(value - vector[at])));
check("feature-extraction", vector.length === embedding.length && difference < 1e-5, `max-abs ${difference.toExponential(1)}`);
process.exit(failed ? 1 : 0);
