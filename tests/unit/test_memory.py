"""The estimate of what a rank needs: by stage, and what of it is offloaded."""

import pytest
from transformers import MistralConfig

from lam_train.model.load import ModelSettings
from lam_train.train.engine import GATHERED, EngineSettings
from lam_train.train.memory import (
    ACTIVATIONS,
    GIB,
    IN_MAIN_MEMORY,
    count_parameters,
    estimate_memory,
    gib_while_judging,
)

MISTRAL = MistralConfig(vocab_size=32768, sliding_window=None)  # 7B
MODEL = ModelSettings(source="tiny", gradient_checkpointing=True)
PARAMETERS = count_parameters(MISTRAL)


def estimated(stage: int, ranks: int, offload: str = "none") -> dict[str, float]:
    engine = EngineSettings(zero_stage=stage, dtype="bf16", offload=offload)
    return {name: gib * GIB for name, gib in estimate_memory(MISTRAL, MODEL, engine, ranks, 4096).items()}


@pytest.mark.parametrize(("stage", "bytes_of_one"), [(0, 18 / 1), (1, 6 + 12 / 8), (2, 2 + 16 / 8), (3, 18 / 8)])
def test_each_stage_divides_what_it_parts(stage, bytes_of_one):
    found = estimated(stage, 8) if stage else estimated(0, 1)  # bf16 at stage 0 runs as stage 1
    gathered = 2 * GATHERED if stage == 3 else 0
    assert found["together"] - found[ACTIVATIONS] == pytest.approx(PARAMETERS * bytes_of_one + gathered)
    assert IN_MAIN_MEMORY not in found


@pytest.mark.parametrize(("stage", "here", "away"), [(2, 2 * PARAMETERS, 20), (3, 2 * GATHERED, 22)])
@pytest.mark.parametrize("ranks", [1, 8])
def test_what_is_offloaded_is_not_on_the_gpu(stage, ranks, here, away):
    found = estimated(stage, ranks, "cpu")
    assert found["together"] - found[ACTIVATIONS] == pytest.approx(here)
    assert found[IN_MAIN_MEMORY] == pytest.approx(away * PARAMETERS / ranks)


def test_one_rank_gathers_nothing():
    found = estimated(3, 1)
    assert found["weights"] == pytest.approx(2 * PARAMETERS)


@pytest.mark.parametrize("stage", [1, 3])
def test_another_model_is_whole_beside_the_states_while_it_judges(stage):
    parts = estimate_memory(MISTRAL, MODEL, EngineSettings(zero_stage=stage, dtype="bf16"), 8, 4096)
    judging = gib_while_judging(MISTRAL, EngineSettings(dtype="bf16"), parts)
    states = sum(parts[name] for name in ("weights", "gradients", "optimizer state"))
    assert judging * GIB == pytest.approx(states * GIB + 2 * PARAMETERS)
