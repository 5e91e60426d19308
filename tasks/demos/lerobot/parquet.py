"""Reading columns of Parquet files that may be damaged, foreign or hostile.

Only named columns are read, only as numbers, text or bytes, and only after the sizes that the file
declares were compared with what memory allows and with the file's own size.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tasks.demos.lerobot.info import refusal
from tasks.errors import PrerequisiteError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_MOST_BYTES = 2 << 30
"""That one call reads, uncompressed."""
_MOST_ROWS = 1 << 26
_MOST_RATIO = 2000
"""Of a column's declared size to the file's; repeated numbers compress well."""

Numbers = npt.NDArray[Any]


class ParquetColumns:
    """The columns of an open Parquet file."""

    def __init__(self, root: Path, path: Path, file: "pq.ParquetFile") -> None:
        self._root, self._path, self._file = root, path, file
        self.rows: int = file.metadata.num_rows
        self.names: list[str] = file.schema_arrow.names
        if not 0 <= self.rows <= _MOST_ROWS:
            raise self._refuse(f"declares {self.rows:,} rows")

    @property
    def groups(self) -> list[int]:
        """Rows of each row group."""
        meta = self._file.metadata
        return [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]

    def numbers(self, name: str, size: int | None = None) -> Numbers:
        """Read a column of numbers: (rows,), or (rows, size) where each row is a list.

        Args:
            name: The column.
            size: Numbers in a row; None for a plain column.

        Raises:
            ConfigError: It is missing, damaged, holds something else, or rows of other sizes.
        """
        import pyarrow as pa

        column = self._column(name)
        kind = column.type
        with self._reading(name):
            if size is None or (size == 1 and not _is_list(kind)):
                array = _plain(column, name)
                return array if size is None else array[:, None]
            if not _is_list(kind):
                raise ValueError(f"is {kind}, not a list of {size} numbers")
            if column.null_count:
                raise ValueError("has rows without a value")
            flat = column.combine_chunks() if column.num_chunks else pa.array([], type=kind)
            if isinstance(flat, pa.ChunkedArray):
                flat = pa.concat_arrays(flat.chunks)
            lengths = flat.value_lengths().to_numpy(zero_copy_only=False) if len(flat) else []
            if not (np.asarray(lengths) == size).all():
                raise ValueError(f"has rows that do not have {size} numbers")
            return _plain(flat.flatten(), name).reshape(-1, size)

    def texts(self, name: str) -> list[Any]:
        """Read a column of text, or of lists of text."""
        column = self._column(name)
        with self._reading(name):
            return list(column.to_pylist())

    def images(self, name: str, group: int) -> list[bytes]:
        """Read the encoded images of a row group."""
        import pyarrow as pa

        column = self._column(name, [group])
        with self._reading(name):
            if pa.types.is_struct(column.type):
                column = pa.chunked_array(
                    [chunk.field("bytes") for chunk in column.chunks], type=pa.binary()
                )
            if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
                raise ValueError(f"is {column.type}, not encoded images")
            return [value or b"" for value in column.to_pylist()]

    def _column(self, name: str, groups: Sequence[int] | None = None) -> "pa.ChunkedArray":
        if name not in self.names:
            raise self._refuse(f"has no column '{name}'")
        meta = self._file.metadata
        chosen = range(meta.num_row_groups) if groups is None else groups
        declared = 0
        for group in chosen:
            row_group = meta.row_group(group)
            for number in range(row_group.num_columns):
                chunk = row_group.column(number)
                if chunk.path_in_schema.split(".")[0] == name:
                    declared += chunk.total_uncompressed_size
        size = self._path.stat().st_size
        if declared > min(_MOST_BYTES, max(_MOST_RATIO * size, 1 << 20)) or declared < 0:
            raise self._refuse(f"declares {declared:,} bytes in '{name}', and has {size:,}")
        with self._reading(name):
            return self._file.read_row_groups(list(chosen), columns=[name]).column(0)

    def _refuse(self, why: str) -> Exception:
        return refusal(self._root, f"{self._path.relative_to(self._root)} {why}")

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, ValueError, TypeError, MemoryError) as error:
            words = " ".join(str(error).split())[:200]
            raise self._refuse(f"cannot be read at '{name}' ({words})") from error


@contextmanager
def open_parquet(root: Path, path: Path) -> Iterator[ParquetColumns]:
    """Open a Parquet file of a data set.

    Raises:
        ConfigError: It is missing, truncated, or no Parquet file.
        PrerequisiteError: PyArrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise PrerequisiteError(
            "LeRobot data sets need PyArrow. Fix: pip install 'libero-bench[lerobot]'."
        ) from error
    try:
        file = pq.ParquetFile(
            path, thrift_string_size_limit=256 << 20, thrift_container_size_limit=16 << 20
        )
    except FileNotFoundError as error:
        raise refusal(root, f"{path.relative_to(root)} is missing") from error
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise refusal(
            root, f"{path.relative_to(root)} is no Parquet file, or a truncated one"
        ) from error
    with file:
        yield ParquetColumns(root, path, file)


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _plain(column: Any, name: str) -> Numbers:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ValueError(f"is {kind}, not numbers")
    if column.null_count:
        raise ValueError("has rows without a value")
    array = column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(False)
    return np.ascontiguousarray(array)
