"""What a training would cost on a cluster: compute, ZeRO's traffic and memory of a step, before it is rented.

A model of costs, not a measurement: docs/scaling.md says what of it was checked, and what is assumed.
"""

import re
from dataclasses import dataclass

from lam_train.errors import UserError
from lam_train.train.engine import EngineSettings, effective_stage
from lam_train.train.flops import PEAK_BF16, ModelShape

ASSUMED_MFU = 0.40  # of the dense bf16 peak, without recomputation; published 7B to 8B trainings reach 0.39 to 0.46
ASSUMED_BANDWIDTH = 0.8  # of what the links can carry
RECOMPUTATION = 1 / 3  # of the FLOPs, more, with gradient checkpointing of all layers: one more forward pass


@dataclass(frozen=True)
class Gpu:
    """What data sheets say, and of memory what CUDA leaves. Bandwidths in bytes/s, one direction, a GPU."""

    peak: float  # dense bf16 FLOP/s
    peak_fp32: float  # FLOP/s, without TF32, as PyTorch multiplies unless it is told otherwise
    memory_gib: float
    link: float  # to the GPUs of its node
    network: float  # to other nodes: one 200 or 400 Gbit/s adapter a GPU


GPUS = {
    "A100": Gpu(PEAK_BF16["A100"], 19.5e12, 79, 300e9, 25e9),
    "H100": Gpu(PEAK_BF16["H100"], 67e12, 79, 450e9, 50e9),
    "H200": Gpu(PEAK_BF16["H200"], 67e12, 139.8, 450e9, 50e9),
    "B200": Gpu(PEAK_BF16["B200"], 80e12, 179, 900e9, 50e9),
}
GPUS_A_NODE = 8


@dataclass(frozen=True)
class Cluster:
    """`count` GPUs of one kind, eight a node."""

    name: str
    count: int

    @classmethod
    def parse(cls, text: str) -> "Cluster":
        """Of `64xH100`; raises UserError for anything else."""
        found = re.fullmatch(r"([1-9]\d*)x(\w+)", text)
        if found is None or found[2] not in GPUS:
            raise UserError(f"engine.plan_for={text}: say how many of what, as in 64xH100; known: {', '.join(GPUS)}")
        count = int(found[1])
        if count > GPUS_A_NODE and count % GPUS_A_NODE:
            raise UserError(f"engine.plan_for={text}: whole nodes of {GPUS_A_NODE} GPUs, or fewer than one")
        return cls(found[2], count)

    @property
    def gpu(self) -> Gpu:
        return GPUS[self.name]

    @property
    def bandwidth(self) -> float:
        """bytes/s that a GPU sends in a ring over all of them."""
        return self.bandwidth_among(self.count)

    def bandwidth_among(self, gpus: int) -> float:
        """bytes/s that a GPU sends in a ring over so many neighbours: the slowest edge, as it is used."""
        return ASSUMED_BANDWIDTH * (self.gpu.link if gpus <= GPUS_A_NODE else self.gpu.network)


@dataclass(frozen=True)
class Step:
    """What a rank computes in an optimizer step."""

    flops: float  # without recomputation
    dtype: str
    recomputed: float  # share of the layers with gradient checkpointing


def traffic(engine: EngineSettings, parameters: int, trained: int, micro_batches: float, ranks: int) -> float:
    """Bytes that each rank sends in a step, in ring collectives (Rajbhandari et al., 2020, section 7).

    With S the bytes of a tensor over n ranks, an all-gather or a reduce-scatter sends S (n-1)/n, an all-reduce twice
    that. As DeepSpeed calls them here, counted in tests/invariant/test_traffic.py: stages 0 and 1 all-reduce the
    gradients once a step, stage 2 once a micro-batch, stage 3 reduce-scatters them once a micro-batch; stages 1 and 2
    gather the new weights once a step, stage 3 all weights twice a micro-batch, forward and backward (of models above a
    billion parameters; smaller ones are kept in between). Gradients travel in the training's dtype, at stage 1, where
    they have added up before, in fp32. bf16 at stage 0 runs as stage 1.
    """
    stage = effective_stage(engine)
    size = 2 if engine.dtype == "bf16" else 4
    gradients, weights, updated = trained * (4 if stage == 1 else size), parameters * size, trained * size
    whole = {
        0: 2 * gradients,
        1: 2 * gradients + updated,
        2: 2 * gradients * micro_batches + updated,
        3: (gradients + 2 * weights) * micro_batches,
    }[stage]
    return whole * (ranks - 1) / ranks


def exchanged(engine: EngineSettings, shape: ModelShape, tokens: int, targets: int, recomputed: float) -> float:
    """Bytes that each rank sends of a row that it shares with others; 0 where each has its own.

    An all-to-all of S bytes a rank sends S (n-1)/n of them. Each layer has four, of queries, keys, values and outputs,
    in the forward pass, in the backward pass, and in that of checkpointed layers again; the hidden states at the
    sources of targets travel forth and back. Where there are fewer key-value heads than ranks, each goes to several.
    """
    ranks, size = engine.sequence_parallel, 2 if engine.dtype == "bf16" else 4
    key_values = max(shape.key_value_heads, ranks) * shape.head_size
    layers = tokens / ranks * 2 * (shape.width + key_values) * shape.layers * (2 + recomputed)
    return (layers + 2 * targets * shape.hidden) * size * (ranks - 1) / ranks


@dataclass(frozen=True)
class Cost:
    """Seconds of a step; nothing overlaps (`overlap_comm` is off)."""

    compute: float
    network: float

    @property
    def seconds(self) -> float:
        return self.compute + self.network


def cost(cluster: Cluster, step: Step, sent: float, to_neighbours: float = 0.0, neighbours: int = 1) -> Cost:
    """Of a step in which the rank sends so many bytes around the whole cluster, and so many to its neighbours."""
    flops = step.flops * (1 + step.recomputed * RECOMPUTATION)
    peak = cluster.gpu.peak if step.dtype == "bf16" else cluster.gpu.peak_fp32
    network = sent / cluster.bandwidth if cluster.count > 1 else 0.0
    if neighbours > 1:
        network += to_neighbours / cluster.bandwidth_among(neighbours)
    return Cost(flops / (peak * ASSUMED_MFU), network)
