"""What transformers' pipelines say of texts, for core/src/tasks/classification/tests.rs: python classification_golden.py > transformers.json

The model is small and its weights come from a formula that the test repeats.
"""

import json
import sys
import tempfile
from math import sin
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification, BertTokenizerFast, pipeline

VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] no fever ##s ##ish cough ##ing chest pain severe of , .".split()
LABELS = ["O", "B-test", "I-problem", "I-test", "B-problem"]
TEXTS = [
    "no fevers, severe chest pain.",
    "severe coughing of chest, feverish pains",
    "été of pain",
    "",
]
SHAPE = dict(
    vocab_size=len(VOCABULARY), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
    max_position_embeddings=16,
)


def fill(model):
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            start = 0.37 * sum(name.encode())
            size = 0.1 if name.endswith("bias") else 0.9
            values = [size * sin(start + 1.3 * index + 0.1 * index * index) for index in range(tensor.numel())]
            tensor.copy_(torch.tensor(values, dtype=torch.float64).reshape(tensor.shape) + (1.0 if "LayerNorm.weight" in name else 0.0))
    return model.eval()


def main():
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = Path(folder) / "vocab.txt"
        vocabulary.write_text("\n".join(VOCABULARY) + "\n")
        tokenizer = BertTokenizerFast(str(vocabulary), do_lower_case=False, model_max_length=SHAPE["max_position_embeddings"])
    labels = dict(enumerate(LABELS))
    tokens = fill(BertForTokenClassification(BertConfig(**SHAPE, id2label=labels)))
    golden = {"vocabulary": VOCABULARY, "labels": LABELS, "texts": TEXTS, "shape": SHAPE, "tokens": {}, "pairs": []}
    for strategy in ["none", "simple", "first"]:
        tag = pipeline("token-classification", tokens, tokenizer=tokenizer, aggregation_strategy=strategy, ignore_labels=[])
        golden["tokens"][strategy] = [[plain(one) for one in tag(text)] if text else [] for text in TEXTS]
    for problem in ["single_label_classification", "multi_label_classification", "regression"]:
        texts = fill(BertForSequenceClassification(BertConfig(**SHAPE, id2label=labels, problem_type=problem)))
        classify = pipeline("text-classification", texts, tokenizer=tokenizer)
        for first, second in [(TEXTS[0], None), (TEXTS[1], TEXTS[2]), (" ".join(TEXTS[:3]), None)]:
            found = classify({"text": first, "text_pair": second} if second else first, top_k=None, truncation=True)
            scores = {one["label"]: one["score"] for one in found}
            golden["pairs"].append({"problem": problem, "first": first, "second": second, "scores": [scores[name] for name in LABELS]})
    json.dump(golden, sys.stdout, indent=1, ensure_ascii=False)
    print()


def plain(found):
    return {key: float(value) if key == "score" else value if isinstance(value, str) else int(value) for key, value in found.items()}


main()
