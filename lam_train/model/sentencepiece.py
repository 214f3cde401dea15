"""A fast tokenizer from a sentencepiece model, id for id.

transformers builds a tokenizer with wrong ids, without a word, from a folder that holds only `tokenizer.model`
(Mistral's). The merges sorted by sentencepiece score give the right one; both ways are checked on probe texts.
"""

from pathlib import Path

from lam_train.errors import UserError

PROBES = (
    "Hello world, naïve 42 € ünïcode\n\n  two spaces",
    "1. Click **Insert** > Table...\n2. Type 12.5 into \"Width\".",
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
    pieces = _read(path)
    for text in PROBES:
        ours, theirs = list(tokenizer(text, add_special_tokens=False)["input_ids"]), pieces.encode(text)
        if ours != theirs:
            raise UserError(
                f"{path.parent}: the tokenizer that transformers loads gives other ids than tokenizer.model "
                f"({text!r}: {ours[:8]} against {theirs[:8]}). Remove its tokenizer.json: lam_train then builds "
                "the right one from tokenizer.model."
            )


def fast_tokenizer_from_sentencepiece(path: Path, chat_template: str | None = None):
    """A PreTrainedTokenizerFast with the ids of the BPE sentencepiece model at `path`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = _read(path)
    vocabulary = {pieces.id_to_piece(i): i for i in range(len(pieces))}
    bpe = models.BPE(vocabulary, _merges(pieces, vocabulary), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    control = [i for i in range(len(pieces)) if pieces.is_control(i) or pieces.is_unknown(i)]
    tokenizer.add_special_tokens([AddedToken(pieces.id_to_piece(i), special=True, normalized=False) for i in control])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", pieces.bos_id())]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = chat_template
    check_against_sentencepiece(fast, path)
    return fast


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
