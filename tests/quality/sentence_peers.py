"""Sentence boundaries of spaCy's sentencizer and pySBD on the sets that `clinicalbert_tests::quality::sentences` measures ours on.

    python -m venv venv && venv/bin/pip install spacy==3.8.18 pysbd==0.3.4
    venv/bin/python tests/quality/sentence_peers.py

A boundary is the number of characters, white space left out, before the end of a sentence, the last sentence's end not counted.
"""

import json
import pathlib

import pysbd
import spacy

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"
SETS = {
    "GENIA": "sentences-genia/genia-dev.jsonl",
    "CRAFT": "sentences-craft/craft-dev.jsonl",
    "golden rules": "sentences-golden-rules/english-golden-rules-dev.jsonl",
}


def ends(sentences):
    """Ends of the sentences, in characters that are not white space; blank sentences are none."""
    total, found = 0, []
    for sentence in sentences:
        length = sum(not character.isspace() for character in sentence)
        total += length
        if length:
            found.append(total)
    return found


def f1(both, gold, theirs):
    return 2 * both / max(1, gold + theirs)


def measure(documents, split):
    counts = [0] * 6
    for document in documents:
        text = document["text"]
        gold = ends(s if isinstance(s, str) else text[s[0] : s[1]] for s in document["sentences"])
        theirs = ends(split(text))
        pairs = [set(gold[:-1]), set(theirs[:-1]), set(zip([0] + gold, gold)), set(zip([0] + theirs, theirs))]
        found = [len(pairs[0] & pairs[1]), len(pairs[0]), len(pairs[1]), len(pairs[2] & pairs[3]), len(pairs[2]), len(pairs[3])]
        counts = [count + new for count, new in zip(counts, found)]
    both, gold, theirs, *exact = counts
    return both / max(1, theirs), both / max(1, gold), f1(both, gold, theirs), f1(*exact)


def main():
    sentencizer = spacy.blank("en")
    sentencizer.add_pipe("sentencizer")
    sentencizer.max_length = 10**8
    segmenter = pysbd.Segmenter(language="en", clean=False)
    peers = {
        f"spaCy {spacy.__version__} sentencizer": lambda text: [sentence.text for sentence in sentencizer(text).sents],
        "pySBD 0.3.4": segmenter.segment,
    }
    for name, split in peers.items():
        print(name)
        print(f"{'set':<14}{'precision':>10}{'recall':>10}{'F1':>10}{'exact F1':>10}")
        for label, path in SETS.items():
            documents = [json.loads(line) for line in (DATA / path).read_text(encoding="utf-8").splitlines()]
            figures = measure(documents, split)
            print(f"{label:<14}" + "".join(f"{figure:>10.4f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
