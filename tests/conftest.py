"""What several test modules share, and the rule that the tests without TensorFlow stay without it.

Modules whose tests are marked `tensorflow` import it inside their functions: collecting does not load it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

# The same examples in every run, and no limit on the time of one: the machine may be busy.
hypothesis.settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("deterministic")

WITH_TENSORFLOW = ("tensorflow", "end_to_end")


def may_import_tensorflow(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in WITH_TENSORFLOW)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Ends a run without TensorFlow whose collection imported it."""
    if "tensorflow" in sys.modules and not any(may_import_tensorflow(item) for item in session.items):
        raise pytest.UsageError(
            "Collecting the tests imported TensorFlow. Import it, keras, keras_tuner and what needs them "
            "inside the test functions."
        )


@pytest.fixture(autouse=True)
def without_tensorflow(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that imports TensorFlow without saying so by a mark."""
    loaded_before = "tensorflow" in sys.modules
    yield
    if not loaded_before and not may_import_tensorflow(request.node):
        assert "tensorflow" not in sys.modules, "This test imports TensorFlow: mark it `tensorflow`."


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same weights in every run, where a test does not seed them itself.

    Not in the first test of a process, if that one loads TensorFlow without the fixture below.
    """
    if "tensorflow" in sys.modules:
        import keras

        keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def tensorflow() -> Any:
    """TensorFlow, set up as the program sets it up."""
    from archsearch import runtime

    return runtime.import_tensorflow()
