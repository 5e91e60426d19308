"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) as peft saves them, merged when loaded."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from policies.rdt.checkpoint.location import weight_files
from policies.rdt.checkpoint.weights import StoredWeights, open_weights, read_json, unwrapped
from tasks.errors import ConfigError, SpecMismatchError, list_some, one_line

_CONFIG = "adapter_config.json"
_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_PEFT_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(?P<layer>.+)\.lora_(?P<factor>A|B)\.(?:\w+\.)?(?P<leaf>weight|bias)")
_WITHIN = re.compile(r"\.(?:base_layer|modules_to_save(?:\.default)?)\.")
"""Parts of names that peft puts around layers whose tensors an adapter holds whole."""

_USED = {"peft_type", "base_model_name_or_path", "r", "lora_alpha", "rank_pattern", "alpha_pattern"}
_USED |= {"use_rslora", "init_lora_weights"}
_IN_THE_TENSORS = {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"}
_IN_THE_TENSORS |= {"modules_to_save", "bias", "lora_bias"}
_OF_TRAINING = {"lora_dropout", "inference_mode", "task_type", "auto_mapping", "revision"}
_OF_TRAINING |= {"peft_version", "eva_config", "megatron_core", "qalora_group_size"}
# For linear layers, of which alone RDT is made, peft itself puts it back to false.
_OF_TRAINING |= {"fan_in_fan_out"}
_UNDERSTOOD = _USED | _IN_THE_TENSORS | _OF_TRAINING

_LEAVING_THE_BASE = (True, False, "gaussian", "eva")
"""Ways to begin an adapter that do not change the weights of its base."""

_FIX = "Fix: merge it where it was trained, with peft's merge_and_unload(), and save the whole."


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """An adapter's part in one layer: its scale, and the names of its tensors."""

    scale: float
    a: str
    b: str
    bias: str | None


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A LoRA adapter: low-rank updates of a base's weights, and tensors that replace some.

    Attributes:
        base: Name of the base in the adapter's config; empty if it has none.
        settings: The adapter's config.
        stored: The adapter's tensors, without peft's prefix.
    """

    folder: Path
    base: str
    settings: Mapping[str, Any]
    stored: StoredWeights

    def describe(self) -> str:
        """Describe the adapter and its base, as part of a sentence."""
        base = f"its base is '{one_line(self.base)}'" if self.base else "it does not name its base"
        rank, alpha = self.settings["r"], self.settings["lora_alpha"]
        return f"a LoRA adapter (rank {rank}, alpha {alpha}); {base}"

    def merged_into(self, base: StoredWeights) -> StoredWeights:
        """Merge the adapter into a base.

        A layer's weight W becomes W + s·B·A with s = alpha / rank, or alpha / √rank (rslora).
        Tensors that the adapter holds whole (``modules_to_save``, trained biases) replace the
        base's.

        Args:
            base: Weights under the names of ``RDTModel``. Whether the adapter was trained on them
                cannot be told from the tensors.

        Raises:
            SpecMismatchError: A tensor of the adapter has no counterpart in the base.
        """
        layers = self._layers()
        whole = {k: _WITHIN.sub(".", k) for k in self.stored.shapes if not _FACTOR.fullmatch(k)}
        to_base = _name_map(base, [f"{layer}.weight" for layer in layers] + list(whole.values()))
        added = {to_base(f"{name}.weight"): layer for name, layer in layers.items()}
        shifted = {to_base(f"{name}.bias"): layer for name, layer in layers.items() if layer.bias}
        replaced = {to_base(new): old for old, new in whole.items()}
        self._check_shapes(base, added, shifted, replaced)

        def read(key: str) -> Tensor:
            total = original = base.read(key)
            if key in replaced:
                total = self.stored.read(replaced[key])
            if layer := added.get(key):
                product = self.stored.read(layer.b).float() @ self.stored.read(layer.a).float()
                total = total.float() + layer.scale * product
            if (layer := shifted.get(key)) and layer.bias:
                total = total.float() + layer.scale * self.stored.read(layer.bias).float()
            return total.to(original.dtype)

        note = f"'{self.folder}' is {self.describe()}. It is merged into {base.quoted}."
        return dataclasses.replace(base, read=read, notes=(*base.notes, *self.stored.notes, note))

    def _layers(self) -> dict[str, _Layer]:
        """Group the tensors by layer."""
        tensors: dict[str, dict[str, str]] = {}
        for key in self.stored.shapes:
            if match := _FACTOR.fullmatch(key):
                part = match["factor"] if match["leaf"] == "weight" else f"{match['factor']} bias"
                if tensors.setdefault(match["layer"], {}).setdefault(part, key) != key:
                    raise SpecMismatchError(
                        f"{self.stored.quoted} holds several adapters for "
                        f"{one_line(match['layer'])}. {_FIX}"
                    )
        partial = [name for name, parts in tensors.items() if set(parts) - {"B bias"} != {"A", "B"}]
        if partial or not tensors:
            listed = list_some("layers without both lora_A and lora_B", partial)
            raise SpecMismatchError(
                f"{self.stored.quoted} holds {listed or 'no lora_A and lora_B'}. "
                "Fix: fetch it again."
            )
        return {
            name: _Layer(
                scale=self._scale(name, self.stored.shapes[parts["A"]][0]),
                a=parts["A"],
                b=parts["B"],
                bias=parts.get("B bias"),
            )
            for name, parts in tensors.items()
        }

    def _scale(self, layer: str, rank: int) -> float:
        settings = self.settings
        expected = _layer_setting(layer, settings.get("rank_pattern"), settings["r"])
        alpha = _layer_setting(layer, settings.get("alpha_pattern"), settings["lora_alpha"])
        if rank != expected or rank < 1:
            raise SpecMismatchError(
                f"Layer {one_line(layer)} in {self.stored.quoted} has rank {rank}, its config says "
                f"{expected}. Fix: keep weights and {_CONFIG} of one adapter together."
            )
        return alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)

    def _check_shapes(
        self,
        base: StoredWeights,
        added: Mapping[str, _Layer],
        shifted: Mapping[str, _Layer],
        replaced: Mapping[str, str],
    ) -> None:
        shapes = self.stored.shapes
        misfits = []
        for key, layer in added.items():
            a, b = shapes[layer.a], shapes[layer.b]
            if len(a) != 2 or len(b) != 2 or (b[0], a[1], b[1]) != (*base.shapes[key], a[0]):
                misfits.append(f"{key} {b}·{a} for {base.shapes[key]}")
        for key, layer in shifted.items():
            if layer.bias is None or shapes[layer.bias] != base.shapes.get(key):
                misfits.append(f"{key} for {base.shapes.get(key)}")
        misfits += [
            f"{key} {shapes[old]} for {base.shapes[key]}"
            for key, old in replaced.items()
            if shapes[old] != base.shapes[key]
        ]
        if misfits:
            raise SpecMismatchError(
                f"The adapter {self.stored.quoted} does not fit its base: "
                f"{list_some('wrong shape', misfits)}. Fix: give the base that it was trained on."
            )


def find_adapter(path: Path) -> Path | None:
    """Give the folder of an adapter from a path to it or to its weights; None if it is none.

    Raises:
        ConfigError: Whole weights lie beside it.
    """
    folder = path.parent if path.name in _FILES else path
    if not (folder / _CONFIG).is_file():
        return None
    if path == folder and (whole := weight_files(folder)):
        raise ConfigError(
            f"'{folder}' holds an adapter ({_CONFIG}) and whole weights ({whole[0].name}). Fix: "
            f"give '{whole[0]}' for these; or keep the adapter in a folder of its own."
        )
    return folder


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter's config and the names of its tensors.

    Raises:
        ConfigError: A file is missing or damaged, or the adapter is of an unsupported kind.
    """
    settings = read_json(folder / _CONFIG)
    _check_settings(folder, settings)
    path = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if path is None:
        raise ConfigError(
            f"'{folder}' is an adapter without weights. Needed: {' or '.join(_FILES)}. "
            "Fix: fetch that file too."
        )
    stored = unwrapped(open_weights(path))
    names = {key.removeprefix(_PEFT_PREFIX): key for key in stored.shapes}
    return Adapter(
        folder=folder,
        base=str(settings.get("base_model_name_or_path") or ""),
        settings=settings,
        stored=dataclasses.replace(
            stored,
            shapes={name: stored.shapes[key] for name, key in names.items()},
            dtypes={name: stored.dtypes[key] for name, key in names.items()},
            read=lambda name: stored.read(names[name]),
        ),
    )


def _check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise ConfigError(f"'{folder}' is an adapter of type {kind!r:.40}. Allowed: LORA. {_FIX}")
    start = settings.get("init_lora_weights", True)
    unknown = [key for key, value in settings.items() if value and key not in _UNDERSTOOD]
    unknown += [] if start in _LEAVING_THE_BASE else [f"init_lora_weights {start!r:.40}"]
    if unknown:
        raise ConfigError(
            f"'{folder}' is a LoRA adapter with settings that change how it is merged: "
            f"{list_some('not understood', unknown)}. {_FIX}"
        )
    for name in ("r", "lora_alpha"):
        patterns = settings.get(f"{'rank' if name == 'r' else 'alpha'}_pattern") or {}
        values = [settings.get(name), *patterns.values()] if isinstance(patterns, dict) else [None]
        if not all(
            isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
            for v in values
        ):
            raise ConfigError(
                f"'{folder / _CONFIG}': {name} or its pattern is no number. Fix: fetch it again."
            )


def _layer_setting(layer: str, patterns: Mapping[str, float] | None, default: float) -> float:
    """Give a setting for one layer; a pattern is a name or the end of one.

    Regular expressions are refused: they may run for ever, and a stranger wrote them.
    """
    for pattern, value in (patterns or {}).items():
        name = pattern.removeprefix("^").removesuffix("$").replace("\\.", ".")
        if not re.fullmatch(r"[\w.]+", name):
            raise ConfigError(
                f"The adapter's pattern '{one_line(pattern)}' is a regular expression. Allowed: "
                f"names of layers. {_FIX}"
            )
        if layer == name or (layer.endswith(f".{name}") and not pattern.startswith("^")):
            return value
    return default


def _name_map(base: StoredWeights, names: list[str]) -> Callable[[str], str]:
    """Give the map from an adapter's names to the base's: peft may have wrapped the trunk alone."""
    maps: tuple[Callable[[str], str], ...] = (
        lambda name: name,
        lambda name: f"model.{name}",
        lambda name: name.removeprefix("rdt."),
    )
    for to_base in maps:
        if all(to_base(name) in base.shapes for name in names):
            return to_base
    foreign = [name for name in names if all(to_base(name) not in base.shapes for to_base in maps)]
    raise SpecMismatchError(
        f"The adapter does not fit its base: {list_some('no such tensors', foreign or names)} in "
        f"{base.quoted}. Fix: give the base that it was trained on."
    )
