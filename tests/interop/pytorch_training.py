"""The same pretraining run in PyTorch: equal data order, first weights, schedule and update, dropout 0; losses beside ours, and times.

    venv/bin/python tests/interop/pytorch_training.py --data prepared --init start --metrics run/metrics.jsonl --steps 500

`start` is a model folder that both runs begin with, `run/metrics.jsonl` that of (with --log-every 1, and the same flags as given here)

    native train --data prepared --init start --out run --steps 500 --hidden-dropout-prob 0 --attention-probs-dropout-prob 0 --log-every 1

The model is transformers' BertForPreTraining; its update is BERT's Adam, written out here. Needs torch and transformers.
Prints one line every 50 steps and, at the end, how far the losses are apart. Exits 1 if smoothed losses (10 steps) differ by more than 1 %.
"""

import argparse
import json
import math
import statistics
import struct
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import BertForPreTraining

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True, type=Path)
parser.add_argument("--init", required=True)
parser.add_argument("--metrics", type=Path)
parser.add_argument("--steps", type=int, default=500)
parser.add_argument("--warmup", type=int, help="steps of warm-up; a fifteenth, at most 10,000, if not given")
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=5e-5)
parser.add_argument("--seed", type=int, default=12345)
parser.add_argument("--threads", type=int, default=2)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
WORD = (1 << 64) - 1


# Data: tf.Example in TFRecord, read through the index file.


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        length, at = varint(data, at)
        yield tag >> 3, data[at : at + length]
        at += length


def numbers(feature):
    (kind, values), = fields(feature)
    (_, packed), = fields(values)
    if kind == 2:
        return [value for (value,) in struct.iter_unpack("<f", packed)]
    found, at = [], 0
    while at < len(packed):
        value, at = varint(packed, at)
        found.append(value)
    return found


class Examples:
    def __init__(self, folder):
        (self.file,) = sorted(folder.glob("examples-*.tfrecord"))
        index = Path(f"{self.file}.index").read_bytes()
        self.count = struct.unpack_from("<Q", index, 8)[0]
        self.offsets = struct.unpack_from(f"<{self.count + 1}Q", index, 16)
        self.open = self.file.open("rb")

    def read(self, number):
        start, end = self.offsets[number : number + 2]
        self.open.seek(start)
        payload = self.open.read(end - start)[12:-4]
        (_, features), = fields(payload)
        entries = (dict(fields(entry)) for _, entry in fields(features))
        return {entry[1].decode(): numbers(entry[2]) for entry in entries}


# The order of an epoch: a Feistel network with cycle walking (native/src/dataset/shuffle.rs).


def mix(value):
    value = (value + 0x9E3779B97F4A7C15) & WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & WORD
    return value ^ (value >> 31)


def ordered(seed, epoch, count, place):
    bits = (count - 1).bit_length()
    half = 1 if bits < 2 else -(-bits // 2)
    key, mask = mix(mix(seed) ^ epoch), (1 << half) - 1
    value = place
    while True:
        left, right = value >> half, value & mask
        for step in range(8):
            left, right = right, left ^ (mix(key ^ mix(right ^ (step << 56))) & mask)
        value = (left << half) | right
        if value < count:
            return value


examples = Examples(arguments.data)


def batch(step):
    places = range(step * arguments.batch_size, (step + 1) * arguments.batch_size)
    rows = [examples.read(ordered(arguments.seed, place // examples.count, examples.count, place % examples.count)) for place in places]
    longest = max(sum(row["input_mask"]) for row in rows)
    column = lambda name: torch.tensor([row[name] for row in rows])
    cut = lambda name: column(name)[:, :longest]
    return {name: cut(name) for name in ("input_ids", "input_mask", "segment_ids")} | {
        name: column(name) for name in ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights", "next_sentence_labels")
    }


# The model and its losses. The norm is taken as the original takes it: the gradient of the tied table is counted in two parts, the
# rows looked up (before rows of the same word are added up) and the output projection.

model = BertForPreTraining.from_pretrained(arguments.init, attn_implementation="sdpa")
model.train()
for module in model.modules():
    if isinstance(module, torch.nn.Dropout):
        module.p = 0.0
model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
for layer in model.bert.encoder.layer:
    layer.attention.self.dropout_prob = 0.0
word = model.bert.embeddings.word_embeddings.weight
parameters = [(name, parameter) for name, parameter in model.named_parameters()]
moments = {name: (torch.zeros_like(parameter), torch.zeros_like(parameter)) for name, parameter in parameters}


def losses(rows):
    looked_up = F.embedding(rows["input_ids"], word)
    looked_up.retain_grad()
    projection = word * 1.0
    projection.retain_grad()
    output = model.bert(
        inputs_embeds=looked_up, attention_mask=rows["input_mask"], token_type_ids=rows["segment_ids"]
    )
    hidden, pooled = output.last_hidden_state, output.pooler_output
    positions = rows["masked_lm_positions"].unsqueeze(-1).expand(-1, -1, hidden.shape[-1])
    slots = model.cls.predictions.transform(hidden.gather(1, positions))
    scores = slots @ projection.T + model.cls.predictions.bias
    each = F.cross_entropy(scores.flatten(0, 1), rows["masked_lm_ids"].flatten(), reduction="none")
    weights = rows["masked_lm_weights"].flatten()
    mlm = (each * weights).sum() / (weights.sum() + 1e-5)
    nsp = F.cross_entropy(model.cls.seq_relationship(pooled), rows["next_sentence_labels"].flatten())
    return mlm, nsp, (looked_up, projection)


def rate(step):
    warmup = min(arguments.steps // 15, 10_000) if arguments.warmup is None else arguments.warmup
    if step < warmup:
        return arguments.learning_rate * step / warmup
    return arguments.learning_rate * (1 - step / arguments.steps)


def update(parts, learning_rate):
    square = sum(float(part.grad.double().square().sum()) for part in parts)
    square += sum(float(p.grad.double().square().sum()) for _, p in parameters if p is not word)
    scale = min(1.0, 1.0 / math.sqrt(square))
    with torch.no_grad():
        gradients = [p.grad.mul_(scale) for _, p in parameters]
        first = [moments[name][0] for name, _ in parameters]
        second = [moments[name][1] for name, _ in parameters]
        torch._foreach_mul_(first, 0.9)
        torch._foreach_add_(first, gradients, alpha=0.1)
        torch._foreach_mul_(second, 0.999)
        torch._foreach_addcmul_(second, gradients, gradients, value=0.001)
        roots = torch._foreach_sqrt(second)
        torch._foreach_add_(roots, 1e-6)
        steps = torch._foreach_div(first, roots)
        for (name, p), step in zip(parameters, steps):
            if "LayerNorm" not in name and not name.endswith("bias"):
                step.add_(p, alpha=0.01)
            p.add_(step, alpha=-learning_rate)
    return math.sqrt(square)


ours = {}
if arguments.metrics:
    rows = (json.loads(line) for line in arguments.metrics.read_text().splitlines())
    ours = {row["step"]: row for row in rows if row.get("split") != "eval"}
# `step` of a row of metrics.jsonl counts finished updates in some versions and starts from 0 in others: both runs begin alike.
first = min(ours, default=0)
found, times = [], []
for step in range(arguments.steps):
    start = time.perf_counter()
    rows = batch(step)
    for _, p in parameters:
        p.grad = None
    mlm, nsp, parts = losses(rows)
    (mlm + nsp).backward()
    norm = update(parts, rate(step))
    times.append(time.perf_counter() - start)
    found.append(float(mlm.detach()) + float(nsp.detach()))
    if step % 50 == 0 or step + 1 == arguments.steps:
        other = ours.get(step + first, {})
        beside = f"  ours {other.get('loss', float('nan')):.4f}, norm {other.get('grad_norm', float('nan')):.4f}" if other else ""
        print(f"step {step}: loss {found[-1]:.4f}, norm {norm:.4f}{beside}", flush=True)
print(f"median {1e3 * statistics.median(times):.0f} ms a step, {arguments.batch_size / statistics.median(times):.1f} examples/s, {arguments.threads} threads")
if ours:
    both = [(loss, ours[step + first]["loss"]) for step, loss in enumerate(found) if step + first in ours]
    apart = [abs(a - b) / b for a, b in both]
    means = lambda column: [statistics.fmean(pair[column] for pair in both[at : at + 10]) for at in range(0, len(both) - 9, 10)]
    smoothed = [abs(a - b) / b for a, b in zip(means(0), means(1))]
    print(f"{len(both)} steps compared: largest difference {100 * max(apart):.3f} % of a step, {100 * max(smoothed):.3f} % over 10 steps")
    sys.exit(max(smoothed) > 0.01)
