"""Tiny SigLIP and T5 folders as ``save_pretrained`` writes them, with random weights."""

import json
from pathlib import Path
from typing import Any

import torch

SENTENCES = [
    "Open the middle drawer of the cabinet.",
    "Put the bowl on the plate.",
    "Turn on the stove and put the moka pot on it.",
    "Pick up the black bowl next to the ramekin and place it on the plate.",
    "Close the top drawer of the cabinet and put the black bowl on top of it.",
]


def write_siglip(folder: Path, *, whole: bool = False, seed: int = 0, image: int = 28) -> Path:
    """Write a tower of 4 tokens of width 16; ``whole`` with the text tower beside it."""
    from transformers import SiglipConfig, SiglipModel, SiglipVisionConfig, SiglipVisionModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    sizes = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    vision = {**sizes, "image_size": image, "patch_size": 14}
    model: Any
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if whole:
            text = {**sizes, "vocab_size": 40, "max_position_embeddings": 8, "projection_size": 16}
            model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
        else:
            model = SiglipVisionModel(SiglipVisionConfig(**vision))
    model.save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": image, "width": image}).save_pretrained(folder)
    return folder


def write_t5(folder: Path, *, tokenizer: str = "spiece", seed: int = 0, width: int = 24) -> Path:
    """Write an encoder of width 24 and a tokenizer trained on a few sentences."""
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=64,
        d_model=width,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=3,
        feed_forward_proj="gated-gelu",
        dense_act_fn="gelu_new",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        T5EncoderModel(config).save_pretrained(folder)
    _write_sentence_pieces(folder)
    if tokenizer == "json":
        _write_fast(folder)
        (folder / "spiece.model").unlink()
    return folder


def _write_sentence_pieces(folder: Path) -> None:
    from sentencepiece import SentencePieceTrainer

    # Numbers as T5 has them: 0 pads, 1 ends, 2 is unknown.
    SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 4),
        model_prefix=str(folder / "spiece"),
        vocab_size=44,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.vocab").unlink()


def _write_fast(folder: Path) -> None:
    """Write the same pieces for the tokenizers library, which adds the end itself."""
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    pieces = SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    numbers = range(pieces.get_piece_size())
    vocabulary = [(pieces.id_to_piece(n), pieces.get_score(n)) for n in numbers]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def change_json(path: Path, **changes: Any) -> None:
    """Change entries of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
