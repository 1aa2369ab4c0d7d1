"""Converts a model folder with `native convert` and runs what it wrote in transformers, sentence-transformers and onnxruntime.

    python -m venv venv && venv/bin/pip install torch transformers sentence-transformers onnx onnxruntime
    venv/bin/python tests/interop/formats_check.py --native target/release/native --model run/model

Checks: transformers finds every key and computes the same; sentence-transformers gives the vectors of `native embed`, mean and [CLS]; both ONNX
files pass onnx.checker and compute what transformers computes, with padding, at several batch sizes and lengths. Prints one line a check
and exits 1 if one fails.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, BertForPreTraining

parser = argparse.ArgumentParser()
parser.add_argument("--native", required=True, help="the binary")
parser.add_argument("--model", required=True, help="anything that native takes as a model")
parser.add_argument("--tolerance", type=float, default=1e-5, help="largest difference over the largest value")
arguments = parser.parse_args()
failed = False


def check(name, good, detail):
    global failed
    failed |= not good
    print(f"{'ok    ' if good else 'FAILED'} {name}: {detail}")


def close(name, found, expected):
    found, expected = numpy.asarray(found), numpy.asarray(expected)
    difference, size = numpy.abs(found - expected).max(), numpy.abs(expected).max()
    check(name, difference <= arguments.tolerance * max(1.0, size), f"max-abs {difference:.1e} (largest value {size:.2f})")


def convert(out, *flags):
    command = [arguments.native, "convert", "--from", arguments.model, "--out", out, "--quiet", *flags]
    subprocess.run([str(part) for part in command], check=True)
    return out


folder = tempfile.TemporaryDirectory()
root = Path(folder.name)
hf = convert(root / "hf", "--to", "hf", "--verify")
model, info = BertForPreTraining.from_pretrained(hf, output_loading_info=True)
model.eval()
for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
    check(f"transformers, {key}", not info.get(key), sorted(info.get(key) or []) or "none")
tokenizer = AutoTokenizer.from_pretrained(hf)

texts = ["Chest pain on exertion.", "The patient was discharged home in stable condition.", "BP 120/80", "a"]
for pooling in ("mean", "cls"):
    st = convert(root / pooling, "--to", "hf", "--sentence-transformers", "--pooling", pooling)
    theirs = SentenceTransformer(str(st), device="cpu").encode(texts)
    flags = [part for text in texts for part in ("--text", text)]
    command = [arguments.native, "embed", "--model", str(st), "--pooling", pooling, "--quiet", *flags]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    close(f"sentence-transformers, {pooling}", [json.loads(line)["embedding"] for line in lines], theirs)

for task, outputs in (("fill-mask", ["logits"]), ("feature-extraction", ["last_hidden_state", "sentence_embedding"])):
    exported = convert(root / task, "--to", "onnx", "--task", task)
    file = exported / "onnx" / "model.onnx"
    onnx.checker.check_model(str(file), full_check=True)
    check(f"ONNX {task}, onnx.checker", True, f"{file.stat().st_size} bytes")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    check(f"ONNX {task}, outputs", [output.name for output in session.get_outputs()] == outputs, outputs)
    longest = model.config.max_position_embeddings
    for rows, length in ((1, 1), (3, 17), (4, min(64, longest)), (2, longest)):
        random = numpy.random.default_rng(rows * 1000 + length)
        ids = random.integers(0, model.config.vocab_size, (rows, length))
        types = random.integers(0, model.config.type_vocab_size, (rows, length))
        mask = numpy.ones_like(ids)
        for row in range(1, rows):
            mask[row, length - row * length // (rows + 1) :] = 0
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        found = dict(zip(outputs, session.run(outputs, inputs)))
        with torch.no_grad():
            expected = model(**{name: torch.tensor(value) for name, value in inputs.items()}, output_hidden_states=True)
        tokens = mask == 1
        name = f"ONNX {task}, {rows} × {length}"
        if task == "fill-mask":
            close(name, found["logits"][tokens], expected.prediction_logits.numpy()[tokens])
        else:
            hidden = expected.hidden_states[-1].numpy()
            close(name, found["last_hidden_state"][tokens], hidden[tokens])
            mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
            close(f"{name}, mean", found["sentence_embedding"], mean)
sys.exit(failed)
