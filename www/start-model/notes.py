"""MTSamples as notes for the start model: python notes.py mtsamples.csv notes.csv

Of reports that are listed under several specialties one copy is kept, so that no held-out note has a copy among the others. The set's
line breaks came as commas; where a comma follows a header or a sentence, or stands before a header, it becomes a line break again.
"""

import csv
import re
import sys

BREAKS = [
    (re.compile(r":\s*,\s*"), ":\n"),
    (re.compile(r"(?<=[.;]),\s*"), "\n"),
    (re.compile(r",\s*(?=[A-Z][A-Z &/()-]{3,}:)"), "\n\n"),
]


def main(source, target):
    csv.field_size_limit(1 << 30)
    seen = set()
    with open(source, encoding="utf-8", newline="") as rows, open(target, "w", encoding="utf-8", newline="") as notes:
        writer = csv.writer(notes)
        writer.writerow(["ROW_ID", "TEXT"])
        for row in csv.DictReader(rows):
            text = row["transcription"]
            key = " ".join(text.split()).lower()
            if not key or key in seen:
                continue
            seen.add(key)
            for pattern, replacement in BREAKS:
                text = pattern.sub(replacement, text)
            writer.writerow([len(seen), text.strip()])
    print(f"{len(seen)} distinct notes")


main(*sys.argv[1:])
