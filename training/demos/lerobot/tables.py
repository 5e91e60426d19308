"""The Parquet files of a LeRobot data set, readable by LeRobot, ``datasets`` and pandas."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import PrerequisiteError
from tasks.files import atomic_file

if TYPE_CHECKING:
    import pyarrow as pa

    from training.demos.lerobot.schema import Array

Features = Mapping[str, Mapping[str, Any]]


def frame_table(
    features: Features, columns: "Mapping[str, Array]", images: Mapping[str, Sequence[bytes]]
) -> "pa.Table":
    """Return the rows of an episode.

    Args:
        features: As ``meta/info.json`` has them.
        columns: Numbers by feature.
        images: PNG files by feature; empty where images are in videos.
    """
    pa = import_pyarrow()
    schema = frame_schema(features)
    arrays = []
    for field in schema:
        if field.name in images:
            rows = [{"bytes": each, "path": None} for each in images[field.name]]
            arrays.append(pa.array(rows, type=field.type))
            continue
        values = columns[field.name]
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(values.ravel(), type=field.type.value_type)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, field.type.list_size))
        else:
            arrays.append(pa.array(values.ravel(), type=field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def frame_schema(features: Features) -> "pa.Schema":
    """Return the Arrow schema of frames, with what the hub's viewer reads of it."""
    pa = import_pyarrow()
    fields: list[Any] = []
    described: dict[str, Any] = {}
    for key, feature in features.items():
        dtype, size = feature["dtype"], feature["shape"]
        if dtype == "video":
            continue
        if dtype == "image":
            fields.append((key, pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
            described[key] = {"_type": "Image"}
            continue
        kind = pa.from_numpy_dtype(dtype)
        value = {"dtype": dtype, "_type": "Value"}
        if size == [1]:
            fields.append((key, kind))
            described[key] = value
        else:
            fields.append((key, pa.list_(kind, size[0])))
            described[key] = {"feature": value, "length": size[0], "_type": "List"}
    metadata = {"huggingface": json.dumps({"info": {"features": described}})}
    return pa.schema(fields, metadata=metadata)


def write_tables(path: Path, tables: "Iterable[pa.Table]") -> None:
    """Write tables into one Parquet file, a row group each, atomically."""
    import_pyarrow()
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as draft:
        writer = None
        try:
            for table in tables:
                writer = writer or pq.ParquetWriter(draft, table.schema, compression="snappy")
                writer.write_table(table, row_group_size=max(len(table), 1))
        finally:
            if writer is not None:
                writer.close()


def write_tasks(path: Path, tasks: Sequence[str]) -> None:
    """Write ``meta/tasks.parquet``: pandas' frame with the tasks as its index."""
    pa = import_pyarrow()
    described = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            _pandas_column("task_index", "int64", "int64"),
            _pandas_column("task", "unicode", "object"),
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    schema = pa.schema(
        [("task_index", pa.int64()), ("task", pa.string())],
        metadata={"pandas": json.dumps(described)},
    )
    write_tables(path, [pa.table([list(range(len(tasks))), list(tasks)], schema=schema)])


def _pandas_column(name: str, pandas: str, numpy: str) -> dict[str, Any]:
    return {
        "name": name,
        "field_name": name,
        "pandas_type": pandas,
        "numpy_type": numpy,
        "metadata": None,
    }


def import_pyarrow() -> Any:
    """Import PyArrow.

    Raises:
        PrerequisiteError: It is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise PrerequisiteError(
            "LeRobot data sets need PyArrow. Fix: pip install 'libero-bench[lerobot]'."
        ) from error
    return pyarrow
