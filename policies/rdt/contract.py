"""What a checkpoint needs from whoever runs it, and the refusal where that is not given."""

import json
from collections.abc import Mapping
from dataclasses import asdict, field, fields
from typing import Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from policies.rdt.config import Norm
from policies.rdt.layout import DEFAULT_LAYOUT, get_layout
from policies.rdt.network import RDTPolicyNetwork
from tasks.errors import ConfigError, SpecMismatchError, first_mistake, unknown_name
from tasks.observation import CAMERAS, CONTROL_HZ

FORMAT_VERSION = 1
"""Version of the checkpoint folder; older readers refuse newer folders."""

_FIXES = {
    "cameras": "let the evaluation show these cameras",
    "orientation": "choose a protocol with this orientation",
    "render_size": "choose a protocol with this resolution, or train on demos rendered at yours",
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


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Contract:
    """Everything that must be the same in training and evaluation. Saved with every checkpoint."""

    image_encoder: str
    """Identity of the image encoder, such as ``conv64-16x128-v1``."""

    text_encoder: str
    """Identity of the text encoder and its vocabulary."""

    cameras: tuple[str, ...] = field(default=CAMERAS)
    """Cameras, in order."""

    orientation: Literal["rotate180", "raw"] = "rotate180"
    """``rotate180``: upright pictures; ``raw``: as the simulator renders them."""

    render_size: int = Field(default=128, ge=1)
    """Height and width at which pictures are rendered, pixels."""

    image_size: int = Field(default=64, ge=1)
    """Height and width of what the encoder takes, pixels."""

    history: int = Field(default=2, ge=1)
    """Control steps of pictures, the current one included."""

    horizon: int = Field(default=64, ge=1)
    """Control steps in a plan."""

    layout: str = DEFAULT_LAYOUT
    """Name of the mapping to the unified vector."""

    normalisation: Literal["none"] = "none"
    """How states and actions were normalised."""

    control_hz: float = Field(default=CONTROL_HZ, gt=0)
    """Control frequency, Hz."""

    norm: Norm = "variance"
    """What RDT's norms divide by."""

    format_version: int = FORMAT_VERSION
    """Version of the checkpoint folder."""

    demos: dict[str, Any] = field(default_factory=dict)
    """Provenance: what the policy was trained on. Not compared."""

    def check(self, given: Mapping[str, object]) -> None:
        """Refuse a setting under which this checkpoint would quietly do badly.

        Args:
            given: Fields of this record and what the evaluation has for them; fields that are left
                out are not compared.

        Raises:
            ConfigError: A name is not a field of a contract.
            SpecMismatchError: Something differs; the message names every such field.
        """
        differences = []
        for name, value in given.items():
            if name not in _FIXES:
                raise unknown_name("contract field", name, _FIXES)
            needed = getattr(self, name)
            same = tuple(value) if isinstance(value, list) else value
            if same != needed:
                differences.append(
                    f"{name} is {_show(value)}, needed {_show(needed)} (fix: {_FIXES[name]})"
                )
        if differences:
            raise SpecMismatchError(
                f"The checkpoint does not fit the evaluation: {'; '.join(differences)}."
            )

    def check_network(self, network: RDTPolicyNetwork) -> None:
        """Refuse a network that is not the one this contract describes.

        Raises:
            SpecMismatchError: Something differs.
        """
        self.check(_describe(network))

    def to_json(self) -> str:
        """Give the contract as JSON text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Contract":
        """Read what ``to_json`` wrote.

        Raises:
            ConfigError: It is not a contract, or its layout is not known.
            SpecMismatchError: It was written by a newer version.
        """
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
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
            raise ConfigError(
                f"Contract: {place}: {why}. Fields: {allowed}. "
                "Fix: use the contract.json the checkpoint was saved with."
            ) from error
        get_layout(contract.layout)
        return contract

    @classmethod
    def describe(cls, network: RDTPolicyNetwork, **others: Any) -> "Contract":
        """Make the contract of a network.

        Args:
            network: What is going to be trained.
            **others: Fields that the network does not know: ``layout``, ``render_size``,
                ``orientation``, ``demos``.

        Returns:
            The contract.
        """
        return cls(**_describe(network), **others)


def _describe(network: RDTPolicyNetwork) -> dict[str, Any]:
    encoders = network.encoders_config
    return {
        "cameras": encoders.cameras,
        "image_size": encoders.image_size,
        "history": network.history,
        "horizon": network.config.pred_horizon,
        "image_encoder": encoders.image_identity,
        "text_encoder": encoders.text_identity,
        "norm": network.rdt.norm,
    }


def _show(value: object) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(str(item) for item in value) + "]"
    return repr(value)
