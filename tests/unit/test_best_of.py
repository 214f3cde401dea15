"""Best of K: the answer that the reward model scores highest, and readable before unreadable."""

import pytest
import torch

from lam_train.agent.best_of import BestOf
from lam_train.agent.local_policy import LocalPolicy
from lam_train.agent.open_policy import open_policy
from lam_train.agent.policy import Decision
from lam_train.agent.policy_settings import LocalPolicySettings, PolicySettings
from lam_train.language.step_format import StepFormat
from lam_train.model.load import ModelSettings, load_model
from lam_train.model.reward import RewardModel
from lam_train.records import Action
from tests.hand_made import trajectory

STATES = [next(iter(trajectory(number).states())) for number in range(2)]


@pytest.fixture
def judge() -> RewardModel:
    made = RewardModel(load_model(ModelSettings(source="tiny"))).eval()
    torch.manual_seed(1)
    torch.nn.init.normal_(made.head.weight)
    return made


@pytest.fixture
def policy(tiny) -> LocalPolicy:
    settings = LocalPolicySettings(dtype="fp32", max_new_tokens=6, temperature=1.0)
    return LocalPolicy(load_model(ModelSettings(source="tiny")), tiny, StepFormat(kind="compact"), settings)


def alone(judge: RewardModel, decision: Decision) -> float:
    """The score of one answer by itself, without a pack of ours."""
    tokens = torch.tensor([[*decision.prompt_tokens, *decision.answer_tokens]])
    with torch.no_grad():
        hidden = judge.causal.base_model(input_ids=tokens, use_cache=False).last_hidden_state[0, -2]
        return judge.head(hidden).item()


class Given:
    """A policy that gives these decisions, whatever it is asked."""

    name = "given"

    def __init__(self, decisions) -> None:
        self.decisions = decisions

    def decide(self, states):
        assert len(states) == len(self.decisions)
        return self.decisions


def test_the_highest_score_is_chosen_as_if_each_was_scored_alone(policy, judge):
    answers = policy.decide([state for state in STATES for _ in range(4)])
    best = BestOf(Given(answers), judge, 4, "cpu")
    scores = best.scores(answers)
    assert scores == pytest.approx([alone(judge, decision) for decision in answers], abs=1e-4)
    chosen = best.decide(STATES)
    for place, decision in enumerate(chosen):
        group = scores[4 * place : 4 * place + 4]
        assert decision.answer_tokens == answers[4 * place + group.index(max(group))].answer_tokens
    assert len({tuple(decision.answer_tokens) for decision in answers}) > 2


def test_a_readable_answer_goes_before_what_scores_higher(policy, judge):
    answers = policy.decide([STATES[0]] * 3)
    scores = BestOf(Given(answers), judge, 3, "cpu").scores(answers)
    worst = scores.index(min(scores))
    answers[worst] = answers[worst].model_copy(update={"action": Action(status="FINISH"), "problem": ""})
    (chosen,) = BestOf(Given(answers), judge, 3, "cpu").decide(STATES[:1])
    assert chosen.action == Action(status="FINISH")
    nothing = [Decision(action=None, problem="bad format: no answer")] * 2
    assert BestOf(Given(nothing), judge, 2, "cpu").decide(STATES[:1])[0].action is None


def test_it_is_opened_by_its_settings(tmp_path, judge):
    judge.causal.save_pretrained(tmp_path / "reward")
    for name, text in judge.beside().items():
        (tmp_path / "reward" / name).write_text(text)
    local = {"temperature": 1.0, "max_new_tokens": 2}
    settings = PolicySettings(best_of=2, reward_model=str(tmp_path / "reward"), local=local)
    opened = open_policy(settings, ModelSettings(source="tiny"), StepFormat(kind="compact"), "writer")
    assert opened.name == "tiny-best-of-2" and len(opened.decide(STATES)) == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"best_of": 2, "local": {"temperature": 1.0}}, "needs kind=local and a reward_model"),
        ({"best_of": 2, "reward_model": "x"}, "temperature above 0"),
    ],
)
def test_what_cannot_work_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        PolicySettings(**settings)
