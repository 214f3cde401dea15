#!/usr/bin/env bash
# All GPU tests and benchmarks, ended after nine minutes, on a machine with one H200-class GPU and no network:
#
#     bash benchmarks/gpu.sh OUTPUT_FOLDER MODEL_FOLDER TRAJECTORIES FAILURES PLANS [WHEELS_FOLDER]
#
# MODEL_FOLDER: SmolLM2's config.json and tokenizer; where it holds no weights, random ones of that shape are made.
# TRAJECTORIES, FAILURES, PLANS: what +recipe=collect, +recipe=explore and +recipe=collect_plans left (a few hundred are
# enough; PLANS is the train.jsonl). WHEELS_FOLDER: what pip cannot fetch there, installed without dependencies, beside
# what is there. PYTHON (python3) has PyTorch with CUDA. Each part has its own time limit and log, a part that fails does
# not end the others, and SUMMARY.md says what each gave. GPU_SECONDS (540) is the limit of all: what is left then is left
# out. PARTS picks. TURNS (1) of all sides where we are measured against TRL; five of one part are as much as fits.
# shellcheck disable=SC2086  # lists of settings are meant to be split
set -uo pipefail
if [ $# -lt 5 ] || [ $# -gt 6 ]; then
    sed -n '2,/^# shellcheck/{/^# shellcheck/!s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
for given in "${@:2}"; do
    if [ ! -e "$given" ]; then echo "$given: no such file or folder" >&2; exit 2; fi
done
mkdir -p "$1" || exit 2
OUT=$(realpath "$1") MODEL=$(realpath "$2") TRAJECTORIES=$(realpath "$3") FAILURES=$(realpath "$4") PLANS=$(realpath "$5")
WHEELS=${6:+$(realpath "$6")}
PYTHON=${PYTHON:-python3} GPU_SECONDS=${GPU_SECONDS:-540} TURNS=${TURNS:-1}
PARTS=${PARTS:-tests mfu_7b mfu_small head ppo phase2 phase1 decide attention}
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
cd "$(dirname "$0")/.."
export PYTHONPATH=$SCRATCH/site:$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
export PYTHONDONTWRITEBYTECODE=  # where a container sets it, each of the many programs would compile all it imports
if [ -n "$WHEELS" ]; then
    "$PYTHON" -m pip install --no-index --no-deps --no-compile -q --target "$SCRATCH/site" "$WHEELS"/*.whl || exit 1
fi

# One package that is missing would let every part fail, one after the other
VERSIONS=$("$PYTHON" -c '
import torch, transformers, trl, lam_train.agent.local_policy, lam_train.train.trainer
print("torch", torch.__version__, "transformers", transformers.__version__)') || {
    echo "$PYTHON lacks what is named above: put it into the WHEELS_FOLDER" >&2
    exit 1
}
SUMMARY=$OUT/SUMMARY.md
{
    echo "# On a GPU"
    echo
    echo "- $(date +%F), $(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader)"
    echo "- $VERSIONS"
    echo
    echo "| part | seconds | status |"
    echo "|---|---|---|"
} > "$SUMMARY"

part() { # NAME LIMIT_SECONDS COMMAND...
    local name=$1 limit=$2 begun=$SECONDS status left=$((GPU_SECONDS - SECONDS))
    shift 2
    case " $PARTS models ${PARTS/ppo/ppo answers} ${PARTS//mfu/ahead} " in *" $name "*) ;; *) return ;; esac
    if [ "$left" -lt 15 ]; then
        echo "| $name | | left out: no time |" >> "$SUMMARY"
        return
    fi
    timeout $((left < limit ? left : limit)) "$@" > "$OUT/$name.log" 2>&1
    status=$?
    echo "| $name | $((SECONDS - begun)) | $([ $status = 0 ] && echo done || echo "failed ($status), see $name.log") |" >> "$SUMMARY"
}

MFU="$PYTHON benchmarks/mfu.py"
OURS="model.path=$SCRATCH/model engine.dtype=bf16 batching.max_tokens=8192 launch.processes=1 model.compile=true"
PARALLEL=$("$PYTHON" -c "import xdist" 2> /dev/null && echo "-n 12")

# Nothing of this is timed, so it runs beside the tests: the model, and for ppo a reward model that has not learned and
# answers of the model itself; and layers as they are measured, whose kernels the measurement then finds.
prepare() {
    cp -r "$MODEL" "$SCRATCH/model"
    part models 90 "$PYTHON" -c "
import pathlib, shutil, sys, torch
from transformers import AutoConfig, AutoModelForCausalLM
from lam_train.model.reward import RewardModel
model, judge = map(pathlib.Path, sys.argv[1:])
torch.manual_seed(0)
if not list(model.glob('*.safetensors')):
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model)).save_pretrained(model)
shutil.copytree(model, judge)
for name, text in RewardModel(AutoModelForCausalLM.from_pretrained(model)).beside().items():
    (judge / name).write_text(text)" "$SCRATCH/model" "$SCRATCH/judge"
    part answers 150 "$PYTHON" -m lam_train +recipe=phase4b_small "data.train=[$TRAJECTORIES,$FAILURES]" $OURS trainer.batch_size=32 trainer.epochs=1 \
        ppo.actions=sampled ppo.states=32 ppo.answers=4 ppo.probe_states=0 "ppo.reward_model=$SCRATCH/judge" policy.local.max_new_tokens=40 policy.local.batch_size=64 \
        trainer.max_steps=1 checkpoint.every_steps=null export.at_end=false "run_dir=$SCRATCH/4b"
}
AHEAD="--compile --rows 1 --steps 1 --warmup 0"
prepare &
part ahead_7b 150 $MFU "$SCRATCH/ahead_7b" --shapes mistral-7b --layers 2 --lengths 8192 2048 4096 4096 --document 0 0 0 1024 --checkpointing 1 0 1 1 $AHEAD &
part ahead_small 150 $MFU "$SCRATCH/ahead_small" --shapes qwen3-0.6b smollm2-135m --layers 1 --lengths 8192 $AHEAD &
part tests "${TESTS_SECONDS:-150}" "$PYTHON" -m pytest -m gpu tests/gpu -p no:cacheprovider --durations=12 $PARALLEL
wait

# 65,536 tokens a step; layers that compute again: as many as an H200's 140 GiB ask for. The length that is also the
# model's width comes last: compiled first, the layers would hold for it alone
part mfu_7b 200 $MFU "$OUT/mfu_7b" --shapes mistral-7b --lengths 8192 2048 4096 4096 --document 0 0 0 1024 --compile --checkpointing 20 0 6 6 \
    --rows 8 32 16 16 --steps 2 --warmup 1
part mfu_small 150 $MFU "$OUT/mfu_small" --shapes qwen3-0.6b smollm2-135m --lengths 8192 --compile --rows 4 --steps 2 --warmup 1
part head 60 "$PYTHON" benchmarks/head.py "$OUT/head" --targets 8192
part ppo $((240 * TURNS)) "$PYTHON" benchmarks/ppo_speed.py "$OUT/ppo" --answers "$SCRATCH/4b/experience/answers-000.jsonl" --model "$SCRATCH/model" \
    --reward-model "$SCRATCH/judge" --data "$TRAJECTORIES,$FAILURES" --batch 32 --repeats "$TURNS" \
    --sides lam_train "TRL GRPO, 32, pure bf16" --set $OURS policy.local.max_new_tokens=40
part phase2 $((280 * TURNS)) "$PYTHON" benchmarks/train_speed.py "$OUT/phase2" --data "$TRAJECTORIES" --repeats "$TURNS" --steps 4 --warmup 3 --length 8192 --tolerance 1e-4 \
    --sides lam_train "TRL bfd, 4 rows of 2048, Liger, pure bf16" "TRL padded, 32 by length, Liger, DeepSpeed" --set $OURS trainer.batch_size=64
part phase1 $((280 * TURNS)) "$PYTHON" benchmarks/train_speed.py "$OUT/phase1" --recipe phase1_small --data "$PLANS" --repeats "$TURNS" --steps 4 --warmup 3 \
    --length 8192 --tolerance 1e-4 --sides lam_train "TRL bfd, Liger, pure bf16" --set $OURS trainer.batch_size=256
part decide 90 "$PYTHON" benchmarks/agent_decide.py "$TRAJECTORIES"/episodes-00000.jsonl "$OUT/decide" --model "$SCRATCH/model" --batches 32 --calls 4
part attention 60 "$PYTHON" benchmarks/tree_attention.py "$OUT/attention" --data "$TRAJECTORIES" --dtypes bf16 --rows 2 --repeats 3 \
    --set "model.path=$SCRATCH/model" batching.max_tokens=8192 trainer.batch_size=64
for result in mfu_7b mfu_small head ppo phase2 phase1 decide attention; do
    if [ -f "$OUT/$result/README.md" ]; then { echo; cat "$OUT/$result/README.md"; } >> "$SUMMARY"; fi
done
rm -rf "$OUT"/*/work "$OUT"/*/samples.jsonl
cat "$SUMMARY"
