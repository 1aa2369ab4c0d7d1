#!/usr/bin/env bash
# Everything that is promised of training on an NVIDIA GPU, tried and measured on a machine that may have nothing but the driver, CUDA's libraries
# and a shell. Nothing is installed and nothing is fetched. A step that fails is named, and the next is tried.
#
#   tests/gpu/first_run.sh pack FOLDER
#       on the machine that builds: puts the programs into FOLDER
#   FOLDER/first_run.sh accept [--out DIR] [--python PYTHON --peers DIR] [--budget SECONDS] [STEP...]
#       on the machine with the GPU: all steps, or those that are named (doctor parity sanitizer start bench peers curve), then a table and
#       train-GPU.md and .json. PYTHON has torch, DIR has pretrain_step.py; without them there is nothing to compare with. Status 1: a step failed.
#   FOLDER/first_run.sh run RUN [--seconds N] [--steps N] [--vocab FILE] [--notes FILE:COLUMN]...
#       BERT-base on invented notes and those in a FILE's COLUMN, 150,000 updates: begins the run in the folder RUN, or goes on with it, and stops after N seconds.
#       Called until it says that the run is done; what it was stopped for is the resumption in its middle.
#
# Where there is no GPU, an emulated one shows whether the steps work: tests/gpu/emulator/build.sh /tmp/gpu, then with LD_LIBRARY_PATH=/tmp/gpu
# NATIVE=target/debug/native NATIVE_TESTS=target/debug/deps/native-… SMALL='--hidden-size 32 --num-hidden-layers 1 --num-attention-heads 2'
# CASES='2x16 1x32' UPDATES=3 BATCH=1 NOTES=40
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
native=${NATIVE:-$here/native}
tests=${NATIVE_TESTS:-$here/native-tests}
device=${DEVICE:-cuda}

pack() {
    set -e
    local folder tests
    folder=$(realpath -m "$1")
    cd "$here/../.."
    mkdir -p "$folder"
    cargo build --release --workspace
    tests=$(cargo test --release --no-run --workspace 2>&1 | sed -n 's|.*Executable unittests src/main.rs (\(.*/native-[0-9a-f]*\))|\1|p')
    strip -o "$folder/native" target/release/native
    strip -o "$folder/native-tests" "$tests"
    cp tests/gpu/first_run.sh "$folder"
    du -sh "$folder"
}

# The number of a key in a line of JSON; nothing if there is none.
number() { sed -n 's/.*"'"$1"'": *\(-\{0,1\}[0-9][0-9.eE+-]*\).*/\1/p' "${2:--}" | head -n 1; }

# Prints a line of the table: what, result.
row() { printf '%-50s %s\n' "$1" "$2" | tee -a "$out/table.txt"; }

# Runs a command, its output to a file; a line in the table if it fails. what, file, command...
try() {
    local what=$1 file=$2
    shift 2
    "$@" > "$out/$file" 2>&1 && return
    row "$what" "FAILED ($?), see $file: $(tail -n 1 "$out/$file" | cut -c1-100)"
    return 1
}

# BERT-base's 28,996 entries, whatever vocabulary the notes give; examples of 128 and 512 tokens.
prepare() {
    [ -f "$work/ready" ] && return
    echo '{"model_type": "bert", "vocab_size": 28996}' > "$work/base.json"
    "$native" sample --out "$work/notes.csv" --notes "$notes" --seed 1 --quiet &&
        "$native" vocab --notes "$work/notes.csv" --out "$work/vocab.txt" --quiet &&
        "$native" prepare --notes "$work/notes.csv" --vocab "$work/vocab.txt" --out "$work/data" --holdout 0.02 --quiet &&
        touch "$work/ready"
}

doctor() { try "native doctor" doctor.txt "$native" doctor && row "native doctor" ok; }

parity() {
    local began=$SECONDS
    CLINICALBERT_TEST_GPU=1 try "kernels and updates against the CPU" parity.txt "$tests" cuda::parity --test-threads 1 --nocapture &&
        row "kernels and updates against the CPU" "ok, $((SECONDS - began)) s, $(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1/p' "$out/parity.txt") tests"
}

sanitizer() {
    local sanitizer tool
    sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2> /dev/null | head -n 1)
    [ -n "$sanitizer" ] || { row "compute-sanitizer" "not here"; return; }
    for tool in memcheck racecheck; do
        CLINICALBERT_TEST_GPU=1 try "compute-sanitizer $tool" "$tool.txt" timeout 150 "$sanitizer" --tool "$tool" --error-exitcode 9 \
            "$tests" cuda::parity::bf16_stays_near_the_cpu --exact --nocapture && row "compute-sanitizer $tool" clean
    done
}

# Until the first update is done: with empty caches, then with full ones.
start() {
    local caches
    caches=$(mktemp -d "$work/caches.XXXX")
    for state in cold cached; do
        XDG_CACHE_HOME=$caches try "start, $state" "start-$state.json" "$native" bench train --json --quiet --cases "${cases%% *}" --steps 1 --warmup 0 \
            --device "$device" $small &&
            row "start of the process to the first update, $state" "$(printf '%.2f s' "$(number first_step_seconds "$out/start-$state.json")")"
    done
}

bench() {
    local case name
    for case in $cases; do
        name="$model-b${case%x*}-s${case#*x}"
        try "$name" "bench-$name.json" "$native" bench train --json --quiet --cases "$case" --device "$device" $small \
            ${UPDATES:+--steps "$UPDATES" --warmup 2} || continue
        row "$name" "$(printf '%.3f ms, %.1f TFLOP/s, %.3f of the large product' "$(number step_ms_median "$out/bench-$name.json")" \
            "$(number tflops "$out/bench-$name.json")" "$(number ceiling_share "$out/bench-$name.json")")"
    done
}

# The same cases by PyTorch; its fastest variant with a mask counts.
peers() {
    [ -n "$python" ] && [ -f "$peers/pretrain_step.py" ] || { row "PyTorch" "not tried: --python and --peers"; return; }
    local case name each
    each=$((budget / $(wc -w <<< "$cases")))
    for case in $cases; do
        name="$model-b${case%x*}-s${case#*x}"
        try "PyTorch, $name" "peer-$name.txt" "$python" -c "
import dataclasses, sys
sys.path.insert(0, '$peers')
import bert_step
bert_step.BASE = dataclasses.replace(bert_step.BASE, batch=${case%x*}, seq=${case#*x}, preds=-(-15 * ${case#*x} // 100))
import pretrain_step
sys.argv = ['pretrain_step.py', '--budget-s', '$each', '--variants', '$variants', '--json', '$out/peer-$name.jsonl']
pretrain_step.main()" || continue
        row "PyTorch, $name" "$(best "$name" | tr ' ' ': ') ms"
    done
}

# Name and milliseconds of PyTorch's fastest variant of a case.
best() {
    sed -n 's/.*"kind": "step", "variant": "\([^"]*\)", "ms_median": \([0-9.]*\).*/\1 \2/p' "$out/peer-$1.jsonl" 2> /dev/null |
        grep -v nomask | sort -k 2 -n | head -n 1
}

# Updates in bf16 and in f32 from the same weights and batches: how far the losses are apart, means of 50 updates. Then PyTorch's own training
# of a small model in f32: 12 updates, because it soon has its four batches by heart, and losses near 0 have no per cent.
curve() {
    if prepare > "$out/prepare.txt" 2>&1; then
        losses && row "losses of $updates updates, bf16 and f32" "$(cat "$out/curve.txt")"
    else
        row "losses of $updates updates, bf16 and f32" "FAILED, see prepare.txt"
    fi
    reference
}

losses() {
    local precision
    for precision in f32 bf16; do
        rm -rf "$work/curve-$precision"
        try "$updates updates in $precision" "curve-$precision.txt" "$native" train --data "$work/data" --config-file "$work/base.json" $small \
            --train-batch-size "$batch" --steps "$updates" --num-warmup-steps $((updates / 10)) --log-every 1 --save-checkpoints-steps "$updates" \
            --device "$device" --precision "$precision" --out "$work/curve-$precision" || return
        sed -n 's/.*"step": *\([0-9]*\).*"loss": *\([0-9.]*\).*/\1 \2/p' <(grep -v '"split"' "$work/curve-$precision/metrics.jsonl") > "$out/losses-$precision.txt"
    done
    paste "$out/losses-f32.txt" "$out/losses-bf16.txt" | awk -v updates="$updates" '
        $1 != $3 { wrong = 1 }
        { f += $2; b += $4; if (NR % 50 == 0 || NR == updates) { d = b / f - 1; if (d < 0) d = -d; if (d > most) most = d; f = b = 0 } }
        END { if (wrong || NR < updates) print "FAILED: " NR " updates"; else printf "%.3f %% apart at most\n", 100 * most }' > "$out/curve.txt"
}

reference() {
    [ -n "$python" ] && [ -f "$peers/pretrain_step.py" ] || { row "PyTorch's losses" "not tried: --python and --peers"; return; }
    try "PyTorch's training in f32" reference.txt "$python" -c "
import pathlib, sys
sys.path.insert(0, '$peers')
import pretrain_step
pretrain_step.dump_reference(pathlib.Path('$out/reference'), 'none', steps=min(12, $updates))" || return
    CLINICALBERT_TEST_GPU=1 CLINICALBERT_TEST_REFERENCE="$out/reference" try "PyTorch's losses" reference.txt \
        "$tests" cuda::yardstick --test-threads 1 --nocapture &&
        row "losses, ours and PyTorch's" "$(sed -n 's/.*losses: //p' "$out/reference.txt" | paste -sd ';')"
}

# train-GPU.md and .json from what is in the folder.
write() {
    local gpu driver name file line separator=
    gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2> /dev/null | head -n 1)
    driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2> /dev/null | head -n 1)
    name=train-$(tr -cs 'A-Za-z0-9\n' - <<< "${gpu:-unknown}" | tr 'A-Z' 'a-z')
    {
        printf '{"gpu": "%s", "driver": "%s", "date": "%s", "command": "%s", "cases": [' "$gpu" "$driver" "$(date -u +%F)" "$command"
        for file in "$out"/bench-*.json; do
            [ -f "$file" ] && [ -n "$(number step_ms_median "$file")" ] || continue
            line=$(basename "$file" .json)
            read -r variant ms <<< "$(best "${line#bench-}")"
            printf '%s\n  {"case": "%s", "step_ms_median": %s, "step_ms_p95": %s, "best_peer_ms": %s, "best_peer": %s, "ceiling_share": %s, "peak_memory_bytes": %s}' \
                "$separator" "${line#bench-}" "$(number step_ms_median "$file")" "$(number step_ms_p95 "$file")" "${ms:-null}" \
                "$([ -n "$variant" ] && echo "\"PyTorch, $variant\"" || echo null)" "$(number ceiling_share "$file")" "$(number peak_memory_bytes "$file")"
            separator=,
        done
        printf '\n]}\n'
    } > "$out/$name.json"
    {
        printf '# Training on %s\n\nDriver %s, %s. `%s`\n\n' "${gpu:-a GPU}" "${driver:-unknown}" "$(date -u +%F)" "$command"
        printf '| case | ms an update | 95 %% | fastest PyTorch, ms | share of a large product | memory |\n|---|--:|--:|--:|--:|--:|\n'
        sed -n 's/.*"case": "\([^"]*\)", "step_ms_median": \([^,]*\), "step_ms_p95": \([^,]*\), "best_peer_ms": \([^,]*\), "best_peer": \(.*\), "ceiling_share": \([^,]*\), "peak_memory_bytes": \([^}]*\)}.*/| \1 | \2 | \3 | \4 (\5) | \6 | \7 |/p' "$out/$name.json"
        printf '\n```text\n'
        cat "$out/table.txt"
        printf '```\n'
    } > "$out/$name.md"
    echo "$out/$name.md"
}

accept() {
    local steps=()
    out=results python='' peers='' budget=240
    while [ $# -gt 0 ]; do
        case $1 in
            --out) out=$2; shift 2 ;;
            --python) python=$2; shift 2 ;;
            --peers) peers=$(realpath "$2"); shift 2 ;;
            --budget) budget=$2; shift 2 ;;
            *) steps+=("$1"); shift ;;
        esac
    done
    out=$(realpath -m "$out")
    work=$(mktemp -d)
    cases=${CASES:-32x128 256x128 32x512}
    variants=${VARIANTS:-graph,graph-compile,max-autotune,graph-max}
    # To try this script where there is no GPU: flags of a smaller model's shape, fewer updates, examples and notes.
    small=${SMALL:-}
    model=base
    [ -z "$small" ] || model=small
    updates=${UPDATES:-500} batch=${BATCH:-32} notes=${NOTES:-3000}
    mkdir -p "$out"
    touch "$out/table.txt"
    [ ${#steps[@]} -gt 0 ] || steps=(doctor parity sanitizer start bench curve peers)
    for step in "${steps[@]}"; do
        case $step in
            doctor | parity | sanitizer | start | bench | peers | curve) "$step" ;;
            *) row "$step" "FAILED: there is no such step" ;;
        esac
    done
    rm -rf "$work"
    write
    # What failed is the last thing that is said, and the status.
    ! grep FAILED "$out/table.txt"
}

run() {
    local folder=$1 seconds=540 steps=150000 vocab='' notes=() data=(--data invented) note number=0 status
    shift
    while [ $# -gt 0 ]; do
        case $1 in
            --seconds) seconds=$2; shift 2 ;;
            --steps) steps=$2; shift 2 ;;
            --vocab) vocab=$(realpath "$2"); shift 2 ;;
            --notes) notes+=("$(realpath "${2%:*}"):${2##*:}"); shift 2 ;;
            *) usage ;;
        esac
    done
    local began=$SECONDS
    mkdir -p "$folder" && cd "$folder" || exit 2
    if [ ! -f run/run.toml ]; then
        set -e
        echo '{"model_type": "bert", "vocab_size": 28996}' > base.json
        [ -f notes.csv ] || "$native" sample --out notes.csv --notes "${NOTES:-20000}" --seed 1 --quiet
        [ -n "$vocab" ] || { vocab=vocab.txt; [ -f vocab.txt ] || "$native" vocab --notes notes.csv --out vocab.txt --quiet; }
        "$native" prepare --notes notes.csv --vocab "$vocab" --out invented --holdout 0.01 --quiet
        for note in "${notes[@]}"; do
            number=$((number + 1))
            "$native" prepare --notes "${note%:*}" --text-column "${note##*:}" --vocab "$vocab" --out "notes-$number" --holdout 0.01 --quiet
            data+=(--data "notes-$number")
        done
        set +e
    fi
    local command=("$native" train --out run --device "$device")
    if [ -f run/run.toml ]; then
        command+=(--resume)
    else
        command+=("${data[@]}" --config-file base.json --steps "$steps" --save-checkpoints-steps 10000 --log-every 100 \
            ${SMALL:-} ${BATCH:+--train-batch-size "$BATCH"})
    fi
    # An interrupt saves a checkpoint and stops.
    timeout --signal INT --kill-after 60 "$((seconds - SECONDS + began))" "${command[@]}" 2>&1 | tee -a log.txt
    status=${PIPESTATUS[0]}
    if [ -f run/model/model.safetensors ]; then
        echo "done; losses and held-out figures are in $folder/run/report.html and run/metrics.jsonl"
        grep '"split"' run/metrics.jsonl | sed -n '1p;$p'
    else
        echo "not done (status $status): call it again"
    fi
}

usage() {
    sed -n '2,20s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 2
}

command="first_run.sh $*"
case "${1:-}" in
    pack) pack "${2:?FOLDER}" ;;
    accept) shift; accept "$@" ;;
    run) run "${2:?RUN}" "${@:3}" ;;
    *) usage ;;
esac
