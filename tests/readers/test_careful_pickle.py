"""A stranger's pickle: what comes back, and what is never run or made."""

import os
import pickle

import numpy as np
import pytest

from archsearch.errors import UserError
from archsearch.readers.careful_pickle import bytes_of, unpickle

ROWS = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("rows", [ROWS, np.asfortranarray(ROWS)])
def test_arrays_and_containers_of_every_protocol_come_back(rows, protocol):
    content = pickle.dumps({b"data": rows, "labels": [8, 9], b"name": (b"one", None)}, protocol)
    values = unpickle(content, "It")
    assert bytes_of(values["data"]).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (values["labels"], values["name"]) == ([8, 9], (b"one", None))


@pytest.mark.parametrize(
    "call",
    [b"cbuiltins\neval\n", b"cnumpy\nload\n", b"cnumpy\nndarray.tofile\n", b"ccopyreg\n_reconstructor\n"],
)
def test_functions_next_to_those_needed_are_refused(call):
    with pytest.raises(UserError, match=r"It is refused: contains .*, where only arrays"):
        unpickle(call + b"(V1\ntR.", "It")


def test_a_command_is_refused_by_name_and_never_run(tmp_path, evil):
    with pytest.raises(UserError, match=rf"refused: contains {os.system.__module__}\.system"):
        unpickle(pickle.dumps({"data": [evil]}), "It")
    assert not (tmp_path / "ran").exists()


def test_an_array_of_addresses_from_the_file_is_never_made():
    array = b"cnumpy\nndarray\n((I1\ntcnumpy\ndtype\n(VO\ntRC\x08AAAAAAAAtR"
    values = unpickle(b"(dVdata\n" + array + b"s.", "It")
    assert not isinstance(values["data"], np.ndarray)
    with pytest.raises(ValueError, match="unpack"):
        bytes_of(values["data"])


@pytest.mark.parametrize("array", [[1], ROWS.astype(np.int16), ROWS.astype(object)])
def test_only_arrays_of_bytes_are_bytes(array):
    values = unpickle(pickle.dumps({"data": array}), "It")
    with pytest.raises(ValueError, match=r"no array|not of uint8"):
        bytes_of(values["data"])


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps([1, 2]), pickle.dumps({"a": 1})[:-3]])
def test_what_is_damaged_or_no_dictionary_is_told(content):
    with pytest.raises(UserError, match="It cannot be read: "):
        unpickle(content, "It")
