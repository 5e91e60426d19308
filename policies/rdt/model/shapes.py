"""Names and shapes of all tensors of an RDT, from its config alone."""

import math
import re
from collections.abc import Iterator, Mapping

from policies.rdt.model.config import RDTConfig
from tasks.errors import list_some

Shape = tuple[int, ...]

FREQUENCIES = 256
"""Width of a scalar's sines and cosines, before its embedder."""

_MAX_ADAPTOR_DIGITS = 3


def tensor_count(config: RDTConfig) -> int:
    """Count the tensors without listing them: a config from a stranger may ask for any depth."""
    adaptors = (config.lang_adaptor, config.img_adaptor, config.state_adaptor)
    return 3 + 8 + 21 * config.depth + 5 + 2 * sum(map(adaptor_linears, adaptors))


def tensor_shapes(config: RDTConfig) -> dict[str, Shape]:
    """List the shapes of ``RDTModel``'s state dict by published name, in no particular order."""
    hidden = config.hidden_size
    shapes: dict[str, Shape] = {
        "model.x_pos_embed": (1, config.pred_horizon + 3, hidden),
        "model.lang_cond_pos_embed": (1, config.max_lang_cond_len, hidden),
        "model.img_cond_pos_embed": (1, config.img_cond_len, hidden),
        "model.final_layer.norm_final.weight": (hidden,),
    }
    for embedder in ("model.t_embedder.mlp", "model.freq_embedder.mlp"):
        shapes.update(_linear(f"{embedder}.0", FREQUENCIES, hidden))
        shapes.update(_linear(f"{embedder}.2", hidden, hidden))
    for index in range(config.depth):
        shapes.update(_block(f"model.blocks.{index}", hidden, hidden // config.num_heads))
    shapes.update(_linear("model.final_layer.ffn_final.fc1", hidden, hidden))
    shapes.update(_linear("model.final_layer.ffn_final.fc2", hidden, config.action_dim))
    for name, kind, width in (
        ("lang_adaptor", config.lang_adaptor, config.lang_token_dim),
        ("img_adaptor", config.img_adaptor, config.img_token_dim),
        ("state_adaptor", config.state_adaptor, 2 * config.action_dim),
    ):
        shapes.update(_adaptor(name, kind, width, hidden))
    return shapes


def element_count(shapes: Mapping[str, Shape]) -> int:
    """Count the numbers in all tensors."""
    return sum(map(math.prod, shapes.values()))


def shape_differences(model: Mapping[str, Shape], file: Mapping[str, Shape]) -> str:
    """List the tensors of a file that are missing, unexpected or misshapen; empty if none is."""
    other = (key for key in model.keys() & file.keys() if model[key] != file[key])
    parts = (
        list_some("missing", model.keys() - file.keys()),
        list_some("unexpected", file.keys() - model.keys()),
        list_some("wrong shape", (f"{key} {file[key]} for {model[key]}" for key in other)),
    )
    return "; ".join(part for part in parts if part)


def adaptor_linears(kind: str) -> int:
    """Count the linears of an adaptor; 0 for a kind that does not exist."""
    if kind == "linear":
        return 1
    match = re.fullmatch(rf"mlp([1-9]\d{{0,{_MAX_ADAPTOR_DIGITS - 1}}})x_gelu", kind)
    return int(match[1]) if match else 0


def _linear(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _block(name: str, hidden: int, head: int) -> Iterator[tuple[str, Shape]]:
    for norm in ("norm1", "norm2", "norm3"):
        yield f"{name}.{norm}.weight", (hidden,)
    for attention in ("attn", "cross_attn"):
        yield f"{name}.{attention}.q_norm.weight", (head,)
        yield f"{name}.{attention}.k_norm.weight", (head,)
        yield from _linear(f"{name}.{attention}.proj", hidden, hidden)
    yield from _linear(f"{name}.attn.qkv", hidden, 3 * hidden)
    yield from _linear(f"{name}.cross_attn.q", hidden, hidden)
    yield from _linear(f"{name}.cross_attn.kv", hidden, 2 * hidden)
    yield from _linear(f"{name}.ffn.fc1", hidden, hidden)
    yield from _linear(f"{name}.ffn.fc2", hidden, hidden)


def _adaptor(name: str, kind: str, inputs: int, hidden: int) -> Iterator[tuple[str, Shape]]:
    if kind == "linear":
        yield from _linear(name, inputs, hidden)
        return
    for index in range(adaptor_linears(kind)):
        yield from _linear(f"{name}.{2 * index}", inputs if index == 0 else hidden, hidden)
