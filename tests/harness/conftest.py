"""Make ``tests.harness.doubles`` importable, here and in worker processes; demos to share."""

import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


@pytest.fixture(scope="session")
def collection_config(tmp_path_factory):
    """Two small demos of one task, collected by two workers."""
    from harness.demonstrations.config import CollectionConfig

    return CollectionConfig(
        suite="libero_object",
        tasks=(0,),
        out=tmp_path_factory.mktemp("demos"),
        demos=2,
        resolution=32,
        workers=2,
    )


@pytest.fixture(scope="session")
def collected(collection_config):
    """What became of the task of ``collection_config``."""
    from harness.demonstrations.collection import collect

    return collect(collection_config)[0]
