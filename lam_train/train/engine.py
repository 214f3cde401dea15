"""The DeepSpeed engine: its configuration, every setting that changes learning written out."""

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt

from lam_train.dtype import Dtype
from lam_train.errors import UserError
from lam_train.model.sequence_parallel import RowModel, check_shareable
from lam_train.settings import Settings
from lam_train.train.allocator import large_blocks_on_their_own
from lam_train.train.collector import collected_when_asked
from lam_train.train.distributed import World, leader_does, sequence_group


class EngineSettings(Settings):
    """How weights, gradients and optimizer state are held and spread over the ranks."""

    zero_stage: Annotated[int, Field(ge=0, le=3)] = 0
    """what is sharded: 0 nothing, 1 optimizer state, 2 also gradients, 3 also weights"""
    dtype: Dtype = "fp32"
    """of weights and activations; with bf16 the optimizer keeps fp32 master weights and gradients add up in fp32;
    `auto`: bf16 where the GPU or CPU multiplies it, else fp32"""
    offload: Literal["none", "cpu"] = "none"
    """`cpu`: optimizer state (stage 2) and weights (stage 3) in main memory"""
    sequence_parallel: PositiveInt = 1
    """ranks that share each row (DeepSpeed's Ulysses), for rows too long for one GPU; divides the processes and the
    model's heads (docs/scaling.md)"""

    plan_for: str | None = None
    """with inspect=true: what a step would cost on a cluster, as 64xH100, for each stage (docs/scaling.md)"""

    def model_post_init(self, _context) -> None:
        if self.offload == "cpu" and self.zero_stage < 2:
            raise ValueError("offload=cpu needs zero_stage 2 or 3")


# Numbers that are exchanged, or stepped, at once: of DeepSpeed's own 500 million a rank holds copies.
BUCKET = 50_000_000
GATHERED = 1_000_000_000  # weights that a rank of stage 3 holds whole at most, beside its part; DeepSpeed's own number
_built: list = []  # engines since the last `release_engines`
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def plain_gradients(settings: EngineSettings) -> bool:
    """Whether the engine leaves whole fp32 gradients to us: DeepSpeed then gives no norm, and we clip."""
    return settings.zero_stage == 0 and settings.dtype == "fp32"


def effective_stage(settings: EngineSettings) -> int:
    """The stage that DeepSpeed is given: bf16 at stage 0 runs as stage 1.

    DeepSpeed's own stage 0 adds bf16 gradients up in bf16 and begins Adam's step count at 1.
    """
    return 1 if settings.dtype == "bf16" and settings.zero_stage == 0 else settings.zero_stage


def deepspeed_config(settings: EngineSettings, gradient_clipping: float) -> dict:
    """The configuration that DeepSpeed gets.

    `gradient_clipping` is always written: DeepSpeed clips at 1.0 where it is left out. Gradient accumulation is
    unmanaged: the trainer decides when a step is complete.
    """
    stage = effective_stage(settings)
    zero: dict = {"stage": stage, "overlap_comm": False, "contiguous_gradients": True}
    zero |= {"reduce_bucket_size": BUCKET, "sub_group_size": BUCKET}
    if stage == 3:
        zero |= {"stage3_max_live_parameters": GATHERED, "stage3_gather_16bit_weights_on_model_save": False}
    if settings.offload == "cpu":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
        if stage == 3:
            zero["offload_param"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    config: dict = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": 0.0 if plain_gradients(settings) else gradient_clipping,
        "zero_optimization": zero,
        "zero_force_ds_cpu_optimizer": False,  # torch's fused AdamW steps offloaded state: no compiler needed
        "zero_allow_untested_optimizer": False,
        "steps_per_print": None,
        "wall_clock_breakdown": False,
    }
    if settings.dtype == "bf16":
        # each gradient goes into the fp32 sum when it is made: else all of them are there twice at the end
        config["bf16"] = {"enabled": True, "immediate_grad_update": True}
        config["data_types"] = {"grad_accum_dtype": "fp32"}
        if stage == 1:  # else the fp32 sums are rounded to bf16 for the ranks' exchange, with one rank too
            config["communication_data_type"] = "fp32"
    return config


def load_deepspeed():
    """The package, which then knows the process group; that must exist."""
    os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")  # read at import
    import deepspeed

    deepspeed.utils.logger.setLevel(logging.WARNING)  # it writes a page of INFO lines a rank
    # DeepSpeed compiles a shared-memory all-reduce on CPUs at start (a minute, needs g++ and ninja). gloo serves.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend=torch.distributed.get_backend(), auto_mpi_discovery=False, verbose=False)
    return deepspeed


@contextlib.contextmanager
def parted_while_loaded(settings: EngineSettings) -> Iterator[None]:
    """For stage 3: a pretrained model that is loaded inside comes in the ranks' parts; none ever holds the whole.

    Rank 0 alone reads the weights, and gives each rank its part of one tensor after the other. Collective.
    """
    load_deepspeed()
    from transformers.integrations import deepspeed as integration

    asked = integration.HfDeepSpeedConfig(deepspeed_config(settings, gradient_clipping=0.0))  # while it lives
    try:
        with large_blocks_on_their_own():
            yield
    finally:
        del asked


def share_rows(model: RowModel, world: World) -> RowModel:
    """`model`, whose rows are shared from now on where the world says so; then collective."""
    if world.sequence_parallel > 1:
        leader_does(lambda: check_shareable(model.causal.config, world.sequence_parallel))
        load_deepspeed()
        model.share_rows(sequence_group(world))
    return model


def build_engine(model: torch.nn.Module, settings: EngineSettings, *, lr: float, betas, eps, weight_decay, clipping):
    """A DeepSpeed engine around `model`, with torch's fused AdamW; the process group must exist."""
    deepspeed = load_deepspeed()
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise UserError("no parameter of the model is trainable; is model.lora.target_modules right?")
    for parameter in model.parameters():  # DeepSpeed leaves adapters and heads as they are where weights came in parts
        parameter.data = parameter.data.to(DTYPES[settings.dtype])
    optimizer = torch.optim.AdamW(trained, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)
    # its bf16 optimizer prints memory figures, and collects garbage before each
    with contextlib.redirect_stdout(io.StringIO()), collected_when_asked():
        engine, *_ = deepspeed.initialize(
            model=model,
            optimizer=optimizer,
            config=deepspeed_config(settings, clipping),
            dist_init_required=False,
        )
    if plain_gradients(settings) and torch.distributed.get_world_size() == 1:
        engine.enable_backward_allreduce = False  # it would copy all gradients, twice, to add them to nobody's
    _built.append(engine)
    return engine


def release_engines() -> None:
    """Lets go of what all engines hold that this process built; none of them can train on.

    DeepSpeed's hooks on the weights hold its optimizer, and it holds them, in circles that Python's collector cannot
    see: each training of a process would leave gigabytes to the next. At stage 3 a circle stays, with nothing in it.
    """
    while _built:
        engine = _built.pop()
        parameters, adam = list(engine.module.parameters()), adam_of(engine)
        engine.destroy()
        for one in (adam.state, adam.param_groups, vars(engine.optimizer)):
            one.clear()
        for parameter in parameters:
            vars(parameter).clear()  # at stage 3 its part of the weights hangs here


def adam_of(engine) -> torch.optim.AdamW:
    """The torch optimizer inside the engine, whatever DeepSpeed wrapped around it."""
    optimizer = engine.optimizer
    while not isinstance(optimizer, torch.optim.AdamW):
        optimizer = optimizer.optimizer
    return optimizer
