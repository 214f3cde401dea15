"""A conversation as token spans: the model's own chat template, our own targets.

The template is used as text only. What is a target never comes from a template's mask: the answer and the
end-of-turn token are spans that we cut ourselves, so a template without `{% generation %}` marks, a pad token
equal to the end-of-turn token or a trailing newline cannot move them.

A tokenizer without a chat template gets the plain format:

    System:\\n{text}\\n\\nUser:\\n{text}\\n\\nAssistant:\\n{answer}<end of sequence>
"""

from dataclasses import dataclass, field

import numpy as np

from lam_train.errors import UserError
from lam_train.language.sample import Sample, Segment

Messages = list[dict[str, str]]

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}:\n{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:\n{% endif %}"
)


@dataclass
class Language:
    """How one tokenizer writes conversations. `tokenizer` is a Hugging Face tokenizer, fast or slow."""

    tokenizer: object
    bos_id: int | None = field(init=False)  # put once in front of every sample; None: the format has none
    end_of_turn_id: int = field(init=False)
    takes_system: bool = field(init=False)

    def __post_init__(self) -> None:
        if getattr(self.tokenizer, "eos_token_id", None) is None:
            raise UserError("the tokenizer has no end-of-sequence token; set eos_token in its tokenizer_config.json")
        self.template = self.tokenizer.chat_template or PLAIN_TEMPLATE
        self._special = sorted(
            {t.content for t in self.tokenizer.added_tokens_decoder.values() if t.special and t.content.strip()},
            key=len,
            reverse=True,
        )
        self.takes_system = self._probe_system()
        self.bos_id = self._probe_bos()
        self.end_of_turn_id = self._probe_end_of_turn()

    def _probe_system(self) -> bool:
        messages = [{"role": "system", "content": "PROBE-S"}, {"role": "user", "content": "PROBE-U"}]
        try:
            return "PROBE-S" in self._render(messages, True)
        except Exception:  # a template refuses a role by raising whatever error it likes
            return False

    def _probe_bos(self) -> int | None:
        """The token that starts a sequence, and nothing else (SmolLM2's bos_token opens every turn: not one)."""
        bos = self.tokenizer.bos_token_id
        if bos is None:
            return None
        turns = [{"role": r, "content": "x"} for r in ("user", "assistant", "user")]
        in_template = self._encode(self._render(turns, True)).count(bos)
        if in_template > 1:
            return None
        adds = list(self.tokenizer("x")["input_ids"])[:1] == [bos]
        return bos if in_template or adds else None

    def _probe_end_of_turn(self) -> int:
        messages = [{"role": "user", "content": "PROBE-U"}, {"role": "assistant", "content": "PROBE-A"}]
        rest = self._render(messages, False).rpartition("PROBE-A")[2]
        ids = self._encode(rest)
        if ids and ids[0] in self.tokenizer.all_special_ids:
            return ids[0]
        return self.tokenizer.eos_token_id

    def _render(self, messages: Messages, generation: bool) -> str:
        return self.tokenizer.apply_chat_template(
            messages, chat_template=self.template, tokenize=False, add_generation_prompt=generation
        )

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def answer_tokens(self, answer: str) -> list[int]:
        """The answer's ids and the end-of-turn id. Special-token text inside an answer stays text."""
        ids = self.tokenizer(answer, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [*ids, self.end_of_turn_id]

    def neutral(self, text: str) -> str:
        """`text` with special-token spellings broken by a space: data from outside cannot open or close a turn."""
        for special in self._special:
            text = text.replace(special, f"{special[0]} {special[1:]}")
        return text

    def prepared(self, messages: Messages) -> Messages:
        """Neutral contents; a system message merged into the first user message where the template has no such role."""
        safe = [{"role": m["role"], "content": self.neutral(m["content"])} for m in messages]
        if not self.takes_system and len(safe) > 1 and safe[0]["role"] == "system" and safe[1]["role"] == "user":
            merged = {"role": "user", "content": f"{safe[0]['content']}\n\n{safe[1]['content']}"}
            safe = [merged, *safe[2:]]
        return safe

    def _prompt_text(self, messages: Messages) -> str:
        try:
            return self._render(messages, True)
        except Exception as error:  # the template's own complaint, e.g. about the order of the roles
            roles = ", ".join(m["role"] for m in messages)
            raise UserError(f"the chat template refuses the roles {roles}: {error}") from None

    def prompt_tokens(self, messages: Messages) -> list[int]:
        """The ids a model is shown before it answers: exactly one BOS where the format has one."""
        return self._with_bos(self._encode(self._prompt_text(self.prepared(messages))))

    def _with_bos(self, ids: list[int]) -> list[int]:
        if self.bos_id is None:
            return ids
        while ids[:1] == [self.bos_id]:
            ids = ids[1:]
        return [self.bos_id, *ids]

    def sample(self, messages: Messages, id: str, task: str = "", trajectory: str = "") -> Sample:
        """A sample of a conversation that ends with an assistant message; every assistant message is a target.

        Earlier answers stay in place where the template renders the history as a continuation; where it
        rewrites the history (some templates drop earlier reasoning), only the last answer is a target.
        """
        if not messages or messages[-1]["role"] != "assistant":
            raise UserError(f"{id}: the last message must be the assistant's answer")
        head = self._prompt_of(messages, len(messages) - 1)
        segments = [self._read(self._with_bos(self._encode(head)))]
        turns = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
        continued = self._continued(messages, turns)
        if continued is not None:
            segments = continued
        segments.append(self._learned(messages[-1]["content"]))
        return Sample(id, tuple(segments), task, trajectory)

    def _prompt_of(self, messages: Messages, turn: int) -> str:
        return self._prompt_text(self.prepared(messages[:turn]))

    def _continued(self, messages: Messages, turns: list[int]) -> list[Segment] | None:
        """The segments before the last answer with earlier answers as targets, or None where history is rewritten."""
        if len(turns) < 2:
            return None
        end = self.tokenizer.convert_ids_to_tokens(self.end_of_turn_id)
        text = self._prompt_of(messages, turns[0])
        segments = [self._read(self._with_bos(self._encode(text)))]
        for this, following in zip(turns, turns[1:], strict=False):
            done = text + messages[this]["content"] + end
            after = self._prompt_of(messages, following)
            if self.neutral(messages[this]["content"]) != messages[this]["content"] or not after.startswith(done):
                return None
            segments.append(self._learned(messages[this]["content"]))
            segments.append(self._read(self._encode(after[len(done) :])))
            text = after
        return segments

    def completion(self, prompt: str, completion: str, id: str) -> Sample:
        """A plain prompt and its completion, without a chat template (TRL's standard prompt-completion format)."""
        read = self._read(self._with_bos(self._encode(prompt)))
        ids = self.tokenizer(completion, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        end = self.tokenizer.eos_token_id
        return Sample(id, (read, Segment(np.asarray([*ids, end], np.int32), 1.0)), id, id)

    def _read(self, ids: list[int]) -> Segment:
        return Segment(np.asarray(ids, np.int32))

    def _learned(self, answer: str) -> Segment:
        return Segment(np.asarray(self.answer_tokens(answer), np.int32), 1.0)
