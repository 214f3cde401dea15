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
        template = self.tokenizer.chat_template
        self.template = (template.get("default") if isinstance(template, dict) else template) or PLAIN_TEMPLATE
        self._special = sorted(
            {
                token.content
                for token in self.tokenizer.added_tokens_decoder.values()
                if token.content.strip() and (token.special or self._marks_turns(token.content))
            },
            key=len,
            reverse=True,
        )
        self.takes_system = self._probe_system()
        self.bos_id = self._probe_bos()
        self.end_of_turn_id = self._probe_end_of_turn()

    def _marks_turns(self, added: str) -> bool:
        """Whether the template writes this added token, which the tokenizer does not call special, as a marker."""
        return added in self.template and not added.isalnum()

    def _probe_system(self) -> bool:
        messages = [{"role": "system", "content": "PROBE-S"}, {"role": "user", "content": "PROBE-U"}]
        try:
            return "PROBE-S" in self._render(messages, True)
        except Exception:  # a template refuses a role by raising whatever error it likes
            return False

    def _probe_bos(self) -> int | None:
        """The token that starts a sequence: the tokenizer adds it itself, or the template writes it exactly once.

        SmolLM2's bos_token is none: its tokenizer does not add it, and every turn opens with it. Llama 2's is one
        although its template repeats it before every user turn.
        """
        bos = self.tokenizer.bos_token_id
        if bos is None or list(self.tokenizer("x")["input_ids"])[:1] == [bos]:
            return bos
        turns = [{"role": r, "content": "x"} for r in ("user", "assistant", "user")]
        return bos if self._encode(self._text(turns)).count(bos) == 1 else None

    def _probe_end_of_turn(self) -> int:
        messages = [{"role": "user", "content": "PROBE-U"}, {"role": "assistant", "content": "PROBE-A"}]
        rest = self._text(messages, False).rpartition("PROBE-A")[2]
        added = self.tokenizer.added_tokens_decoder
        return next((i for i in self._encode(rest) if i in added), self.tokenizer.eos_token_id)

    def _render(self, messages: Messages, generation: bool) -> str:
        return self.tokenizer.apply_chat_template(
            messages, chat_template=self.template, tokenize=False, add_generation_prompt=generation
        )

    def _encode(self, text: str) -> list[int]:
        return self._ids(text, split_special_tokens=False) if text else []

    def _encode_plain(self, text: str) -> list[int]:
        """Ids of text that spells no special token, whatever it looks like."""
        return self._ids(text, split_special_tokens=True) if text else []

    def _ids(self, text: str, split_special_tokens: bool) -> list[int]:
        try:
            # Always said: a fast tokenizer remembers how it was called last.
            ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=split_special_tokens)["input_ids"]
        except TypeError:
            raise UserError("a text holds half of a surrogate pair (\\ud800 to \\udfff): it is not Unicode") from None
        return list(ids)

    def answer_tokens(self, answer: str) -> list[int]:
        """The answer's ids and the end-of-turn id. Special-token text inside an answer stays text."""
        return [*self._encode_plain(answer), self.end_of_turn_id]

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

    def _text(self, messages: Messages, generation: bool = True) -> str:
        try:
            return self._render(messages, generation)
        except Exception as error:  # the template's own complaint, e.g. about the order of the roles
            roles = ", ".join(str(m["role"]) for m in messages)
            raise UserError(f"the chat template refuses the roles {roles}: {error}") from None

    def prompt_tokens(self, messages: Messages) -> list[int]:
        """The ids a model is shown before it answers: exactly one BOS where the format has one.

        Earlier answers keep the ids that were learned: the prompt is the beginning of the training sample, id for id.
        """
        return np.concatenate([segment.tokens for segment in self._prompt(messages)]).tolist()

    def _with_bos(self, ids: list[int]) -> list[int]:
        if self.bos_id is None:
            return ids
        while ids[:1] == [self.bos_id]:
            ids = ids[1:]
        return [self.bos_id, *ids]

    def sample(
        self, messages: Messages, id: str, task: str = "", trajectory: str = "", learned_from: int = 0
    ) -> Sample:
        """A sample of a conversation that ends with an assistant message.

        Every assistant message from index `learned_from` on is a target. Earlier answers stay in place where the
        template renders the history as a continuation; where it rewrites the history (some templates drop earlier
        reasoning), only the last answer is a target.
        """
        if not messages or messages[-1]["role"] != "assistant":
            raise UserError(f"{id}: the last message must be the assistant's answer")
        segments = [*self._prompt(messages[:-1], learned_from), self._learned(messages[-1]["content"])]
        return Sample(id, tuple(segments), task, trajectory)

    def _prompt(self, messages: Messages, learned_from: int = 0) -> list[Segment]:
        """What stands before the next answer; earlier answers are segments of their own, learned or read."""
        segments = self._continued(messages, learned_from)
        if segments is None:
            segments = [self._read(self._with_bos(self._encode(self._text(self.prepared(messages)))))]
        return segments

    def _continued(self, messages: Messages, learned_from: int) -> list[Segment] | None:
        """The segments around the earlier answers, or None where there are none or the history is rewritten."""
        turns = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
        if not turns:
            return None
        end = self.tokenizer.convert_ids_to_tokens(self.end_of_turn_id)
        text = self._text(self.prepared(messages[: turns[0]]))
        segments = [self._read(self._with_bos(self._encode(text)))]
        for this, following in zip(turns, [*turns[1:], len(messages)], strict=True):
            answer = messages[this]["content"]
            done = text + self.neutral(answer) + end
            text = self._text(self.prepared(messages[:following]))
            if not text.startswith(done):
                return None
            segments.append(self._learned(answer, 1.0 if this >= learned_from else 0.0))
            segments.append(self._read(self._encode(text[len(done) :])))
        return segments

    def completion(self, prompt: str, completion: str, id: str) -> Sample:
        """A plain prompt and its completion, without a chat template (TRL's standard prompt-completion format).

        As in TRL, both are tokenized as one text, so that a word keeps its own token across the seam, and an
        end-of-sequence spelling that ends the completion is the end of sequence.
        """
        completion = completion.removesuffix(self.tokenizer.eos_token)
        read, whole = self._encode(prompt), self._encode(prompt + completion)
        seamless = whole[: len(read)] == read and self.neutral(completion) == completion
        ids = whole[len(read) :] if seamless else self._encode_plain(completion)
        target = Segment(np.asarray([*ids, self.tokenizer.eos_token_id], np.int32), 1.0)
        begun = self._with_bos(read)
        if not begun:
            raise UserError(f"{id}: the prompt is empty, and this tokenizer puts no token before it to learn from")
        return Sample(id, (self._read(begun), target), id, id)

    def _read(self, ids: list[int]) -> Segment:
        return Segment(np.asarray(ids, np.int32))

    def _learned(self, answer: str, weight: float = 1.0) -> Segment:
        return Segment(np.asarray(self.answer_tokens(answer), np.int32), weight)
