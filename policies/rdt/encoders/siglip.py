"""SigLIP's vision tower (Zhai et al. 2023, arXiv 2303.15343), frozen, as RDT's image encoder."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from policies.rdt.encoders.base import ImageEncoder, LRUCache, content_key
from policies.rdt.encoders.images import BACKGROUND, square_frame
from policies.rdt.encoders.pretrained import fingerprint, load_pretrained, read_config
from tasks.errors import SpecMismatchError

OFFICIAL = "google/siglip-so400m-patch14-384"
"""Hub name of the tower that the published RDT weights were trained with."""

KEPT_IMAGES = 64
"""Images whose tokens are cached; 1.7 MB each for the official tower in bfloat16."""

T = TypeVar("T")

_WHAT = "a SigLIP vision tower"
_HEAD = ("head.", "vision_model.head.")
_ROWS_CPU, _ROWS_GPU = 1, 4
"""Images per forward pass. On a CPU, padding would cost as much as an image; elsewhere one episode
needs four: two cameras at the current and the previous step."""
_MANY = 8
_PROCESSOR = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "resample": 3,
    "rescale_factor": 1 / 255,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


class SiglipTower:
    """A frozen tower. Copies share it, and it is in no state dict.

    Args:
        source: Folder or hub name, of a whole SigLIP checkpoint or of its vision tower.
        dtype: Of the weights.
        device: Of the weights.

    Raises:
        ConfigError: The source is not a SigLIP vision tower.
        SpecMismatchError: Weights are missing, or it takes other images than RDT gives it.
        PrerequisiteError: It is on the hub and the hub cannot be reached.
    """

    def __init__(
        self,
        source: str = OFFICIAL,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        from transformers import SiglipVisionModel

        model = load_pretrained(
            source,
            SiglipVisionModel.from_pretrained,
            what=_WHAT,
            kinds=("siglip", "siglip_vision_model"),
            dtype=dtype,
            spare=_HEAD,
        )
        _check_processor(source, int(model.config.image_size))
        self._hold(model, device)

    @classmethod
    def holding(cls, model: Any, *, device: str | torch.device = "cpu") -> "SiglipTower":
        """Wrap a transformers ``SiglipVisionModel``, in its own dtype; it loses its head."""
        tower = cls.__new__(cls)
        tower._hold(model.eval().requires_grad_(requires_grad=False), device)
        return tower

    def _hold(self, model: Any, device: str | torch.device) -> None:
        if hasattr(model, "head"):
            # Its pooled image is not used, and its weights may be missing.
            model.head, model.use_head = None, False
        self._model = model
        config = model.config
        self.dtype: torch.dtype = next(model.parameters()).dtype
        self.image_size = int(config.image_size)
        self.tokens = (self.image_size // int(config.patch_size)) ** 2
        self.width = int(config.hidden_size)
        name = fingerprint(model, config.num_attention_heads, config.layer_norm_eps)
        self.identity = f"siglip{self.image_size}-{self.tokens}x{self.width}-{name}"
        self.to(device)

    def __deepcopy__(self, memory: dict[int, Any]) -> "SiglipTower":
        return self

    def to(self, device: str | torch.device) -> None:
        """Move the weights."""
        self.device = torch.device(device)
        self._model.to(self.device)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute in another dtype from now on."""
        self.dtype = dtype
        self._model.to(dtype)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Encode (n, 3, S, S) uint8 images, on any device.

        Returns:
            (n, patches, width) after the last norm, in the tower's dtype and on its device.
        """
        pixels = images.to(self.device).float().mul_(1 / 255).sub_(0.5).div_(0.5)
        with torch.autocast(self.device.type, enabled=False):
            encoded: Tensor = self._model(pixel_values=pixels.to(self.dtype)).last_hidden_state
        return encoded


class SiglipImageEncoder(ImageEncoder):
    """Encodes images with a SigLIP tower.

    In evaluation every forward pass of the tower has the same number of rows, so an image's tokens
    do not depend on other images, and they are cached: a repeated frame (first as the current, then
    as the previous step) or background costs nothing. In training, where augmented images do not
    repeat, all are encoded together.

    Args:
        tower: The tower.
        cameras: Images per control step in the input.
        slots: Images per control step that RDT takes; the others show the background.

    Raises:
        SpecMismatchError: There are more cameras than slots.
    """

    def __init__(self, tower: SiglipTower, *, cameras: int, slots: int) -> None:
        super().__init__()
        if cameras > slots:
            raise SpecMismatchError(
                f"{cameras} cameras were given; this RDT takes {slots}. Fix: give fewer cameras."
            )
        self.tower, self.slots = tower, slots
        self._cameras = cameras
        self._prepared, self._tokens = LRUCache(KEPT_IMAGES), LRUCache(KEPT_IMAGES)
        size = tower.image_size
        self._background = torch.full((3, size, size), BACKGROUND, dtype=torch.uint8)

    def _apply(self, fn: Any, recurse: bool = True) -> "SiglipImageEncoder":
        # Moving a module moves its parameters; the tower's are not among them.
        device = fn(torch.empty(0, device=self.tower.device)).device
        if device != self.tower.device:
            self.tower.to(device)
            self._tokens.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute in another dtype from now on; tokens of the former are forgotten."""
        self.tower.compute_in(dtype)
        self._tokens.clear()

    def prepare(self, frames: npt.NDArray[np.uint8]) -> Tensor:
        """Pad frames to squares and resize them to (..., 3, S, S), each different one once."""
        leading, size = frames.shape[:-3], self.tower.image_size
        flat = frames.reshape(-1, *frames.shape[-3:])
        prepared = self._prepared.look_up(
            _for_each(content_key, flat),
            lambda new: _for_each(lambda index: square_frame(flat[index], size), new),
        )
        return torch.stack(prepared).reshape(*leading, 3, size, size)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Encode (B, history, cameras, 3, S, S) uint8 as (B, history·slots·patches, width)."""
        batch, history, cameras = images.shape[:3]
        if cameras != self._cameras:
            raise SpecMismatchError(
                f"{cameras} images per step were given; this encoder takes {self._cameras}. "
                "Fix: give the cameras of its config."
            )
        flat = images.flatten(0, 2)
        if self.training:
            tokens = torch.cat([self.tower.encode(rows) for rows in torch.split(flat, self._rows)])
        else:
            tokens = self._encode_new(flat)
        tokens_BHCPW = tokens.reshape(batch, history, cameras, *tokens.shape[1:])
        if spare := self.slots - cameras:
            background = self._encode_new(self._background[None])
            shape = (batch, history, spare, *background.shape[1:])
            tokens_BHCPW = torch.cat([tokens_BHCPW, background.expand(shape)], dim=2)
        return tokens_BHCPW.flatten(1, 3)

    def _encode_new(self, images: Tensor) -> Tensor:
        images = images.cpu()
        keys = _for_each(content_key, images.numpy())
        return torch.stack(self._tokens.look_up(keys, lambda new: self._encode_padded(images[new])))

    def _encode_padded(self, images: Tensor) -> Sequence[Tensor]:
        encoded: list[Tensor] = []
        for rows in torch.split(images, self._rows):
            padding = self._background.expand(self._rows - len(rows), -1, -1, -1)
            tokens = self.tower.encode(torch.cat([rows, padding]))
            # Copies: a view would keep the memory of all rows.
            encoded += [row.clone() for row in tokens[: len(rows)]]
        return encoded

    @property
    def _rows(self) -> int:
        return _ROWS_CPU if self.tower.device.type == "cpu" else _ROWS_GPU


def _for_each(work: Callable[[Any], T], items: Sequence[Any] | npt.NDArray[Any]) -> list[T]:
    """Map over items, many of them on threads: PIL and hashlib release Python's lock."""
    threads = torch.get_num_threads()
    if len(items) < _MANY or threads == 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(threads, _MANY)) as pool:
        return list(pool.map(work, items))


def _check_processor(source: str, image_size: int) -> None:
    """Refuse a tower whose images are prepared in another way."""
    processor = read_config(source, "preprocessor_config.json", _WHAT)
    expected = {**_PROCESSOR, "size": {"height": image_size, "width": image_size}}
    differences = [
        f"{key} is {processor[key]}, not {value}"
        for key, value in expected.items()
        if processor.get(key) is not None and not _same(processor[key], value)
    ]
    if differences:
        raise SpecMismatchError(
            f"'{source}' prepares images in another way than RDT's encoder: "
            f"{'; '.join(differences)}. "
            f"Fix: use {OFFICIAL} or another SigLIP tower with its processor."
        )


def _same(actual: object, expected: object) -> bool:
    if isinstance(actual, list | tuple) and isinstance(expected, list):
        return len(actual) == len(expected) and all(map(_same, actual, expected))
    if isinstance(actual, float) or isinstance(expected, float):
        return isinstance(actual, int | float) and abs(actual - float(str(expected))) < 1e-6
    return actual == expected
