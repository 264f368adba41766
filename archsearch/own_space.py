"""A space of the user's own: `MODULE:CLASS`, looked for in the current folder first."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.errors import HyperModelError, UserError

if TYPE_CHECKING:
    import keras_tuner

    from archsearch.dataset import Splits
    from archsearch.image_statistics import ImageStatistics

PATTERN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def check_space(text: str) -> str:
    """Refuses what is no `MODULE:CLASS`; nothing is looked for.

    Raises:
        UserError: With how it is written.
    """
    if PATTERN.fullmatch(text) and ".py:" not in text:
        return text
    hint = ""
    if ".py:" in text:
        path, _, name = text.partition(".py:")
        hint = f" Try {'.'.join(Path(path).parts)}:{name}."
    raise UserError(f"A space is written MODULE:CLASS, like my_space:MyHyperModel; got {text!r}.{hint}")


def load_space(text: str, splits: Splits, statistics: ImageStatistics) -> keras_tuner.HyperModel:
    """An instance of the class, told of the images what its `__init__` asks for.

    That is any of `image_shape` (height, width, channels), `num_classes` and `statistics`, by name.

    Args:
        text: `MODULE:CLASS`.
        splits: The images.
        statistics: Of the training images.

    Raises:
        UserError: There is no such class, or it asks for something else.
        HyperModelError: The module, or the class, raises.
    """
    made = _find(check_space(text))
    offered = {
        "image_shape": splits.image_shape,
        "num_classes": splits.num_classes,
        "statistics": statistics,
    }
    parameters = inspect.signature(made).parameters.values()
    unknown = [
        each.name
        for each in parameters
        if each.default is each.empty
        and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        and each.name not in offered
    ]
    if unknown:
        raise UserError(
            f"{text} asks for {', '.join(unknown)}; a space may ask for {', '.join(offered)}, and gives "
            "everything else a default."
        )
    try:
        return made(**{each.name: offered[each.name] for each in parameters if each.name in offered})
    except (Exception, SystemExit) as error:
        raise HyperModelError(f"{text} cannot be made: {type(error).__name__}: {error}") from error


def _find(text: str) -> Any:
    import keras_tuner

    module_name, _, name = text.partition(":")
    module = _import(module_name, text)
    found = getattr(module, name, None)
    if inspect.isclass(found) and issubclass(found, keras_tuner.HyperModel):
        return found
    others = [
        each.__name__
        for each in vars(module).values()
        if inspect.isclass(each)
        and issubclass(each, keras_tuner.HyperModel)
        and each.__module__ == module.__name__
    ]
    problem = f"has no {name}" if found is None else f"{name} is no keras_tuner.HyperModel"
    there = f"; there is {', '.join(others)}" if others else ""
    raise UserError(f"The module {module_name} ({module.__file__}) {problem}{there}.")


def _import(name: str, text: str) -> Any:
    """From the current folder first, which stays on the path: worker processes look there, too."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise HyperModelError(f"{text} cannot be imported: {error}.") from error
        raise UserError(
            f"There is no module {error.name} in {here}, nor among the installed ones: run the command in "
            f"the folder that --space {text} is to be found in."
        ) from None
    except (Exception, SystemExit) as error:
        raise HyperModelError(f"{text} cannot be imported: {type(error).__name__}: {error}") from error
