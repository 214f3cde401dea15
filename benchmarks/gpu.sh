#!/usr/bin/env bash
# GPU tests and benchmarks within nine minutes, on a machine with one H200-class GPU and no network:
#
#     bash benchmarks/gpu.sh OUTPUT_FOLDER MODEL_FOLDER TRAJECTORIES PLANS [WHEELS_FOLDER]
#
# MODEL_FOLDER: SmolLM2's config.json and tokenizer; where it holds no weights, random ones of that shape are made.
# TRAJECTORIES, PLANS: what +recipe=collect and +recipe=collect_plans left (a few hundred are enough; PLANS is the
# train.jsonl). WHEELS_FOLDER: what pip cannot fetch there, installed without dependencies, beside what is there. PYTHON
# (python3) has PyTorch with CUDA. Each part has its own time limit and log, a part that fails does not end the others,
# and SUMMARY.md says what each gave. GPU_SECONDS (540) is the limit of all: what is left then is left out.
set -uo pipefail
OUT=$(mkdir -p "$1" && cd "$1" && pwd) MODEL=$(cd "$2" && pwd) TRAJECTORIES=$(cd "$3" && pwd)
PLANS=$(readlink -f "$4") WHEELS=${5:-}
PYTHON=${PYTHON:-python3} GPU_SECONDS=${GPU_SECONDS:-540}
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
cd "$(dirname "$0")/.."
export PYTHONPATH=$SCRATCH/site:$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
if [ -n "$WHEELS" ]; then
    "$PYTHON" -m pip install --no-index --no-deps --no-compile -q --target "$SCRATCH/site" "$WHEELS"/*.whl || exit 1
fi

SUMMARY=$OUT/SUMMARY.md
{
    echo "# On a GPU"
    echo
    echo "- $(date +%F), $(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader)"
    echo "- $("$PYTHON" -c 'import torch, transformers; print("torch", torch.__version__, "transformers", transformers.__version__)')"
    echo
    echo "| part | seconds | status |"
    echo "|---|---|---|"
} > "$SUMMARY"

part() { # NAME LIMIT_SECONDS COMMAND...
    local name=$1 limit=$2 begun=$SECONDS status left=$((GPU_SECONDS - SECONDS))
    shift 2
    if [ "$left" -lt 15 ]; then
        echo "| $name | | left out: no time |" >> "$SUMMARY"
        return
    fi
    timeout $((left < limit ? left : limit)) "$@" > "$OUT/$name.log" 2>&1
    status=$?
    echo "| $name | $((SECONDS - begun)) | $([ $status = 0 ] && echo done || echo "failed ($status), see $name.log") |" >> "$SUMMARY"
}

if ! ls "$MODEL"/*.safetensors > /dev/null 2>&1; then
    WEIGHTED=$SCRATCH/model
    cp -r "$MODEL" "$WEIGHTED"
    part random_weights 60 "$PYTHON" -c "
import sys, torch
from transformers import AutoConfig, AutoModelForCausalLM
torch.manual_seed(0)
AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(sys.argv[1])).save_pretrained(sys.argv[1])" "$WEIGHTED"
    MODEL=$WEIGHTED
fi

MFU="$PYTHON benchmarks/mfu.py"
LARGE="--shapes mistral-7b --lengths 2048 4096 8192 --compile"
SMALL="--shapes qwen3-0.6b smollm2-135m --lengths 4096 8192 --compile"
# while the tests run, a few layers of each shape fill the compiler's cache: what is timed then compiles in seconds
# shellcheck disable=SC2086
part warm_large 110 $MFU "$SCRATCH/large" $LARGE --layers 2 --checkpointing 0 1 1 --steps 1 --warmup 1 &
# shellcheck disable=SC2086
part warm_small 110 $MFU "$SCRATCH/small" $SMALL --layers 2 --steps 1 --warmup 1 &
PARALLEL=$("$PYTHON" -c "import xdist" 2> /dev/null && echo "-n 6")
# shellcheck disable=SC2086
part tests 150 "$PYTHON" -m pytest -q -m gpu tests/gpu -p no:cacheprovider $PARALLEL
wait
# layers that compute again: as many as an H200's 140 GiB ask for
# shellcheck disable=SC2086
part mfu_7b 130 $MFU "$OUT/mfu_7b" $LARGE --checkpointing 0 6 20 --rows 8 --steps 2 --warmup 1
# shellcheck disable=SC2086
part mfu_small 80 $MFU "$OUT/mfu_small" $SMALL --rows 4 --steps 3
OURS="model.path=$MODEL model.compile=true engine.dtype=bf16 batching.max_tokens=8192 launch.processes=1 trainer.batch_size=64"
# shellcheck disable=SC2086
part attention 45 "$PYTHON" benchmarks/tree_attention.py "$OUT/attention" --data "$TRAJECTORIES" --dtypes bf16 --rows 2 --repeats 3 \
    --set model.path=$MODEL batching.max_tokens=8192 trainer.batch_size=64
# shellcheck disable=SC2086
part phase2 200 "$PYTHON" benchmarks/train_speed.py "$OUT/phase2" --data "$TRAJECTORIES" --repeats 2 --steps 4 --warmup 3 --length 8192 \
    --sides lam_train "TRL padded, 8 by length, Liger, pure bf16" "TRL padded, 32 by length, Liger, pure bf16" \
    "TRL bfd, Liger, pure bf16" --set $OURS
# shellcheck disable=SC2086
part phase1 200 "$PYTHON" benchmarks/train_speed.py "$OUT/phase1" --recipe phase1_small --data "$PLANS" --repeats 2 --steps 4 --warmup 3 \
    --length 8192 --sides lam_train "TRL padded, 32 by length, Liger, pure bf16" "TRL bfd, Liger, pure bf16" --set $OURS
part head 40 "$PYTHON" benchmarks/head.py "$OUT/head" --targets 8192
for result in mfu_7b mfu_small attention phase2 phase1 head; do
    if [ -f "$OUT/$result/README.md" ]; then { echo; cat "$OUT/$result/README.md"; } >> "$SUMMARY"; fi
done
rm -rf "$OUT"/*/work "$OUT"/*/samples.jsonl
cat "$SUMMARY"
