// Runs a test binary of the target wasm32-unknown-unknown: cargo's runner for it. Nothing that it prints arrives anywhere; a test that fails
// traps, and the trace of that names it.
import { readFileSync } from "node:fs";

const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]));
process.exitCode = instance.exports.main(0, 0);
