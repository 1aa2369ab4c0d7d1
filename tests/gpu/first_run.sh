#!/usr/bin/env bash
# The first minutes on a machine with an NVIDIA GPU, which may have no Rust: what the machine is, the kernels against the CPU backend, training on both
# devices, time of an update. Nothing is installed and nothing is fetched.
#
#   tests/gpu/first_run.sh pack FOLDER         on the machine that builds: puts the two programs into FOLDER
#   FOLDER/first_run.sh run [RESULTS]          on the machine with the GPU
set -euo pipefail

pack() {
    folder=$(realpath -m "$1")
    cd "$(dirname "$0")/../.."
    mkdir -p "$folder"
    cargo build --release --workspace
    tests=$(cargo test --release --no-run --workspace 2>&1 | sed -n 's|.*Executable unittests src/main.rs (\(.*/native-[0-9a-f]*\))|\1|p')
    strip -o "$folder/native" target/release/native
    strip -o "$folder/native-tests" "$tests"
    cp tests/gpu/first_run.sh "$folder"
    du -sh "$folder"
}

# Prints a line of the table: what, result.
row() { printf '%-44s %s\n' "$1" "$2" | tee -a "$results/table.txt"; }

run() {
    here=$(cd "$(dirname "$0")" && pwd)
    results=$(realpath -m "${1:-results}")
    work=$(mktemp -d)
    mkdir -p "$results"
    : > "$results/table.txt"
    "$here/native" doctor | tee "$results/doctor.txt"
    cd "$work"

    SECONDS=0
    if CLINICALBERT_TEST_GPU=1 "$here/native-tests" cuda::parity --test-threads 1 --nocapture > "$results/parity.txt" 2>&1; then
        row "kernels and plans against the CPU" ok
    else
        row "kernels and plans against the CPU" "FAILED, see parity.txt"
    fi
    row "  seconds, kernels compiled each time" "$SECONDS"

    "$here/native" sample --out notes.csv --notes 500 --seed 1 --quiet
    "$here/native" vocab --notes notes.csv --out vocab.txt --quiet
    "$here/native" prepare --notes notes.csv --vocab vocab.txt --out data --holdout 0.05 --quiet
    small=(--data data --hidden-size 128 --num-hidden-layers 2 --num-attention-heads 4 --intermediate-size 512 --steps 100 --num-warmup-steps 10)
    for device in cpu cuda; do
        if "$here/native" train "${small[@]}" --device $device --out "small-$device" > "$results/small-$device.txt" 2>&1; then
            row "small model, 100 updates on $device" "$(tail -n 3 "small-$device/metrics.jsonl" | head -n 1 | cut -c1-140)"
        else
            row "small model, 100 updates on $device" "FAILED: $(tail -n 1 "$results/small-$device.txt")"
        fi
    done

    for shape in "32 128" "256 128" "32 512"; do
        read -r batch length <<< "$shape"
        if [ ! -d "data-$length" ]; then
            "$here/native" prepare --notes notes.csv --vocab vocab.txt --out "data-$length" --max-seq-length "$length" --quiet
        fi
        command=("$here/native" train --data "data-$length" --train-batch-size "$batch" --steps 60 --num-warmup-steps 6 --log-every 10 --device cuda)
        if "${command[@]}" --out "base-$batch-$length" > "$results/base-$batch-$length.txt" 2>&1; then
            row "BERT-base, batch $batch, length $length, not captured" "$(tail -n 1 "base-$batch-$length/metrics.jsonl" | cut -c1-200)"
        else
            row "BERT-base, batch $batch, length $length" "FAILED: $(tail -n 1 "$results/base-$batch-$length.txt")"
        fi
    done
    if command -v compute-sanitizer > /dev/null; then
        for tool in memcheck racecheck; do
            if CLINICALBERT_TEST_GPU=1 compute-sanitizer --tool $tool --error-exitcode 9 "$here/native-tests" cuda::parity::bf16 --nocapture \
                > "$results/$tool.txt" 2>&1; then
                row "compute-sanitizer $tool" clean
            else
                row "compute-sanitizer $tool" "see $tool.txt"
            fi
        done
    fi
    rm -rf "$work"
}

case "${1:-}" in
    pack) pack "${2:?FOLDER}" ;;
    run) run "${2:-}" ;;
    *) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
