#!/bin/sh
# The start model, as it was made: train.sh MTSAMPLES.csv NOTEEVENTS-SYNTHETIC.csv OUT
# `native` has to be on the path. About two hours of CPU; the same seed and thread count give the same bytes.
set -eu
here=$(dirname "$0")
mtsamples=$1 synthetic=$2 out=$3
mkdir -p "$out"
python3 "$here/notes.py" "$mtsamples" "$out/notes.csv"
native vocab --notes "$out/notes.csv" "$synthetic" --size 8000 --out "$out/vocab.txt"
for length in 64 128 512; do
  native prepare --notes "$out/notes.csv" "$synthetic" --vocab "$out/vocab.txt" --out "$out/data$length" --max-seq-length "$length" \
    --max-predictions-per-seq $((length * 15 / 100 + 1)) --holdout 0.04 --dupe-factor 8
done

# train NAME LENGTH UPDATES WARM-UP ROWS RATE [how it begins]
train() {
  name=$1 length=$2 updates=$3 warm_up=$4 rows=$5 rate=$6
  shift 6
  native train --data "$out/data$length" --out "$out/$name" --num-train-steps "$updates" --num-warmup-steps "$warm_up" \
    --train-batch-size "$rows" --learning-rate "$rate" --hidden-dropout-prob 0 --attention-probs-dropout-prob 0 --threads 2 "$@"
}
train first 64 4000 400 32 7e-4 --hidden-size 256 --num-hidden-layers 4 --num-attention-heads 4
train more 64 1400 50 32 6e-4 --init "$out/first/model"
train longer 128 200 20 32 3e-4 --init "$out/more/model"
train longest 512 60 10 8 1e-4 --init "$out/longer/model"
native convert --from "$out/longest/model" --to web --dtype int8 --out "$out/clinical-notes-small"
