"""Loads a model folder that `native train` wrote with Hugging Face's transformers and compares everything it computes.

    python -m venv venv && venv/bin/pip install torch transformers safetensors --index-url … (any CPU build)
    venv/bin/python tests/interop/transformers_check.py --native target/release/native --model run/model --notes notes.csv.gz

Checks: no missing and no unexpected keys; the tokenizer's ids equal ours on every sentence of 200 notes; hidden states of every layer,
MLM and NSP scores within 1e-4. Prints one line a check and exits 1 if one fails.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertForPreTraining

parser = argparse.ArgumentParser()
parser.add_argument("--native", required=True, help="the binary")
parser.add_argument("--model", required=True, help="the model folder")
parser.add_argument("--notes", required=True, nargs="+", help="notes, and flags for reading them")
parser.add_argument("--count", type=int, default=200, help="number of notes")
parser.add_argument("--texts", type=int, default=40, help="sentences that go through the model")
parser.add_argument("--tolerance", type=float, default=1e-4)
arguments, reading = parser.parse_known_args()
failed = False


def check(name, good, detail):
    global failed
    failed |= not good
    print(f"{'ok    ' if good else 'FAILED'} {name}: {detail}")


model, info = BertForPreTraining.from_pretrained(arguments.model, output_loading_info=True)
model.eval()
for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
    check(key, not info.get(key), sorted(info.get(key) or []) or "none")

tokenizer = AutoTokenizer.from_pretrained(arguments.model)
check("model_max_length", tokenizer.model_max_length == model.config.max_position_embeddings, tokenizer.model_max_length)

split = [arguments.native, "split", "--notes", *arguments.notes, *reading, "--max-notes", str(arguments.count)]
split += ["--format", "jsonl", "--pieces", "--vocab", arguments.model]
notes = [json.loads(line) for line in subprocess.run(split, check=True, capture_output=True, text=True).stdout.splitlines()]
sentences = [sentence for note in notes for sentence in note["sentences"]]
differing = [
    sentence for sentence in sentences if tokenizer(sentence["text"], add_special_tokens=False)["input_ids"] != sentence["ids"]
]
check("token ids", sentences and not differing, f"{len(differing)} of {len(sentences)} sentences of {len(notes)} notes differ")

# Sentences of all lengths, one line each, the longest that the model takes among them.
room = model.config.max_position_embeddings - 2
usable = sorted({s["text"].strip(): len(s["ids"]) for s in sentences if 0 < len(s["ids"]) <= room}.items(), key=lambda item: item[1])
texts = [text for text, _ in usable[:: max(1, len(usable) // arguments.texts)]][-arguments.texts :]
with tempfile.TemporaryDirectory() as folder:
    lines, states = Path(folder, "texts.txt"), Path(folder, "states.safetensors")
    lines.write_text("\n".join(texts) + "\n")
    subprocess.run([arguments.native, "embed", "--model", arguments.model, lines, "--states", states], check=True)
    ours = load_file(states)

largest = {}
for number, text in enumerate(texts):
    encoded = tokenizer(text, return_tensors="pt")
    check_ids = torch.equal(encoded["input_ids"][0].float(), ours[f"{number}.ids"])
    if not check_ids:
        check("ids with special tokens", False, f"text {number}")
    with torch.no_grad():
        theirs = model(**encoded, output_hidden_states=True)
    pairs = [(f"hidden state {layer}", state[0], f"{number}.hidden.{layer}") for layer, state in enumerate(theirs.hidden_states)]
    pairs.append(("MLM scores", theirs.prediction_logits[0], f"{number}.mlm"))
    pairs.append(("NSP scores", theirs.seq_relationship_logits[0], f"{number}.nsp"))
    for name, expected, key in pairs:
        difference = (expected - ours[key].reshape(expected.shape)).abs().max().item()
        size = expected.abs().max().item()
        before = largest.get(name, (0.0, 0.0))
        largest[name] = (max(before[0], difference), max(before[1], size))
for name, (difference, size) in largest.items():
    check(name, difference < arguments.tolerance, f"max-abs {difference:.2e} over {len(texts)} texts (largest value {size:.2f})")
sys.exit(failed)
