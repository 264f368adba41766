"""Event files as TensorBoard reads them: how values stand in them, and how they come onto the disk.

Written without TensorFlow, so that the process which searches need not import it. That rules out
`tensorboard.plugins.hparams.api` (imports it) and `EventFileWriter` (imports it when first used);
`RecordWriter` frames the records.
"""

from __future__ import annotations

import io
import itertools
import os
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
from tensorboard.plugins.graph import metadata as graph_metadata
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from archsearch.errors import writing
from archsearch.run_folder import write_atomically

_file_numbers = itertools.count()


def new_file(folder: Path, kind: str) -> Path:
    """A name that no other process or file has, and that sorts after those of earlier ones.

    A running TensorBoard reads the files of a folder in the order of their names.
    """
    unique = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_file_numbers):06d}"
    return folder / f"events.out.tfevents.{unique}.{kind}"


def files_of(folder: Path, kind: str) -> list[Path]:
    """The event files of a kind."""
    return sorted(folder.glob(f"events.out.tfevents.*.{kind}"))


def remove_files(folder: Path, kind: str) -> None:
    """Removes the event files of a kind."""
    for path in files_of(folder, kind):
        with writing(path):
            path.unlink(missing_ok=True)


def replace_file(
    folder: Path, kind: str, events: Sequence[event_pb2.Event], *, restart: bool = False
) -> Path:
    """Writes a file whole or not at all, in place of the earlier ones of its kind.

    TensorBoard keeps the first hyperparameters it finds in a folder, so old ones have to go before. It reads
    whatever has "tfevents" in its name, so an unfinished file must not.

    Args:
        restart: Whether a running TensorBoard forgets what it read in this folder before.
    """
    remove_files(folder, kind)
    path = new_file(folder, kind)
    data = _records([*_first_events(restart=restart), *events])
    write_atomically(path, data, temporary=f".{kind}.unfinished")
    return path


class EventFile:
    """A file to which events are appended, each on disk before `append` returns.

    Args:
        path: Of a new file, or of one to go on with.
        restart: Whether a running TensorBoard forgets what it read in this folder before a new file.
    """

    def __init__(self, path: Path, *, restart: bool = False) -> None:
        self._path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            begun = path.exists()
            # A buffer would keep what a full disk refused, to fail with it again when it is closed.
            self._file = path.open("ab", buffering=0)
        if not begun:
            self.append(*_first_events(restart=restart))

    def append(self, *events: event_pb2.Event) -> None:
        """Raises `StorageError` if they cannot be written; the file is closed then."""
        data = _records(events)
        with writing(self._path):
            try:
                while data:
                    data = data[self._file.write(data) :]
            except OSError:
                self._file.close()
                raise

    def close(self) -> None:
        """Closes the file; everything written is on disk already."""
        with writing(self._path):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _records(events: Sequence[event_pb2.Event]) -> bytes:
    """As they stand in a file."""
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def _first_events(*, restart: bool) -> list[event_pb2.Event]:
    version = event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2")
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    return [version, event_pb2.Event(wall_time=time.time(), session_log=start)][: 2 if restart else 1]


def event(
    *values: summary_pb2.Summary.Value, step: int = 0, wall_time: float | None = None
) -> event_pb2.Event:
    """Values of one step.

    Args:
        wall_time: In seconds since 1970; now by default.
    """
    when = time.time() if wall_time is None else wall_time
    return event_pb2.Event(wall_time=when, step=step, summary=summary_pb2.Summary(value=values))


def graph_event(graph: bytes) -> event_pb2.Event:
    """A graph, as a serialised `GraphDef`."""
    return event_pb2.Event(wall_time=time.time(), graph_def=graph)


def scalar(tag: str, value: float) -> summary_pb2.Summary.Value:
    """A number of a curve."""
    # Single precision: TensorBoard's fast reader, its default, drops scalars in double without a word.
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[float(value)])
    metadata = scalar_metadata.create_summary_metadata(display_name=None, description=None)
    return summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def image(tag: str, png: bytes, description: str = "") -> summary_pb2.Summary.Value:
    """A picture.

    Args:
        png: Of a PNG file.
        description: Shown beside it on request, as Markdown.
    """
    width, height = struct.unpack(">II", png[16:24])  # the first chunk of every PNG file
    strings = [b"%d" % width, b"%d" % height, png]
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=strings)
    tensor.tensor_shape.dim.add(size=3)
    metadata = image_metadata.create_summary_metadata(display_name=None, description=description or None)
    return summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def keras_graph(tag: str, model_json: str) -> summary_pb2.Summary.Value:
    """Layers of a Keras model, as `model.to_json()` describes them."""
    plugin = summary_pb2.SummaryMetadata.PluginData(
        plugin_name=graph_metadata.PLUGIN_NAME_KERAS_MODEL, content=b"1"
    )
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[model_json.encode()])
    metadata = summary_pb2.SummaryMetadata(plugin_data=plugin)
    return summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def hparams(tag: str, **content: Any) -> summary_pb2.Summary.Value:
    """One of the records of the HParams table."""
    metadata = hparams_metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
    return summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=hparams_metadata.NULL_TENSOR)
