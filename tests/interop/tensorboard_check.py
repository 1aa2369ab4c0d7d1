"""Reads the event files of a run that `native train` wrote with TensorBoard's own reader and compares them with metrics.jsonl.

    python -m venv venv && venv/bin/pip install tensorboard
    venv/bin/python tests/interop/tensorboard_check.py RUN

Checks: every number of metrics.jsonl is there once, at its step and with its value, and nothing else is; so a run that
was stopped and resumed shows no step twice. Prints one line a check and exits 1 if one fails.
"""

import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = Path(sys.argv[1])
expected = {}
for line in (run / "metrics.jsonl").read_text().splitlines():
    row = json.loads(line)
    for key, value in row.items():
        if key != "step" and isinstance(value, (int, float)):
            single = struct.unpack("f", struct.pack("f", value))[0]
            expected.setdefault(f"{row.get('split', 'train')}/{key}", []).append((row["step"], single))

events = EventAccumulator(str(run), size_guidance={"scalars": 0})
events.Reload()
found = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
failed = False


def check(name, good, detail):
    global failed
    failed |= not good
    print(f"{'ok    ' if good else 'FAILED'} {name}: {detail}")


files = len(list(run.glob("events.out.tfevents.*")))
check("tags", sorted(found) == sorted(expected), f"{len(found)} of {len(expected)} in {files} files")
for tag, points in expected.items():
    if tag.endswith("/examples_per_second"):
        # A measurement: a step that was computed again after a kill has the time of its last computation in both.
        check(tag, [step for step, _ in found.get(tag, [])] == [step for step, _ in points], f"{len(points)} steps")
    else:
        ours = found.get(tag, [])
        # One unit in the last place: a sum of two single-precision losses may lie between two of them.
        same = [a == b and abs(x - y) <= 2**-23 * abs(y) for (a, x), (b, y) in zip(ours, points)]
        check(tag, len(ours) == len(points) and all(same), f"{len(ours)} of {len(points)} points")
sys.exit(failed)
