"""Event files for TensorBoard: curves, pictures, and the HParams table of all trials.

Written without TensorFlow, so that the process which searches need not import it. That rules out
`tensorboard.plugins.hparams.api` (imports it) and `EventFileWriter` (imports it when first used);
`RecordWriter` frames the records. What HParams wants is described in
`tensorboard/plugins/hparams/summary.py`: one experiment record above all sessions, one session per
trial, metrics as scalars.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from archsearch.errors import writing
from archsearch.run_folder import write_atomically
from archsearch.trials import Status, TrialRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["float", "str", "bool"]

TRIAL_COLUMNS: tuple[tuple[str, Kind], ...] = (("role", "str"), ("status", "str"), ("epochs", "float"))
"""Columns of every trial beside its hyperparameters. TensorBoard's own status does not tell running
out of time from failing, and its table cannot be sorted by it."""

TRIAL_METRICS = ("score", "macs", "params", "seconds")
"""Numbers of a trial that the HParams table can sort by and plot against each other."""

_TYPES = {
    "float": api_pb2.DATA_TYPE_FLOAT64,
    "str": api_pb2.DATA_TYPE_STRING,
    "bool": api_pb2.DATA_TYPE_BOOL,
}
_TAGS = {"learning_rate": "learning_rate", "seconds": "seconds per epoch"}
_file_numbers = itertools.count()


def _new_file(folder: Path, kind: str) -> Path:
    """A name that no other process or file has."""
    unique = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_file_numbers)}"
    return folder / f"events.out.tfevents.{unique}.{kind}"


def _records(*events: event_pb2.Event) -> bytes:
    """As they stand in a file."""
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def _first_event() -> event_pb2.Event:
    return event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2")


def _event(value: summary_pb2.Summary.Value, step: int = 0) -> event_pb2.Event:
    return event_pb2.Event(wall_time=time.time(), step=step, summary=summary_pb2.Summary(value=[value]))


def _remove_event_files(folder: Path, kind: str) -> None:
    for path in folder.glob(f"events.out.tfevents.*.{kind}"):
        with writing(path):
            path.unlink(missing_ok=True)


def _replace_event_file(folder: Path, kind: str, events: Sequence[event_pb2.Event]) -> None:
    """Writes a file whole or not at all, in place of the earlier ones of its kind.

    TensorBoard keeps the first hyperparameters it finds in a folder, so old ones have to go before. It reads
    whatever has "tfevents" in its name, so an unfinished file must not.
    """
    _remove_event_files(folder, kind)
    data = _records(_first_event(), *events)
    write_atomically(_new_file(folder, kind), data, temporary=f".{kind}.unfinished")


class TrialEvents:
    """The curves and pictures of one training, each in the file before the method returns.

    Args:
        folder: Where TensorBoard shows it as a run of its own.
        resume: Go on with the curves of an earlier process; otherwise they start over, as the training does.
    """

    def __init__(self, folder: Path, *, resume: bool = False) -> None:
        if not resume:
            _remove_event_files(folder, "curves")
        self._path = _new_file(folder, "curves")
        with writing(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            # A buffer would keep what a full disk refused, to fail with it again when it is closed.
            self._file = self._path.open("wb", buffering=0)
        self._append(_first_event())

    def _append(self, *events: event_pb2.Event) -> None:
        """Raises `StorageError` if they cannot be written; the file is closed then."""
        data = _records(*events)
        with writing(self._path):
            try:
                while data:
                    data = data[self._file.write(data) :]
            except OSError:
                self._file.close()
                raise

    def epoch(self, epoch: int, values: Mapping[str, float | None]) -> None:
        """Writes what one epoch gave, under `loss/train`, `loss/validation` and so on.

        Args:
            epoch: Counted from 1.
            values: Named as Keras names them, with `learning_rate` and `seconds`. Values that are `None`
                or not finite are left out.
        """
        finite = [
            (name, value) for name, value in values.items() if value is not None and math.isfinite(value)
        ]
        self._append(*(_event(_scalar(_tag(name), value), epoch) for name, value in finite))

    def image(self, name: str, picture: bytes | Figure, step: int = 0) -> None:
        """Adds a picture, a figure or the bytes of a PNG file."""
        if not isinstance(picture, bytes):
            from archsearch.reporting.figures import png  # half a second that a search does not spend

            picture = png(picture)
        self._append(_event(_image(name, picture), step))

    def close(self) -> None:
        """Closes the file; everything written is on disk already."""
        with writing(self._path):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def write_hparams_config(
    folder: Path,
    hyperparameters: Sequence[tuple[str, Kind]],
    metrics: Sequence[str] = TRIAL_METRICS,
) -> None:
    """Declares the columns of the HParams table of a run; written again, it replaces the earlier one.

    Args:
        folder: Of the run, `logs/<run>/`.
        hyperparameters: Every one a trial may ever have, conditional ones too; others get no column.
        metrics: Tags of the scalars to list.
    """
    # A hyperparameter of that name is the user's: theirs is shown, as in `write_trial_session`.
    own = [column for column in TRIAL_COLUMNS if column[0] not in dict(hyperparameters)]
    experiment = api_pb2.Experiment(time_created_secs=time.time())
    for name, kind in (*own, *hyperparameters):
        experiment.hparam_infos.add(name=name, type=_TYPES[kind])
    for metric in metrics:
        experiment.metric_infos.add(name=api_pb2.MetricName(tag=metric))
    declared = _hparams(hparams_metadata.EXPERIMENT_TAG, experiment=experiment)
    _replace_event_file(folder, "hparams", [_event(declared)])


def write_trial_session(folder: Path, record: TrialRecord) -> None:
    """Writes the row of a finished trial in the HParams table, with its score and costs as scalars.

    Written again, it replaces the earlier row: a trial out of time may be run once more.

    Args:
        folder: Of the trial, `logs/<run>/trials/<id>/`, where its curves are.
        record: Hyperparameters of Keras Tuner's own (`tuner/...`) are left out.
    """
    own = {"role": str(record.role), "status": str(record.status), "epochs": record.epochs}
    chosen = {name: value for name, value in record.hyperparameters.items() if not name.startswith("tuner/")}
    success = record.status is Status.COMPLETED
    end = plugin_data_pb2.SessionEndInfo(
        status=api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE, end_time_secs=time.time()
    )
    events = [_event(_session_start(own | chosen, seconds_ago=record.seconds))]
    for metric in TRIAL_METRICS:
        value = getattr(record, metric)
        if value is not None and math.isfinite(value):
            events.append(_event(_scalar(metric, value), record.epochs))
    events.append(_event(_hparams(hparams_metadata.SESSION_END_INFO_TAG, session_end_info=end)))
    _replace_event_file(folder, "hparams", events)


def _tag(name: str) -> str:
    if name in _TAGS:
        return _TAGS[name]
    return f"{name.removeprefix('val_')}/validation" if name.startswith("val_") else f"{name}/train"


def _scalar(tag: str, value: float) -> summary_pb2.Summary.Value:
    # Single precision: TensorBoard's fast reader, its default, drops scalars in double without a word.
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[float(value)])
    metadata = scalar_metadata.create_summary_metadata(display_name=None, description=None)
    return summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def _image(name: str, png: bytes) -> summary_pb2.Summary.Value:
    width, height = struct.unpack(">II", png[16:24])  # the first chunk of every PNG file
    strings = [b"%d" % width, b"%d" % height, png]
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=strings)
    tensor.tensor_shape.dim.add(size=3)
    metadata = image_metadata.create_summary_metadata(display_name=None, description=None)
    return summary_pb2.Summary.Value(tag=name, metadata=metadata, tensor=tensor)


def _session_start(values: Mapping[str, object], *, seconds_ago: float = 0.0) -> summary_pb2.Summary.Value:
    """Without a group name, so that TensorBoard names it by its folder: two runs may have equal trial ids."""
    start = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time() - seconds_ago)
    for name, value in values.items():
        if isinstance(value, bool):  # before numbers: a bool is an int
            start.hparams[name].bool_value = value
        elif isinstance(value, Real):  # NumPy's numbers too
            start.hparams[name].number_value = float(value)
        else:
            start.hparams[name].string_value = str(value)
    return _hparams(hparams_metadata.SESSION_START_INFO_TAG, session_start_info=start)


def _hparams(tag: str, **content: Any) -> summary_pb2.Summary.Value:
    metadata = hparams_metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
    return summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=hparams_metadata.NULL_TENSOR)
