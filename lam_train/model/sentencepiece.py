"""A fast tokenizer from a sentencepiece model, id for id.

transformers builds a tokenizer with wrong ids, without a word, from a folder that holds only `tokenizer.model`
(Mistral's). The merges sorted by sentencepiece score give the right one; both ways are checked on probe texts.
"""

import json
from pathlib import Path

from lam_train.errors import UserError

PROBES = (
    "Hello world, naïve 42 € ünïcode\n\n  two spaces",
    "1. Click **Insert** > Table...\n2. Type 12.5 into Width.",
    '{"thought": "open", "control_label": "37", "args": {"keys": "^c"}}',
    "日本語 🙂🙂 \t tab",
    " leading and trailing ",
)


def _read(path: Path):
    try:
        import sentencepiece
    except ImportError:
        raise UserError(f"{path}: reading a sentencepiece model needs: pip install sentencepiece") from None
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def check_against_sentencepiece(tokenizer, path: Path) -> None:
    """Raises UserError where the tokenizer's ids differ from the sentencepiece model's."""
    different = _difference(tokenizer, _read(path))
    if different:
        raise UserError(
            f"{path.parent}: the tokenizer that transformers loads gives other ids than tokenizer.model "
            f"({different}). Remove its tokenizer.json: lam_train then builds the right one from tokenizer.model."
        )


def _difference(tokenizer, pieces) -> str:
    """The first probe text whose ids differ, and how; empty where none does."""
    for text in PROBES:
        ours, theirs = list(tokenizer(text, add_special_tokens=False)["input_ids"]), pieces.encode(text)
        if ours != theirs:
            return f"{text!r}: {ours[:8]} against {theirs[:8]}"
    return ""


def fast_tokenizer_from_sentencepiece(path: Path, chat_template: str | None = None):
    """A PreTrainedTokenizerFast with the ids of the BPE sentencepiece model at `path`.

    What a tokenizer_config.json or an added_tokens.json beside it adds (the end-of-turn token of a fine-tuned
    model) is added too. Raises UserError where the ids differ from sentencepiece's.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = _read(path)
    config = _json_beside(path, "tokenizer_config.json")
    vocabulary = {pieces.id_to_piece(i): i for i in range(len(pieces))}
    bos, eos, unknown = (_piece(pieces, i) for i in (pieces.bos_id(), pieces.eos_id(), pieces.unk_id()))
    bpe = models.BPE(vocabulary, _merges(pieces, vocabulary), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    control = [i for i in range(len(pieces)) if pieces.is_control(i) or pieces.is_unknown(i)]
    tokenizer.add_special_tokens([AddedToken(pieces.id_to_piece(i), special=True, normalized=False) for i in control])
    for index, content, special in _added_tokens(path, config, len(pieces)):
        tokenizer.add_tokens([AddedToken(content, special=special, normalized=False)])
        if tokenizer.token_to_id(content) != index:
            raise UserError(f"{path.parent}: the added token {content} cannot have the id {index}: ids before it lack")
    if bos is not None and config.get("add_bos_token", True):
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, pieces.bos_id())]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=_token(config, "bos_token") or bos,
        eos_token=_token(config, "eos_token") or eos,
        unk_token=unknown,
        pad_token=_token(config, "pad_token"),
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = chat_template
    different = _difference(fast, pieces)
    if different:
        raise UserError(
            f"{path}: no tokenizer with the same ids can be built from this sentencepiece model ({different}): "
            "is it a BPE model? Give a folder with its tokenizer.json"
        )
    return fast


def _piece(pieces, index: int) -> str | None:
    return pieces.id_to_piece(index) if index >= 0 else None


def _json_beside(path: Path, name: str) -> dict:
    file = path.parent / name
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _token(config: dict, key: str) -> str | None:
    """A token of tokenizer_config.json, which holds its text or an object with it."""
    value = config.get(key)
    return value["content"] if isinstance(value, dict) else value


def _added_tokens(path: Path, config: dict, first: int) -> list[tuple[int, str, bool]]:
    """(id, text, special) of the tokens added behind the sentencepiece model's own, in their order."""
    added = {index: (text, True) for text, index in _json_beside(path, "added_tokens.json").items()}
    for index, token in config.get("added_tokens_decoder", {}).items():
        added[int(index)] = (token["content"], bool(token.get("special", False)))
    return [(index, *added[index]) for index in sorted(added) if index >= first]


def _merges(pieces, vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """Every way to make a piece of two others, best score first: the order in which sentencepiece merges."""
    merges = []
    for index in range(len(pieces)):
        piece = pieces.id_to_piece(index)
        if pieces.is_control(index) or pieces.is_unknown(index) or pieces.is_byte(index) or len(piece) < 2:
            continue
        halves = [(piece[:k], piece[k:]) for k in range(1, len(piece))]
        halves = [(a, b) for a, b in halves if a in vocabulary and b in vocabulary]
        halves.sort(key=lambda half: (vocabulary[half[0]], vocabulary[half[1]]))
        merges += [(pieces.get_score(index), half) for half in halves]
    merges.sort(key=lambda merge: -merge[0])
    return [half for _, half in merges]
