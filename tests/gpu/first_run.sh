#!/usr/bin/env bash
# What is promised of training on an NVIDIA GPU, tried and measured on a machine that may have nothing but the driver, CUDA's libraries and a shell, for
# a few minutes. Nothing is installed and nothing is fetched. What matters most comes first; every step has a limit, and what is known is
# written after each of them.
#
#   tests/gpu/first_run.sh pack FOLDER [PEERS]
#       on the machine that builds: the programs into FOLDER, and with them PyTorch's step, pretrain_step.py, from the folder PEERS
#   FOLDER/first_run.sh accept OUT [STEP...]
#       on the machine with the GPU: all steps, or those that are named, as far as BUDGET seconds (560) go. OUT gets table.txt, train-GPU.md and
#       .json, and logs.tar.gz. PYTHON (python3) has torch. Status 1: something failed.
#   FOLDER/first_run.sh run RUN SECONDS FLAG...
#       `native train` with these flags begins in the folder RUN, or goes on there, and stops after so long, to be called again
#
# Where there is no GPU, an emulated one shows whether the steps work: tests/gpu/emulator/build.sh /tmp/gpu, then with LD_LIBRARY_PATH=/tmp/gpu
# NATIVE=target/debug/native NATIVE_TESTS=target/debug/deps/native-… SMALL='--hidden-size 32 --num-hidden-layers 1 --num-attention-heads 2'
# BATCH=1 UPDATES=3 NOTES=40 accept OUT doctor start:2x16 bench:2x16 curve
set -uo pipefail

steps=(doctor start:32x128 parity bench:32x128 peer:32x128 sanitizer bench:256x128 bench:32x512 curve reference peer:256x128 peer:32x512)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
native=${NATIVE:-$here/native}
tests=${NATIVE_TESTS:-$here/native-tests}
device=${DEVICE:-cuda}
python=${PYTHON:-python3}
# To try this script: flags of a smaller model's shape, fewer updates, examples and notes.
small=${SMALL:-} model=${SMALL:+small} updates=${UPDATES:-500} batch=${BATCH:-32} notes=${NOTES:-3000}

pack() {
    set -e
    local folder tests
    mkdir -p "$1"
    folder=$(realpath "$1")
    [ -z "${2:-}" ] || { mkdir -p "$folder/peers" && cp "$2"/pretrain_step.py "$2"/bert_step.py "$folder/peers"; }
    cd "$here/../.."
    cargo build --release --workspace
    tests=$(cargo test --release --no-run --workspace 2>&1 | sed -n 's|.*Executable unittests src/main.rs (\(.*/native-[0-9a-f]*\))|\1|p')
    strip -o "$folder/native" "${CARGO_TARGET_DIR:-target}/release/native"
    strip -o "$folder/native-tests" "$tests"
    cp tests/gpu/first_run.sh "$folder"
    du -sh "$folder"
}

# The number of a key in a file of JSON; nothing if there is none.
number() { sed -n 's/.*"'"$1"'": *\(-\{0,1\}[0-9][0-9.eE+-]*\).*/\1/p' "$2" | head -n 1; }

# The same, to three decimals.
short() { printf '%.3f' "$(number "$1" "$2")"; }

# Prints a line of the table: what, result.
row() { printf '%-50s %s\n' "$1" "$2" | tee -a "$out/table.txt"; }

# Runs a command for at most so many seconds, its output to a file; a line in the table if it fails. what, file, seconds, command...
try() {
    local what=$1 file=$2 seconds=$3 left=$((budget - SECONDS)) status
    shift 3
    [ "$left" -gt 5 ] || { row "$what" "not tried: the time is over"; return 1; }
    timeout --kill-after 5 "$((seconds < left ? seconds : left))" "$@" > "$logs/$file" 2>&1 && return
    status=$?
    row "$what" "FAILED ($status$([ $status != 124 ] || echo ', out of time')): $(tail -n 1 "$logs/$file" | cut -c1-100)"
    return 1
}

doctor() { try doctor doctor.txt 60 "$native" doctor && row doctor ok; }

parity() {
    CLINICALBERT_TEST_GPU=1 try "gradients and updates against the CPU" parity.txt 180 "$tests" cuda::parity --test-threads 1 --nocapture
    local passed=$?
    grep -h ' off by at most' "$logs/parity.txt" 2> /dev/null | sort | uniq | while read -r line; do row "" "$line"; done
    [ $passed != 0 ] || row "gradients and updates against the CPU" ok
}

# Our kernels alone, because cuBLASLt's take minutes; without errors of calls, because libraries try what a driver may not have.
sanitizer() {
    local sanitizer tool name ours=()
    for name in norm_ embed_ activation_ attention_ rows_ classify_ loss _sums sum_partials add_values squares square_total clip adam; do
        ours+=(--kernel-name "kns=$name")
    done
    sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2> /dev/null | head -n 1)
    [ -n "$sanitizer" ] || { row compute-sanitizer "not here"; return; }
    for tool in memcheck racecheck; do
        CLINICALBERT_TEST_GPU=1 try "compute-sanitizer $tool" "$tool.txt" 90 "$sanitizer" --tool "$tool" --report-api-errors no \
            --error-exitcode 9 "${ours[@]}" "$tests" cuda::parity::bf16_stays_near_the_cpu --exact --nocapture && row "compute-sanitizer $tool" clean
    done
}

# Until the first update is done: with empty caches, then with full ones.
start() {
    local state
    for state in cold cached; do
        try "start, $state" "start-$state.json" 60 "$native" bench train --json --quiet --cases "$1" --steps 1 --warmup 0 --device "$device" $small &&
            row "start of the process to the first update, $state" "$(short first_step_seconds "$logs/start-$state.json") s"
    done
}

bench() {
    local name="b${1%x*}-s${1#*x}" file
    file="bench-$name.json"
    try "$name" "$file" 90 "$native" bench train --json --quiet --cases "$1" --device "$device" $small ${UPDATES:+--steps "$UPDATES" --warmup 2} || return
    file=$logs/$file
    row "$name" "$(short step_ms_median "$file") ms ($(short forward_ms "$file") + $(short backward_ms "$file") + $(short optimizer_ms "$file")), \
$(short ceiling_share "$file") of the large product, $(number peak_memory_bytes "$file") bytes"
}

# The same case by PyTorch; its fastest variant with a mask counts. Variants that begin are finished, if the step's time allows it.
peer() {
    local name="b${1%x*}-s${1#*x}"
    try "PyTorch, $name" "peer-$name.txt" 170 "$python" -c "
import dataclasses, sys
sys.path.insert(0, '$here/peers')
import bert_step
bert_step.BASE = dataclasses.replace(bert_step.BASE, batch=${1%x*}, seq=${1#*x}, preds=-(-15 * ${1#*x} // 100))
import pretrain_step
sys.argv = ['pretrain_step.py', '--budget-s', '90', '--variants', '${VARIANTS:-graph,graph-compile,graph-max}', '--json', '$logs/peer-$name.jsonl']
pretrain_step.main()"
    [ -z "$(best "$name")" ] || row "PyTorch, $name" "$(best "$name") ms"
}

# Name and milliseconds of PyTorch's fastest variant of a case, as far as they were measured.
best() {
    sed -n 's/.*"kind": "step", "variant": "\([^"]*\)", "ms_median": \([0-9.]*\).*/\1 \2/p' "$logs/peer-$1.jsonl" 2> /dev/null |
        grep -v nomask | sort -k 2 -n | head -n 1
}

# Updates in bf16 and in f32 from the same weights and batches: how far the losses are apart, means of 50 updates.
curve() {
    local precision what="losses of $updates updates, bf16 and f32"
    # BERT-base's 28,996 entries, whatever vocabulary the notes give.
    echo '{"model_type": "bert", "vocab_size": 28996}' > "$work/base.json"
    try "$what" prepare.txt 60 bash -c "cd '$work' && '$native' sample --out notes.csv --notes $notes --seed 1 --quiet &&
        '$native' vocab --notes notes.csv --out vocab.txt --quiet && '$native' prepare --notes notes.csv --vocab vocab.txt --out data --quiet" || return
    for precision in f32 bf16; do
        try "$what" "curve-$precision.txt" 90 "$native" train --data "$work/data" --config-file "$work/base.json" $small --train-batch-size "$batch" \
            --steps "$updates" --num-warmup-steps $((updates / 10)) --log-every 1 --save-checkpoints-steps "$updates" \
            --device "$device" --precision "$precision" --out "$work/curve-$precision" || return
        sed -n 's/.*"step": *\([0-9]*\).*"loss": *\([0-9.]*\).*/\1 \2/p' <(grep -v '"split"' "$work/curve-$precision/metrics.jsonl") > "$logs/losses-$precision.txt"
    done
    row "$what" "$(paste "$logs/losses-f32.txt" "$logs/losses-bf16.txt" | awk -v updates="$updates" '
        $1 != $3 { wrong = 1 }
        { f += $2; b += $4; if (NR % 50 == 0 || NR == updates) { d = b / f - 1; if (d < 0) d = -d; if (d > most) most = d; f = b = 0 } }
        END { if (wrong || NR < updates) print "FAILED: " NR " updates"; else printf "%.3f %% apart at most\n", 100 * most }')"
}

# PyTorch's own training of a small model in f32: 12 updates, because it soon has its four batches by heart, and losses near 0 have no per cent.
reference() {
    try "PyTorch's training in f32" reference.txt 60 "$python" -c "
import pathlib, sys
sys.path.insert(0, '$here/peers')
import pretrain_step
pretrain_step.dump_reference(pathlib.Path('$work/reference'), 'none')" || return
    CLINICALBERT_TEST_GPU=1 CLINICALBERT_TEST_REFERENCE="$work/reference" try "losses, ours and PyTorch's" reference.txt 60 \
        "$tests" cuda::yardstick --test-threads 1 --nocapture &&
        row "losses, ours and PyTorch's" "$(sed -n 's/.*losses: //p' "$logs/reference.txt" | paste -sd ';')"
}

# train-GPU.md and .json and the logs, from what is there.
write() {
    local gpu driver name file case variant ms values json='' table=''
    IFS=, read -r gpu driver <<< "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2> /dev/null | head -n 1)"
    name=train-$(tr -cs 'A-Za-z0-9\n' - <<< "${gpu:-unknown}" | tr 'A-Z' 'a-z')
    for file in "$logs"/bench-*.json; do
        case=$(basename "$file" .json) case=${case#bench-}
        [ -f "$file" ] && [ -n "$(number step_ms_median "$file")" ] || continue
        read -r variant ms <<< "$(best "$case")"
        values=("$(number step_ms_median "$file")" "$(number step_ms_p95 "$file")" "$(number ceiling_share "$file")" "$(number peak_memory_bytes "$file")")
        json+=$(printf '%s\n  {"case": "%s", "step_ms_median": %s, "step_ms_p95": %s, "ceiling_share": %s, "peak_memory_bytes": %s, "best_peer_ms": %s, "best_peer": %s}' \
            "${json:+,}" "${model:-base}-$case" "${values[@]}" "${ms:-null}" "$([ -n "$variant" ] && echo "\"PyTorch, $variant\"" || echo null)")
        table+=$(printf '\n| %s | %s | %s | %s | %s | %s %s |' "$case" "${values[@]}" "$ms" "$variant")
    done
    printf '{"gpu": "%s", "driver": "%s", "date": "%s", "command": "%s", "cases": [%s\n]}\n' "$gpu" "${driver# }" "$(date -u +%F)" "$command" "$json" > "$out/$name.json"
    {
        printf '# Training on %s\n\nDriver%s, %s. `%s`\n\n' "${gpu:-a GPU}" "$driver" "$(date -u +%F)" "$command"
        printf '| case | ms an update | 95 %% | share of a large product | bytes of memory | fastest PyTorch, ms |\n|---|--:|--:|--:|--:|--:|%s\n' "$table"
        printf '\n```text\n%s\n```\n' "$(cat "$out/table.txt")"
    } > "$out/$name.md"
    tar -czf "$out/logs.tar.gz" -C "$logs" .
}

accept() {
    mkdir -p "${1:?OUT}"
    out=$(realpath "$1") work=$(mktemp -d) budget=${BUDGET:-560}
    logs=$work/logs
    export XDG_CACHE_HOME=$work/caches
    mkdir "$logs"
    : > "$out/table.txt"
    shift
    [ $# = 0 ] || steps=("$@")
    for step in "${steps[@]}"; do
        case $step in
            doctor | parity | sanitizer | curve | reference) "$step" ;;
            start:*x* | bench:*x* | peer:*x*) "${step%:*}" "${step#*:}" ;;
            *) row "$step" "FAILED: there is no such step" ;;
        esac
        write
    done
    rm -rf "$work"
    # What failed is the last thing that is said, and the status.
    ! grep FAILED "$out/table.txt"
}

run() {
    local folder=$1 seconds=$2
    shift 2
    [ ! -f "$folder/run.toml" ] || set -- --resume
    # An interrupt saves a checkpoint and stops.
    timeout --signal INT --kill-after 60 "$seconds" "$native" train --out "$folder" --device "$device" "$@"
    [ -f "$folder/model/model.safetensors" ] || echo "not done: call it again"
}

command="first_run.sh $*"
case "${1:-}" in
    pack) pack "${2:?FOLDER}" "${3:-}" ;;
    accept) accept "${@:2}" ;;
    run) run "${2:?RUN}" "${3:?SECONDS}" "${@:4}" ;;
    *) sed -n '2,21s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
