"""Registration of the environments with Gymnasium, which is imported only by those who need it."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_GYMNASIUM = "gymnasium"


def register_with_gymnasium() -> None:
    """Register every suite's environment now, or as soon as Gymnasium is imported."""
    if _GYMNASIUM in sys.modules:
        register_environments()
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def register_environments() -> None:
    """Register ``libero/<suite>-v0`` for every suite that is not registered yet."""
    from gymnasium.envs.registration import register, registry

    from tasks.suites import EVERY_SUITE

    for suite in EVERY_SUITE:
        name = f"libero/{suite}-v0"
        if name not in registry:
            # The environment checks its own step limit, which depends on the protocol.
            register(
                id=name,
                entry_point="tasks.environment:LiberoEnv",
                kwargs={"suite": suite},
                order_enforce=True,
            )


class _Finder(MetaPathFinder):
    """Finds Gymnasium as the other finders do, with a loader that registers the environments."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _GYMNASIUM:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, self)
                return spec
        return None


class _Loader(Loader):
    """Gymnasium's own loader; the registration follows it, once."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self._loader, self._finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        sys.meta_path.remove(self._finder)
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        register_environments()
