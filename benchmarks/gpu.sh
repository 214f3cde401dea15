#!/usr/bin/env bash
# All GPU tests and benchmarks within nine minutes, on a machine with one H200-class GPU and no network:
#
#     bash benchmarks/gpu.sh OUTPUT_FOLDER MODEL_FOLDER DATA_FOLDER [WHEELS_FOLDER]
#
# MODEL_FOLDER: SmolLM2's config.json and tokenizer; where it holds no weights, random ones of that shape are made.
# DATA_FOLDER: trajectories that +recipe=collect left (a few hundred are enough). WHEELS_FOLDER: what pip cannot fetch there,
# installed without dependencies. PYTHON (python3) has PyTorch with CUDA. Each part has its own time limit and log, a part that
# fails does not end the others, and SUMMARY.md says what each gave.
set -uo pipefail
OUT=$(mkdir -p "$1" && cd "$1" && pwd) MODEL=$(cd "$2" && pwd) DATA=$(cd "$3" && pwd) WHEELS=${4:-}
PYTHON=${PYTHON:-python3}
cd "$(dirname "$0")/.."
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
if [ -n "$WHEELS" ]; then "$PYTHON" -m pip install --no-index --no-deps -q "$WHEELS"/*.whl || exit 1; fi

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
    local name=$1 limit=$2 begun=$SECONDS status
    shift 2
    timeout "$limit" "$@" > "$OUT/$name.log" 2>&1
    status=$?
    echo "| $name | $((SECONDS - begun)) | $([ $status = 0 ] && echo done || echo "failed ($status), see $name.log") |" >> "$SUMMARY"
}

if ! ls "$MODEL"/*.safetensors > /dev/null 2>&1; then
    WEIGHTED=$OUT/model
    cp -r "$MODEL" "$WEIGHTED"
    part random_weights 60 "$PYTHON" -c "
import sys, torch
from transformers import AutoConfig, AutoModelForCausalLM
torch.manual_seed(0)
AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(sys.argv[1])).save_pretrained(sys.argv[1])" "$WEIGHTED"
    MODEL=$WEIGHTED
fi

OURS="model.path=$MODEL model.attention=flex engine.dtype=bf16 batching.max_tokens=8192 launch.processes=1"
part tests 150 "$PYTHON" -m pytest -q -m gpu tests/gpu
part mfu_7b 150 "$PYTHON" benchmarks/mfu.py "$OUT/mfu_7b" --shapes mistral-7b --lengths 4096 8192 --checkpointing --steps 3
SMALL="--shapes qwen3-0.6b smollm2-135m --lengths 4096 --steps 3"
# shellcheck disable=SC2086
part mfu_small 60 "$PYTHON" benchmarks/mfu.py "$OUT/mfu_small" $SMALL
# shellcheck disable=SC2086
part mfu_compiled 60 "$PYTHON" benchmarks/mfu.py "$OUT/mfu_compiled" $SMALL --compile
# shellcheck disable=SC2086
part train_speed 120 "$PYTHON" benchmarks/train_speed.py "$OUT/train_speed" --data "$DATA" --repeats 2 --steps 4 --length 8192 \
    --sides lam_train "TRL padded, 8 by length" "TRL bfd" --set $OURS
for result in mfu_7b mfu_small mfu_compiled train_speed; do
    if [ -f "$OUT/$result/README.md" ]; then { echo; cat "$OUT/$result/README.md"; } >> "$SUMMARY"; fi
done
rm -rf "$OUT/model" "$OUT"/*/work
cat "$SUMMARY"
