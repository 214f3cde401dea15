"""The objectives as the trainer calls them: between forward and backward pass none may wait for the device."""

from dataclasses import fields, replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lam_train.batching.pack import Pack, padding_pack
from lam_train.objectives.imitation import imitation, imitation_loss
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


def test_imitation_is_the_weighted_sum_of_cross_entropies():
    torch.manual_seed(0)
    logits, targets, weights = torch.randn(6, 9), torch.arange(6), torch.tensor([1.0, 1.0, 0.5, 2.0, -1.0, 0.0])
    expected = (torch.nn.functional.cross_entropy(logits, targets, reduction="none") * weights).sum()
    found = imitation_loss(logits.log_softmax(-1)[torch.arange(6), targets], weights)
    torch.testing.assert_close(found, expected)
    one = torch.full((1,), -3.0, requires_grad=True)
    loss = imitation(one, padding_pack())  # which takes part in the backward pass, and counts for nothing
    loss.backward()
    assert loss.item() == 0 and one.grad.item() == 0
