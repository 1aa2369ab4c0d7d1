"""Reads checkpoints that `native convert --to tf` wrote with TensorFlow's own code.

    python -m venv venv && venv/bin/pip install tensorflow-cpu safetensors
    venv/bin/python tests/interop/tensorflow_check.py --native target/release/native --checkpoint run/checkpoints/step-000000100

Checks: tf.train.load_checkpoint has every tensor of the source, equal bit by bit, kernels turned; the optimizer's moments and global_step
too; tf.train.latest_checkpoint finds it; a tf.compat.v1 Saver with Google's variable names restores it. Prints one line a check and exits 1
if one fails.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import tensorflow as tf
from safetensors.numpy import load_file

parser = argparse.ArgumentParser()
parser.add_argument("--native", required=True, help="the binary")
parser.add_argument("--checkpoint", required=True, help="a folder of run/checkpoints")
arguments = parser.parse_args()
failed = False


def check(name, good, detail=""):
    global failed
    failed |= not good
    print(f"{'ok    ' if good else 'FAILED'} {name}: {detail}")


def tensorflow_name(name):
    """Google's name of a parameter, and whether its kernel is turned."""
    for ours, theirs in (
        (".LayerNorm.weight", "/LayerNorm/gamma"),
        (".LayerNorm.bias", "/LayerNorm/beta"),
        ("_embeddings.weight", "_embeddings"),
        ("cls.predictions.bias", "cls/predictions/output_bias"),
        ("cls.seq_relationship.weight", "cls/seq_relationship/output_weights"),
        ("cls.seq_relationship.bias", "cls/seq_relationship/output_bias"),
    ):
        if name.endswith(ours):
            return name.replace(ours, theirs).replace("layer.", "layer_").replace(".", "/"), False
    turned = name.endswith(".weight")
    return name.replace(".weight", ".kernel").replace("layer.", "layer_").replace(".", "/"), turned


source = Path(arguments.checkpoint)
weights, optimizer = load_file(source / "model.safetensors"), load_file(source / "optimizer.safetensors")
step = json.loads((source / "state.json").read_text())["step"]
with tempfile.TemporaryDirectory() as folder:
    out = Path(folder, "tf")
    command = [arguments.native, "convert", "--from", source, "--to", "tf", "--with-optimizer", "--out", out, "--quiet"]
    subprocess.run([str(part) for part in command], check=True)
    prefix = tf.train.latest_checkpoint(str(out))
    check("latest_checkpoint", prefix == str(out / f"model.ckpt-{step}"), Path(prefix or "none").name)
    reader = tf.train.load_checkpoint(prefix)
    expected = {"global_step": numpy.int64(step)}
    for name, value in weights.items():
        target, turned = tensorflow_name(name)
        for slot in ("", "/adam_m", "/adam_v"):
            tensor = optimizer[name + slot] if slot else value
            expected[target + slot] = tensor.T if turned else tensor
    names = set(reader.get_variable_to_shape_map())
    check("names", names == set(expected), f"{len(names)} variables, {len(names ^ set(expected))} differ")
    differing = [name for name in names & set(expected) if not numpy.array_equal(reader.get_tensor(name), expected[name])]
    check("tensors", not differing, f"{len(differing)} of {len(names)} differ")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = {
            name: tf.compat.v1.get_variable(name, shape=value.shape, dtype=value.dtype.name) for name, value in expected.items()
        }
        tf.compat.v1.train.Saver(variables).restore(session, prefix)
        differing = [name for name, variable in variables.items() if not numpy.array_equal(session.run(variable), expected[name])]
    check("Saver.restore", not differing, f"{len(differing)} of {len(variables)} differ")
sys.exit(failed)
