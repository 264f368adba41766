"""What TensorBoard shows of a training and of the trials: curves, pictures, the network, the HParams table.

What HParams wants is described in `tensorboard/plugins/hparams/summary.py`: one experiment record above all
sessions, one session per trial, metrics as scalars.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata

from archsearch.reporting import event_file
from archsearch.reporting.event_file import EventFile, event, new_file, remove_files, replace_file
from archsearch.trials import Status, TrialRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["float", "str", "bool"]

TRIAL_COLUMNS: tuple[tuple[str, Kind, str], ...] = (
    ("trial", "str", "id, as in trials.jsonl"),
    ("role", "str", "baseline, search, or confirm: trained again with a fresh seed"),
    ("epochs", "float", "of one complete training; scores are comparable among equal ones only"),
    ("status", "str", "COMPLETED, FAILED or TIMED_OUT"),
)
"""Columns of every trial beside its hyperparameters. TensorBoard's own status does not tell running
out of time from failing, and its table cannot be sorted by it."""

TRIAL_METRICS = {
    "score": "the objective at the last epoch, on the validation split",
    "macs": "multiply-adds of one forward pass on one image",
    "params": "weights",
    "seconds": "wall-clock of the trial",
}
"""Numbers of a trial that the HParams table can sort by and plot against each other."""

NUM_SHOWN = 5
"""Columns that TensorBoard shows before anything is chosen."""

_METRIC_TAG = "trial/"
"""Before the tags of the metrics, so that they stand together among the curves."""

_TYPES = {
    "float": api_pb2.DATA_TYPE_FLOAT64,
    "str": api_pb2.DATA_TYPE_STRING,
    "bool": api_pb2.DATA_TYPE_BOOL,
}
_TAGS = {
    "learning_rate": "learning_rate",
    "seconds": "seconds per epoch",
    "steps": "steps per epoch",
}


class TrialEvents(EventFile):
    """The curves of one training, each epoch in the file before the method returns.

    Args:
        folder: Where TensorBoard shows it as a run of its own. Curves of an earlier process are removed: a
            training that goes on tells its earlier epochs again.
    """

    def __init__(self, folder: Path) -> None:
        remove_files(folder, "curves")
        super().__init__(new_file(folder, "curves"), restart=True)

    def epoch(self, epoch: int, values: Mapping[str, float | None]) -> None:
        """Writes what one epoch gave, under `loss/train`, `loss/validation` and so on.

        Args:
            epoch: Counted from 1.
            values: Named as Keras names them, with `learning_rate` and `seconds`. Values that are `None`
                or not finite are left out.
        """
        self.append(*(event(value, step=epoch) for value in _epoch_values(values)))


class ResultEvents(EventFile):
    """The pictures and the network of a training that is over, in place of those of an earlier process.

    Args:
        folder: Of the training, where its curves are.
    """

    def __init__(self, folder: Path) -> None:
        remove_files(folder, "results")
        super().__init__(new_file(folder, "results"))

    def image(self, name: str, picture: bytes | Figure, step: int = 0) -> None:
        """Adds a picture, a figure or the bytes of a PNG file; those of a training stand side by side."""
        if not isinstance(picture, bytes):
            from archsearch.reporting.figures import png  # half a second that a search does not spend

            picture = png(picture)
        self.append(event(event_file.image(f"pictures/{name}", picture), step=step))

    def network(self, model: Any) -> None:
        """Adds the layers of a Keras model to the Graphs tab.

        A model that is no graph of layers, or cannot be described, is left out, and stderr told why: it is
        no reason to fail.
        """
        from archsearch.reporting.network_graph import layer_graph

        try:
            graph, description = layer_graph(model).SerializeToString(), model.to_json()
        except Exception as error:  # a layer of the user's own may raise anything where it is described
            reason = f"{type(error).__name__}: {error}"
            print(f"TensorBoard's graph of the network was left out: {reason}", file=sys.stderr)
            return
        self.append(event_file.graph_event(graph))
        self.append(event(event_file.keras_graph("keras", description)))


def write_trial_curves(folder: Path, record: TrialRecord, *, begin: float) -> None:
    """The curves of a finished trial from its record, where the files it wrote itself are gone.

    Args:
        folder: Of the trial.
        record: Of the trial.
        begin: When the search began, as `time.time()`.
    """
    when = begin + record.elapsed_seconds - record.seconds
    events = []
    for epoch, values in enumerate(record.curve, start=1):
        when += values.get("seconds") or 0.0
        events += [event(value, step=epoch, wall_time=when) for value in _epoch_values(values)]
    replace_file(folder, "curves", events, restart=True)


def write_hparams_config(
    folder: Path, hyperparameters: Sequence[tuple[str, Kind]], *, always: Sequence[str] = ()
) -> None:
    """Declares the columns of the HParams table of a run; written again, it replaces the earlier one.

    TensorBoard shows five columns until others are chosen, and its parallel coordinates leave out every trial
    that has no value in one of them. So these have to be columns that all trials fill.

    Args:
        folder: Of the run, `logs/<run>/`.
        hyperparameters: Every one a trial may ever have, conditional ones too; others get no column.
        always: Of these, the ones that every trial has, those to be shown first in front.
    """
    # A hyperparameter of that name is the user's: theirs is shown, as in `write_trial_session`.
    own = [column for column in TRIAL_COLUMNS if column[0] not in dict(hyperparameters)]
    shown = [name for name in ("epochs", "role") if name not in dict(hyperparameters)]
    shown += [name for name in always if name in dict(hyperparameters)]
    experiment = api_pb2.Experiment(time_created_secs=time.time())
    for name, kind, text in (*own, *((name, kind, "") for name, kind in hyperparameters)):
        info = experiment.hparam_infos.add(name=name, type=_TYPES[kind], description=text)
        info.differs = name in shown[:NUM_SHOWN]  # TensorBoard sorts by this, then by name
    for metric, text in TRIAL_METRICS.items():
        tag = api_pb2.MetricName(tag=_METRIC_TAG + metric)
        experiment.metric_infos.add(name=tag, display_name=metric, description=text)
    declared = event_file.hparams(hparams_metadata.EXPERIMENT_TAG, experiment=experiment)
    replace_file(folder, "hparams", [event(declared)])


def write_trial_session(folder: Path, record: TrialRecord, *, begin: float | None = None) -> None:
    """Writes the row of a finished trial in the HParams table, with its score and costs as scalars.

    Written again, it replaces the earlier row: a trial out of time may be run once more.

    Args:
        folder: Of the trial, `logs/<run>/trials/<id>/`, where its curves are.
        record: Hyperparameters of Keras Tuner's own (`tuner/...`) are left out.
        begin: When the search began, as `time.time()`; by default the trial ends now.
    """
    end = time.time() if begin is None else begin + record.elapsed_seconds
    own = {
        "trial": record.trial_id,
        "role": str(record.role),
        "status": str(record.status),
        "epochs": record.epochs,
    }
    chosen = {name: value for name, value in record.hyperparameters.items() if not name.startswith("tuner/")}
    status = api_pb2.STATUS_SUCCESS if record.status is Status.COMPLETED else api_pb2.STATUS_FAILURE
    ended = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=end)
    metrics = {_METRIC_TAG + metric: getattr(record, metric) for metric in TRIAL_METRICS}
    values = [
        _session_start(own | chosen, end - record.seconds),
        *_scalars(metrics),
        event_file.hparams(hparams_metadata.SESSION_END_INFO_TAG, session_end_info=ended),
    ]
    replace_file(folder, "hparams", [event(value, step=record.epochs, wall_time=end) for value in values])


def _epoch_values(values: Mapping[str, float | None]) -> list[summary_pb2.Summary.Value]:
    return _scalars({_tag(name): value for name, value in values.items()})


def _scalars(values: Mapping[str, float | None]) -> list[summary_pb2.Summary.Value]:
    return [
        event_file.scalar(tag, value)
        for tag, value in values.items()
        if value is not None and math.isfinite(value)
    ]


def _tag(name: str) -> str:
    if name in _TAGS:
        return _TAGS[name]
    return f"{name.removeprefix('val_')}/validation" if name.startswith("val_") else f"{name}/train"


def _session_start(values: Mapping[str, object], begin: float) -> summary_pb2.Summary.Value:
    """Without a group name, so that TensorBoard names it by its folder: two runs may have equal trial ids."""
    start = plugin_data_pb2.SessionStartInfo(start_time_secs=begin)
    for name, value in values.items():
        if isinstance(value, bool):  # before numbers: a bool is an int
            start.hparams[name].bool_value = value
        elif isinstance(value, Real):  # NumPy's numbers too
            start.hparams[name].number_value = float(value)
        else:
            start.hparams[name].string_value = str(value)
    return event_file.hparams(hparams_metadata.SESSION_START_INFO_TAG, session_start_info=start)
