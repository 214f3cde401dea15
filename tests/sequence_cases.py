"""Models, rows and what is read from them, for the tests of rows that ranks share; made alike in each process."""

from dataclasses import dataclass, field

import torch

from lam_train.batching.layout import BatchingSettings
from lam_train.batching.loader import Loader
from lam_train.model.head import ChunkedHead
from lam_train.model.layers import checkpoint_layers
from lam_train.model.policy_value import PolicyValue
from lam_train.model.reward import RewardModel
from lam_train.model.sequence_parallel import RowModel
from lam_train.model.trainable import TrainableModel
from lam_train.model.tree_attention import FLEX, MODEL_TYPES, NAME, register
from tests.invariant.test_trees import FORESTS, VOCABULARY, samples_of


@dataclass(frozen=True)
class Case:
    """A model around a random causal one, and the forest that it reads."""

    kind: type[RowModel] = TrainableModel
    type: str = "llama"
    forest: str = "three levels"
    attention: str = NAME
    config: dict = field(default_factory=dict)
    checkpointed: bool = False


CASES = {
    **{type: Case(type=type) for type in MODEL_TYPES},
    **{forest: Case(forest=forest) for forest in FORESTS},
    "window": Case(type="mistral", config={"sliding_window": 16}),
    "one key-value head": Case(config={"num_key_value_heads": 1}),
    "checkpointed layers": Case(checkpointed=True),
    "policy and values": Case(kind=PolicyValue),
    "rewards": Case(kind=RewardModel),
    "flex": Case(attention=FLEX),
}


def made(case: Case) -> RowModel:
    """In float64, with random weights everywhere: a head of zeros would hide its gradients."""
    from transformers import AutoConfig, AutoModelForCausalLM

    register()
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": None}  # fmt: skip
    config = AutoConfig.for_model(case.type, **(sizes | case.config))
    torch.manual_seed(0)
    causal = AutoModelForCausalLM.from_config(config, attn_implementation=case.attention).double()
    causal.config.use_cache = False
    ChunkedHead.replace(causal, 2**20)
    checkpoint_layers(causal, case.checkpointed)
    model = case.kind(causal).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model.train()


def learned(model: RowModel, case: Case) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """(the outputs, the gradients of a loss in which each output of each target counts differently)."""
    samples = samples_of(case.forest)
    [pack] = Loader(samples, BatchingSettings(workers=0), batch_size=len(samples), steps=1, seed=0).dataset[0].packs
    if case.attention == FLEX:  # has no backward pass on a CPU
        with torch.no_grad():
            return model(pack), {}
    outputs = model(pack)
    count = torch.arange(1, outputs.numel() + 1, dtype=outputs.dtype).view_as(outputs)
    (outputs * count.cos()).sum().backward()
    return outputs.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
