"""The objectives as the trainer calls them: between forward and backward pass none may wait for the device."""

from dataclasses import fields, replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lam_train.batching.pack import Pack
from lam_train.objectives.imitation import imitation
from lam_train.objectives.reward import RewardObjective
from lam_train.train.trainer import Objective
from tests.unit.test_ppo import POLICY, objective, pack_of

NAMES = ("t/1", "u/0", "t/0")


def cases() -> dict[str, tuple[Objective, torch.Tensor]]:
    """Each objective and what the model gives it for `pack_of(*NAMES)`."""
    policy = torch.cat([POLICY[name] for name in NAMES], 1)
    return {
        "imitation": (imitation, policy[0]),
        "reward": (RewardObjective({name: 1.0 for name in NAMES}), policy[1]),
        "ppo, logged": (objective(), policy),
        "ppo, sampled": (objective(actions="sampled", ratio="token"), policy),
    }


@pytest.mark.parametrize("name", list(cases()))
def test_needs_no_number_from_the_device(name):
    """Tensors without numbers, from which none can be read: as where the device is still at work on them."""
    learn, outputs = cases()[name]
    pack = pack_of(*NAMES)
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        tensors = {f.name: getattr(pack, f.name) for f in fields(Pack) if torch.is_tensor(getattr(pack, f.name))}
        unread = replace(pack, **{key: fake.from_tensor(tensor) for key, tensor in tensors.items()})
        learn(fake.from_tensor(outputs).requires_grad_(), unread).backward()
