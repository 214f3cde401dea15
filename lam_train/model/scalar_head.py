"""One number from a hidden state: the reward model's score, the policy's value."""

import torch


class ScalarHead(torch.nn.Linear):
    """Maps [..., hidden] of any floating dtype to float32 [...]; starts at zero, the middle of labels and rewards.

    Its product is float32 whatever the weights are: bf16 rounds a score of 0.3 to steps of 0.002, and two answers to
    one state differ by little more.
    """

    def __init__(self, hidden_size: int, dtype: torch.dtype) -> None:
        super().__init__(hidden_size, 1, dtype=dtype)
        torch.nn.init.zeros_(self.weight)
        torch.nn.init.zeros_(self.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(hidden.float(), self.weight.float(), self.bias.float()).squeeze(-1)
