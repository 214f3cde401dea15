"""What the cost model says that ZeRO sends is what DeepSpeed's collectives carry, in a real world of two ranks."""

import json
import subprocess
import sys

import pytest

from lam_train.errors import UserError
from lam_train.model.load import ModelSettings, load_model
from lam_train.train.cluster import ASSUMED_BANDWIDTH, ASSUMED_MFU, Cluster, Step, cost, exchanged, traffic
from lam_train.train.engine import EngineSettings
from lam_train.train.flops import ModelShape
from tests.conftest import ROOT, base_overrides

RANKS = 2
TIMES = {"all_reduce": 2}  # a ring sends a tensor twice for it, once for the others


@pytest.fixture(scope="module")
def counted(plans, tmp_path_factory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("traffic")
    cases = {
        f"{stage} {dtype} {rows}": [
            *base_overrides(plans), f"run_dir={folder}/{stage}-{dtype}-{rows}", "trainer.max_steps=2",
            "trainer.batch_size=8", "checkpoint.every_steps=null", f"engine=zero{stage}", f"engine.dtype={dtype}",
            f"batching.micro_batch_size={8 // RANKS // rows}",
        ]
        for stage in range(4) for dtype in ("fp32", "bf16") for rows in (1, 2)
    }  # fmt: skip
    cases["3 fp32 2, head in chunks"] = [
        *cases["3 fp32 2"][:-1], f"batching.micro_batch_size={8 // RANKS // 2}", "model.logits_budget=100000",
        f"run_dir={folder}/chunks",
    ]  # fmt: skip
    cases |= {
        f"shared {dtype}{more}": [
            *cases[f"1 {dtype} 1"][:-1], "engine.sequence_parallel=2", f"run_dir={folder}/shared-{dtype}-{bool(more)}",
            f"model.gradient_checkpointing={int(bool(more)) * 3 or 'false'}",
        ]
        for dtype in ("fp32", "bf16") for more in ("", ", checkpointed")
    }  # fmt: skip
    (folder / "cases.json").write_text(json.dumps(cases))
    start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"]
    driver = [str(ROOT / "tests" / "traffic_driver.py"), str(folder / "cases.json"), str(folder / "found.json")]
    done = subprocess.run([sys.executable, *start, *driver], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("stage", range(4))
def test_traffic_is_what_collectives_carry(counted, stage, dtype, rows):
    found = counted[f"{stage} {dtype} {rows}"]
    assert found["micro_batches"] == rows
    parameters = found["parameters"]
    expected = traffic(EngineSettings(zero_stage=stage, dtype=dtype), parameters, parameters, rows, RANKS)
    sent = sum(TIMES.get(name, 1) * size for name, size in found["bytes"].items()) * (RANKS - 1) / RANKS
    assert sent == pytest.approx(expected, rel=0.02)  # norms, counts and the padding of flat buffers come on top


@pytest.mark.parametrize("more", ["", ", checkpointed"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_traffic_of_rows_that_ranks_share(counted, dtype, more):
    found = counted[f"shared {dtype}{more}"]
    engine = EngineSettings(zero_stage=1, dtype=dtype, sequence_parallel=RANKS)
    shape = ModelShape.of(load_model(ModelSettings(source="tiny")))
    padded = [(tokens + tokens % RANKS, targets + targets % RANKS) for tokens, targets in found["rows"]]
    again = 3 / shape.layers if more else 0.0
    expected = sum(exchanged(engine, shape, tokens, targets, again) for tokens, targets in padded)
    assert found["bytes"]["all_to_all_single"] * (RANKS - 1) / RANKS == pytest.approx(expected, rel=1e-9)


def test_a_head_in_chunks_is_gathered_no_more_often(counted):
    assert counted["3 fp32 2, head in chunks"]["bytes"] == counted["3 fp32 2"]["bytes"]


def test_the_recipe_of_a_step():
    """By hand: 4 H100 in a node, and 16 over two."""
    step = Step(flops=989e12, dtype="bf16", recomputed=0)
    assert cost(Cluster.parse("4xH100"), step, 450e9).compute == pytest.approx(1 / ASSUMED_MFU)
    assert cost(Cluster.parse("4xH100"), step, 450e9).network == pytest.approx(1 / ASSUMED_BANDWIDTH)
    assert cost(Cluster.parse("16xH100"), step, 450e9).network == pytest.approx(9 / ASSUMED_BANDWIDTH)
    assert cost(Cluster.parse("1xH100"), step, 450e9).network == 0
    near = cost(Cluster.parse("16xH100"), step, 50e9, to_neighbours=450e9, neighbours=8)
    assert near.network == pytest.approx(2 / ASSUMED_BANDWIDTH)
    again = Step(flops=989e12, dtype="fp32", recomputed=1)
    assert cost(Cluster.parse("4xH100"), again, 0).seconds == pytest.approx(989 / 67 * 4 / 3 / ASSUMED_MFU)


@pytest.mark.parametrize("text", ["64", "H100", "64xT4", "0xH100", "12xH100", "8 x H100"])
def test_what_is_no_cluster_is_refused(text):
    with pytest.raises(UserError, match="plan_for"):
        Cluster.parse(text)


def test_the_plan_is_printed(plans, capsys):
    from lam_train.phases.run import run
    from lam_train.recipe import compose_recipe

    overrides = [*base_overrides(plans), "inspect=true", "engine=zero2", "engine.plan_for=16xH200"]
    assert run(compose_recipe(overrides), overrides) == 0
    told = capsys.readouterr().out
    assert "16 rank(s)" in told and "on 16xH200" in told and "2 *" in told
    overrides[-1] = "engine.plan_for=64xH200"
    with pytest.raises(UserError, match="not divisible by 64"):
        run(compose_recipe(overrides), overrides)
    with pytest.raises(UserError, match="inspect=true"):
        run(compose_recipe([*base_overrides(plans), "engine.plan_for=16xH200"]), [])
