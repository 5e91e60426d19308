"""The contract of a checkpoint: what training fixed, compared with what an evaluation gives."""

import json
from collections.abc import Mapping
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from policies.rdt.actions.layout import DEFAULT_LAYOUT, Layout
from policies.rdt.actions.layout_file import get_layout, parse_layout
from policies.rdt.actions.normalisation import Normalisation, StoredNormalisation
from policies.rdt.encoders.base import AnyEncodersConfig
from policies.rdt.model.config import Norm, RDTConfig
from policies.rdt.model.network import RDTPolicyNetwork, check_tokens
from tasks.errors import ConfigError, SpecMismatchError, first_mistake, unknown_name
from tasks.observation import CAMERAS, CONTROL_HZ
from tasks.settings import settings

FORMAT_VERSION = 1
"""Version of the checkpoint folder; older readers refuse newer folders."""

ANY_SIZE = 0
"""As a ``render_size``: the policy takes square images of any size."""

SIZES = (16, 2048)
"""The smallest and the largest images that an evaluation renders, pixels."""

Orientation = Literal["rotate180", "raw"]

_FASTEST = 1000.0
"""The highest control frequency that is no mistake, Hz."""

_FIX = "Fix: use the contract.json the checkpoint was saved with."

_FIXES = {
    "cameras": "let the evaluation show these cameras",
    "missing_cameras": "hide and show the same cameras as in training",
    "orientation": "choose a protocol with this orientation",
    "render_size": "give --resolution {needed}, in a recipe resolution = {needed}; or train on "
    "demos rendered at yours",
    "image_size": "use the encoder size the checkpoint was trained with",
    "history": "give the policy this many control steps of observation",
    "horizon": "use this horizon; exec_horizon may be anything up to it",
    "layout": "encode states and decode actions with this layout",
    "normalisation": "do not normalise otherwise than in training",
    "control_hz": "run the controller at this frequency",
    "image_encoder": "use the image encoder the checkpoint was trained with",
    "text_encoder": "use the text encoder the checkpoint was trained with",
    "norm": "build the model with this norm",
    "format_version": "read the checkpoint with the version of libero-bench that wrote it",
}


@settings
class Contract:
    """The conditions that training and evaluation must share, saved with every checkpoint."""

    image_encoder: str
    """Identity of the image encoder, such as ``conv64-16x128-v1``."""

    text_encoder: str
    """Identity of the text encoder and its vocabulary."""

    cameras: tuple[str, ...] = field(default=CAMERAS)
    """The camera slots of the encoder, in order."""

    missing_cameras: tuple[str, ...] = ()
    """Cameras whose slot shows the background, in training and in evaluation."""

    orientation: Orientation = "rotate180"
    """``rotate180``: upright images; ``raw``: as the simulator renders them."""

    render_size: int = Field(default=128, ge=ANY_SIZE, le=SIZES[1])
    """Height and width at which images are rendered, pixels; 0 (``ANY_SIZE``) for any."""

    image_size: int = Field(default=64, ge=1)
    """Height and width of the encoder's input, pixels."""

    history: int = Field(default=2, ge=1)
    """Control steps of images, the current one included."""

    horizon: int = Field(default=64, ge=1)
    """Control steps in a plan."""

    layout: str = DEFAULT_LAYOUT
    """Name of the mapping to the unified vector."""

    layout_rules: dict[str, Any] = field(default_factory=dict)
    """The layout as data, so that a user's own travels with the checkpoint; empty in older
    contracts, whose layout is a shipped one. Compared by its hash."""

    normalisation: StoredNormalisation = field(default_factory=Normalisation)
    """Normalisation of states and actions, applied to the layout."""

    control_hz: float = Field(default=CONTROL_HZ, gt=0, le=_FASTEST)
    """Control frequency, Hz."""

    norm: Norm = "variance"
    """Divisor of RDT's norms."""

    format_version: int = FORMAT_VERSION
    """Version of the checkpoint folder."""

    demos: dict[str, Any] = field(default_factory=dict)
    """Provenance: what the policy was trained on. Not compared."""

    @property
    def shown_cameras(self) -> tuple[str, ...]:
        """Cameras that the policy sees; no other need be rendered."""
        return tuple(camera for camera in self.cameras if camera not in self.missing_cameras)

    @property
    def mapping(self) -> Layout:
        """The layout with the normalisation of training."""
        return self.normalisation.applied_to(self.plain_layout)

    @property
    def plain_layout(self) -> Layout:
        """The layout without normalisation."""
        if not self.layout_rules:
            return get_layout(self.layout)
        return parse_layout(self.layout_rules, f"contract: {self.layout}")

    def check_layout(self, layout: Layout) -> None:
        """Refuse a layout other than the one the checkpoint was trained with.

        Raises:
            SpecMismatchError: Its name is another, or it does something else.
        """
        self.check({"layout": layout.name})
        if layout.hash != (expected := self.plain_layout.hash):
            raise SpecMismatchError(
                f"The layout '{layout.name}' does something else ({layout.hash}) than the one of "
                f"that name in the checkpoint ({expected}). Fix: leave the layout out; the "
                "checkpoint brings its own."
            )

    def check(self, conditions: Mapping[str, object]) -> None:
        """Refuse an evaluation that differs from training.

        Args:
            conditions: Values of the evaluation by the names of the contract's fields; fields left
                out are not compared.

        Raises:
            ConfigError: A name is not a field of a contract.
            SpecMismatchError: Something differs; the message names every such field.
        """
        differences = [
            f"{name} is {_show(value)}, needed {_show(needed := getattr(self, name))} "
            f"(fix: {_FIXES[name].format(needed=needed)})"
            for name, value in self._differing(conditions).items()
        ]
        if differences:
            raise SpecMismatchError(
                f"The checkpoint does not fit the evaluation: {'; '.join(differences)}."
            )

    def check_network(self, network: RDTPolicyNetwork) -> None:
        """Refuse a network that does not fit, with ``SpecMismatchError``."""
        self.check(_describe(network))

    def check_parts(self, config: RDTConfig, encoders: AnyEncodersConfig) -> None:
        """Refuse configs of a network that does not fit this contract, before it is built.

        Raises:
            SpecMismatchError: Something differs.
        """
        check_tokens(config, encoders)
        differences = [
            f"{name} is {_show(getattr(self, name))} in it and {_show(value)} in the network"
            for name, value in self._differing(_describe_parts(config, encoders)).items()
        ]
        if differences:
            raise SpecMismatchError(
                f"The contract is not that of the checkpoint: {'; '.join(differences)}. {_FIX}"
            )

    def _differing(self, conditions: Mapping[str, object]) -> dict[str, object]:
        differing = {}
        for name, value in conditions.items():
            if name not in _FIXES:
                raise unknown_name("contract field", name, _FIXES)
            needed = getattr(self, name)
            comparable = tuple(value) if isinstance(value, list) else value
            any_value = name == "render_size" and needed == ANY_SIZE
            if comparable != needed and not any_value:
                differing[name] = value
        return differing

    def to_json(self) -> str:
        """Give the contract as JSON text."""
        plain = asdict(self) | {"normalisation": self.normalisation.as_plain()}
        return json.dumps(plain, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Contract":
        """Read what ``to_json`` wrote.

        Raises:
            ConfigError: It is not a contract, or its layout is not known.
            SpecMismatchError: It was written by a newer version, or its normalisation is of another
                layout.
        """
        try:
            raw = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ConfigError(
                f"The contract is not JSON ({error}). Fix: use the contract.json of a checkpoint."
            ) from error
        version = raw.get("format_version") if isinstance(raw, dict) else None
        if isinstance(version, int) and version != FORMAT_VERSION:
            raise SpecMismatchError(
                f"The checkpoint has format version {version}; this libero-bench reads "
                f"{FORMAT_VERSION}. Fix: {_FIXES['format_version']}."
            )
        try:
            contract = TypeAdapter(cls).validate_python(raw)
        except ValidationError as error:
            place, why = first_mistake(error)
            allowed = ", ".join(f.name for f in fields(cls))
            raise ConfigError(f"Contract: {place}: {why}. Fields: {allowed}. {_FIX}") from error
        if problem := _inconsistency(contract):
            raise ConfigError(f"The contract's {problem} {_FIX}")
        return contract

    @classmethod
    def describe(
        cls,
        network: RDTPolicyNetwork,
        *,
        layout: str | Path | Layout = DEFAULT_LAYOUT,
        **others: Any,
    ) -> "Contract":
        """Make the contract of a network.

        Args:
            network: The network to be trained.
            layout: Mapping to the unified vector, or its name or file.
            **others: Fields that the network does not know: ``render_size``, ``orientation``,
                ``control_hz``, ``missing_cameras``, ``normalisation``, ``demos``.

        Raises:
            ConfigError: There is no such layout.
        """
        mapping = layout if isinstance(layout, Layout) else get_layout(layout)
        return cls(
            **_describe(network), layout=mapping.name, layout_rules=mapping.as_dict(), **others
        )


def _inconsistency(contract: Contract) -> str:
    """Name the field that contradicts the others or its range, and how; empty if none does."""
    if 0 < contract.render_size < SIZES[0]:
        return (
            f"render_size is {contract.render_size}. Allowed: {ANY_SIZE} for any, or {SIZES[0]} to "
            f"{SIZES[1]}."
        )
    if contract.mapping.name != contract.layout:
        return (
            f"layout is '{contract.layout}', but its layout_rules are those of "
            f"'{contract.mapping.name}'."
        )
    if not contract.shown_cameras or set(contract.missing_cameras) - set(contract.cameras):
        return (
            f"missing_cameras are {_show(contract.missing_cameras)}. Allowed: some of its cameras "
            f"{_show(contract.cameras)}, not all."
        )
    return ""


def _describe(network: RDTPolicyNetwork) -> dict[str, Any]:
    return {**_describe_parts(network.config, network.encoders_config), "norm": network.rdt.norm}


def _describe_parts(config: RDTConfig, encoders: AnyEncodersConfig) -> dict[str, Any]:
    return {
        "cameras": encoders.cameras,
        "image_size": encoders.image_size,
        "history": config.img_cond_len // encoders.tokens_per_step,
        "horizon": config.pred_horizon,
        "image_encoder": encoders.image_identity,
        "text_encoder": encoders.text_identity,
    }


def _show(value: object) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(str(item) for item in value) + "]"
    return repr(value)
