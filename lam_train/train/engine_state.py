"""The engine's whole learning state by parameter name: fp32 weights, both moments, the step.

DeepSpeed's own checkpoints load only at the world size and ZeRO stage they were written with (universal ones
between some of them). Full tensors by name load at any: each rank takes its part of them.
"""

from collections.abc import Callable, Iterator

import torch

from lam_train.train.engine import adam_of

PARTS = ("weight", "exp_avg", "exp_avg_sq")
ReadTensor = Callable[[str, str], torch.Tensor]  # (parameter's name, part) -> the full fp32 tensor


def trained_parameters(engine) -> list[tuple[str, torch.nn.Parameter]]:
    """(name, parameter) of everything that is trained, in the module's order; tied weights once."""
    return [(name, p) for name, p in engine.module.named_parameters() if p.requires_grad]


def full_shape(parameter: torch.nn.Parameter) -> torch.Size:
    """The parameter's shape, also while ZeRO-3 holds only a part of it."""
    return getattr(parameter, "ds_shape", parameter.shape)


def read_state(engine, parts: tuple[str, ...] = PARTS) -> Iterator[tuple[str, str, torch.Tensor]]:
    """(name, part, full fp32 tensor) for every trained parameter; every rank must run through it all.

    Parameters that have not been stepped yet give moments of zero.
    """
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    start_adam_state(engine)
    adam = adam_of(engine)
    for name, parameter in trained_parameters(engine):
        sharded = hasattr(parameter, "ds_id") or hasattr(parameter, "_hp_mapping")
        for part in parts:
            if not sharded:
                tensor = parameter if part == "weight" else adam.state[parameter][part]
            elif part == "weight":
                tensor = safe_get_full_fp32_param(parameter)
            else:
                tensor = safe_get_full_optimizer_state(parameter, part)
            yield name, part, tensor.detach()


def adam_steps(engine) -> int:
    """How many updates the optimizer has made."""
    start_adam_state(engine)
    return int(next(iter(adam_of(engine).state.values()))["step"])


def stepped_tensors(engine) -> list[torch.Tensor]:
    """The tensors that the optimizer steps: parameters, or DeepSpeed's flat fp32 partitions of them."""
    flat = getattr(engine.optimizer, "fp32_partitioned_groups_flat", None)
    if flat is not None:  # stage 3 hands them to the optimizer only while it steps
        return list(flat)
    return [tensor for group in adam_of(engine).param_groups for tensor in group["params"]]


def start_adam_state(engine) -> None:
    """Gives every tensor the optimizer steps its state, as its first step would, so that state can be read or set."""
    adam = adam_of(engine)
    for tensor in stepped_tensors(engine):
        if not adam.state.get(tensor):
            on_device = adam.defaults["fused"] or adam.defaults["capturable"]
            adam.state[tensor] = {
                "step": torch.zeros((), dtype=torch.float32, device=tensor.device if on_device else "cpu"),
                "exp_avg": torch.zeros_like(tensor),
                "exp_avg_sq": torch.zeros_like(tensor),
            }
    link = getattr(engine.optimizer, "_lazy_init_hp_params_optimizer_state", None)
    if link is not None:  # stages 1 and 2 connect parameters to the state at their first step; this is that call
        link()


def write_state(engine, read: ReadTensor, steps: int) -> None:
    """Sets weights, moments and the step count from full tensors; the inverse of `read_state` at any stage and size."""
    start_adam_state(engine)
    adam = adam_of(engine)
    for name, parameter in trained_parameters(engine):
        if hasattr(parameter, "ds_id"):
            _write_stage3(engine, parameter, name, read)
        elif hasattr(parameter, "_hp_mapping"):
            _write_partitioned(adam, parameter, name, read)
        else:
            parameter.data.copy_(read(name, "weight"))
            for part in PARTS[1:]:
                adam.state[parameter][part].copy_(read(name, part))
    for state in adam.state.values():
        state["step"].fill_(steps)


def _write_partitioned(adam: torch.optim.AdamW, parameter, name: str, read: ReadTensor) -> None:
    """Stages 1 and 2: this rank may own a fragment of the parameter inside a flat fp32 tensor, or none of it."""
    weight = read(name, "weight")
    parameter.data.copy_(weight)
    owned = parameter._hp_mapping
    if owned is None:
        return
    source, target = owned.lp_fragment_address, owned.hp_fragment_address
    flat = adam.param_groups[owned.param_group_index]["params"][0]
    places = {"weight": flat.data} | {part: adam.state[flat][part] for part in PARTS[1:]}
    for part, place in places.items():
        full = weight if part == "weight" else read(name, part)
        fragment = full.flatten().narrow(0, source.start, source.numel)
        place.narrow(0, target.start, target.numel).copy_(fragment)


def _write_stage3(engine, parameter, name: str, read: ReadTensor) -> None:
    """Stage 3: this rank owns one equal slice of every parameter, the last one padded."""
    from deepspeed import zero
    from deepspeed.utils import safe_set_local_fp32_param, safe_set_local_optimizer_state

    slice_size = parameter.ds_tensor.ds_numel
    begin = slice_size * torch.distributed.get_rank()
    for part in PARTS:
        full = read(name, part).flatten()
        if part == "weight":
            with zero.GatheredParameters([parameter], modifier_rank=0):
                if torch.distributed.get_rank() == 0:
                    parameter.data.copy_(full.view(parameter.ds_shape))
        own = full[begin : begin + slice_size]  # of a file that is mapped: no more of it is read
        mine = torch.nn.functional.pad(own, (0, slice_size - own.numel()))
        if part == "weight":
            safe_set_local_fp32_param(parameter, mine)
        else:
            safe_set_local_optimizer_state(parameter, mine, part)
