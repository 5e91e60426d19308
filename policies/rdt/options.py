"""The options of the policy ``rdt``, declared once: built, listed, checked and recorded by them."""

from policies.rdt.checkpoint.hub import find_source
from policies.rdt.checkpoint.loading import LoadingOptions, load_network
from policies.rdt.model.sampling import SamplingOptions
from policies.rdt.model.torch_runtime import resolve_device
from policies.rdt.policy import RDTPolicy
from tasks.errors import ConfigError
from tasks.settings import settings

_BATCH_ON_CPU, _BATCH = 1, 8


@settings
class RDTOptions(LoadingOptions, SamplingOptions):
    """Plans with RDT, from a checkpoint of ours or an official one."""

    checkpoint: str | None = None
    """Folder of a checkpoint of ours or in the official layout, or a hub name."""

    device: str = "auto"
    """``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:1``."""

    batch_size: int | None = None
    """Rows of every forward pass; if not given, 1 on a CPU, where unused rows cost as much as used
    ones, and 8 elsewhere."""

    def build(self) -> RDTPolicy:
        """Load the checkpoint as a policy.

        Raises:
            ConfigError: There is no checkpoint, or an option is not allowed or does not apply.
            SpecMismatchError: Parts of the checkpoint do not belong together.
            PrerequisiteError: A device is missing, or the hub cannot be reached.
        """
        if self.checkpoint is None:
            raise ConfigError(
                "Policy 'rdt' has no checkpoint. Needed: the folder of a trained one. "
                "Fix: give --checkpoint FOLDER, or train one with 'libero-bench train'."
            )
        device = resolve_device(self.device)
        usual = _BATCH_ON_CPU if device == "cpu" else _BATCH
        files = find_source(self.checkpoint, ema=self.weights == "ema")
        network, contract = load_network(files, self, device=device)
        return RDTPolicy(
            network,
            contract,
            device=device,
            batch_size=usual if self.batch_size is None else self.batch_size,
            sampling=self,
            files=files,
            more_files=tuple(find_source(p) for p in (self.base, self.config) if p is not None),
        )
