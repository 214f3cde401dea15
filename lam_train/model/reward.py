"""The reward model: a causal language model's body and a scalar head, read at positions that the pack stores."""

import json
from pathlib import Path

import torch

from lam_train.batching.pack import Pack
from lam_train.errors import UserError
from lam_train.model.head import states_at_sources
from lam_train.model.load import ModelSettings, load_model
from lam_train.model.scalar_head import ScalarHead
from lam_train.model.sequence_parallel import RowModel

HEAD_FILE = "reward_head.json"


class RewardModel(RowModel):
    """Scores actions. The head starts at zero: before training every score is 0, the middle of the labels."""

    def __init__(self, causal: torch.nn.Module) -> None:
        super().__init__(causal)
        self.head = ScalarHead(causal.config.hidden_size, causal.dtype)

    def forward(self, pack: Pack) -> torch.Tensor:
        """float32 [N]: the score at the source of each target; with samples of `JudgedSteps` one an action."""
        self.check(pack)
        return self.whole(self.head(states_at_sources(self.causal, pack, self.shared)), pack)

    def beside(self) -> dict[str, str]:
        """The head as JSON, for the exported body's folder; file name -> text."""
        weight, bias = self.head.weight.detach().float(), self.head.bias.detach().float()
        return {HEAD_FILE: json.dumps({"weight": weight[0].tolist(), "bias": bias.item()}) + "\n"}

    @classmethod
    def load(cls, folder: str, dtype: torch.dtype = torch.float32) -> "RewardModel":
        """The reward model that a phase-4a run left in `folder`; raises UserError where there is none."""
        file = Path(folder).expanduser() / HEAD_FILE
        if not file.is_file():
            raise UserError(f"{folder}: no {HEAD_FILE} there, so it is no reward model; make one with +recipe=phase4a")
        model = cls(load_model(ModelSettings(path=folder), dtype))
        head = json.loads(file.read_text(encoding="utf-8"))
        with torch.no_grad():
            model.head.weight.copy_(torch.tensor([head["weight"]]))
            model.head.bias.fill_(head["bias"])
        return model
