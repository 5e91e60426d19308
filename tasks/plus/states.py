"""LIBERO-Plus's initial states, read without running anything in their files.

They are pickled NumPy arrays in zip files, as torch writes them, which torch itself refuses to read
safely. Here nothing but arrays of numbers can come out of a pickle.
"""

import codecs
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tasks.observation import FloatArray
from tasks.plus.source import PlusSource

_MOST_BYTES = 50_000_000

_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
"""What pickles call to make an array, wherever this version of NumPy keeps it."""


class _ArraysOnly(pickle.Unpickler):
    """Builds arrays of numbers and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
            ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): codecs.encode,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed[module, name]


def read_states(source: PlusSource, path: Path) -> FloatArray:
    """Read a file of initial states.

    Args:
        source: LIBERO-Plus.
        path: The file.

    Returns:
        (n, D) float64: time, qpos, qvel.

    Raises:
        PrerequisiteError: It is missing, damaged, or holds something else than states.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            inner = [entry for entry in archive.infolist() if entry.filename.endswith("data.pkl")]
            if len(inner) != 1 or inner[0].file_size > _MOST_BYTES:
                raise source.broken(path, "it holds no states")
            content = archive.read(inner[0])
        states = np.asarray(_ArraysOnly(io.BytesIO(content)).load())
    except FileNotFoundError as error:
        raise source.broken(path, "it is missing") from error
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise source.broken(path, f"it is damaged ({error})") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise source.broken(path, f"it holds no array of numbers ({error})") from error
    if states.dtype.kind != "f" or states.ndim not in (1, 2) or not states.size:
        raise source.broken(path, f"it holds {states.dtype} of shape {states.shape}, no states")
    if not np.isfinite(states).all():
        raise source.broken(path, "it holds NaN or infinity")
    return np.atleast_2d(np.asarray(states, dtype=np.float64))
