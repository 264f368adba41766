"""`.npz` files, most of all the broken and the hostile."""

import errno
import io
import zipfile

import numpy as np
import pytest

from archsearch.errors import UserError
from archsearch.readers.npz import npz_facts, read_npz
from archsearch.readers.source import Facts

X = np.arange(4 * 8 * 9 * 3, dtype=np.uint64).reshape(4, 8, 9, 3).astype(np.uint8)
Y = np.array([0, 1, 0, 1])


def npz(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **({"x_train": X, "y_train": Y} | arrays))
    return path


def test_an_npz_comes_back_as_it_was_stored(tmp_path):
    names = np.array(["cat", "dog"])
    path = npz(tmp_path, x_test=X[:2], y_test=Y[:2], x_val=X[2:], y_val=Y[2:, None], class_names=names)
    source = read_npz(path)
    assert source.class_names == ("cat", "dog")
    assert np.array_equal(source.train.x, X)
    assert source.validation is not None
    assert source.validation.y.tolist() == [0, 1]
    assert npz_facts(path) == source.facts == Facts((2, 2), (8, 9, 3), num_validation=2)
    assert (source.has_test, source.num_test) == (True, 2)
    assert np.array_equal(source.read_test().x, X[:2])
    assert source.notes == ()


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = npz(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(UserError, match=r"data\.npz cannot be read: Permission denied\."):
        npz_facts(path)


def test_the_facts_of_an_npz_do_not_read_its_pixels(tmp_path):
    path = npz(tmp_path, x_train=np.tile(X, (50, 1, 1, 1)), y_train=np.tile(Y, 50))
    content = bytearray(path.read_bytes())
    content[content.rfind(X.tobytes())] ^= 0xFF  # the checksum is wrong now, as whoever reads on will find
    path.write_bytes(content)
    assert npz_facts(path) == Facts((100, 100), (8, 9, 3))
    with pytest.raises(UserError, match=r"data.npz cannot be read: Bad CRC-32"):
        read_npz(path)


def test_the_test_part_of_an_npz_is_read_when_called(tmp_path):
    path = npz(tmp_path, x_test=X, y_test=Y)
    source = read_npz(path)
    path.unlink()
    with pytest.raises(UserError, match=r"cannot be read: No such file or directory"):
        source.read_test()


def test_python_objects_in_an_npz_are_refused_and_never_run(tmp_path, evil):
    path = npz(tmp_path, y_train=np.array([evil] * 4, object))
    for read in (read_npz, npz_facts):
        with pytest.raises(
            UserError, match="y_train holds Python objects, and loading those can run any code"
        ):
            read(path)
    assert not (tmp_path / "ran").exists()


def test_python_objects_as_class_names_are_refused(tmp_path):
    with pytest.raises(UserError, match="class_names holds Python objects"):
        read_npz(npz(tmp_path, class_names=np.array(["a", "b"], object)))


@pytest.mark.parametrize("read", [read_npz, npz_facts])
def test_two_classes_of_one_name_are_refused(tmp_path, read):
    """Each class's accuracy stands under its name."""
    with pytest.raises(UserError, match=r"data\.npz: the class name 'cat' stands there twice"):
        read(npz(tmp_path, class_names=np.array(["cat", "cat"])))


def test_what_would_move_a_cursor_is_written_as_an_escape(tmp_path):
    names = np.array(["\x1b[2Jcat", "d\ud800g \u65e5\u672c"])
    assert read_npz(npz(tmp_path, class_names=names)).class_names == ("\\x1b[2Jcat", "d\\ud800g \u65e5\u672c")


@pytest.mark.parametrize("names", [["cat"], ["cat", "dog", "ox"]])
def test_class_names_must_be_as_many_as_classes(tmp_path, names):
    with pytest.raises(UserError, match=r"2 classes, but 1 class names|no image has 2 \('ox'\)"):
        read_npz(npz(tmp_path, class_names=np.array(names)))


def test_wrong_keys_are_answered_with_those_found(tmp_path):
    np.savez(tmp_path / "data.npz", images=X, labels=Y)
    with pytest.raises(UserError, match=r"data.npz has no x_train and no y_train: .* found images, labels\."):
        read_npz(tmp_path / "data.npz")


@pytest.mark.parametrize("key", ["x_test", "y_test", "x_val", "y_val"])
def test_half_a_part_is_refused(tmp_path, key):
    with pytest.raises(UserError, match=r"has no [xy]_(test|val): "):
        read_npz(npz(tmp_path, **{key: Y}))


def test_a_test_part_of_another_shape_is_seen_in_its_header(tmp_path):
    with pytest.raises(
        UserError, match=r"The test part of .* \(8, 8, 1\), but the training part has \(8, 9, 3\)"
    ):
        read_npz(npz(tmp_path, x_test=np.zeros((2, 8, 8)), y_test=[0, 1]))


@pytest.mark.parametrize("read", [read_npz, npz_facts])
@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"y_test": Y[:3]}, "has 4 images but 3 labels"),
        ({"y_test": np.eye(2)[Y]}, r"one whole class number an image, got the shape \(4, 2\) of float64"),
        ({"y_test": Y.astype(float)}, "one whole class number an image"),
        ({"x_test": X.astype(str)}, "pixels must be numbers"),
    ],
)
def test_what_the_headers_tell_of_a_wrong_test_part_is_refused_at_once(tmp_path, read, arrays, sentence):
    with pytest.raises(UserError, match=f"The test part of .*data.npz.* {sentence}"):
        read(npz(tmp_path, **({"x_test": X, "y_test": Y} | arrays)))


def test_an_npz_without_a_test_part_says_so(tmp_path):
    source = read_npz(npz(tmp_path))
    assert not source.has_test
    with pytest.raises(UserError, match=r"data.npz has no test part"):
        source.read_test()


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_no_zip_is_refused(tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"data.npz is no .npz file"):
        read_npz(tmp_path / "data.npz")


def test_an_npz_cut_anywhere_is_refused_with_a_sentence(tmp_path):
    path = npz(tmp_path)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=r"data.npz"):
            read_npz(path)


def test_an_npz_damaged_anywhere_is_read_or_refused_with_a_sentence(tmp_path, sentence_of):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x_train=X, y_train=Y, x_test=X, y_test=Y)
    content = path.read_bytes()
    sentences = set()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :])
        sentences |= {sentence_of(read_npz, path), sentence_of(npz_facts, path)}
    assert len(sentences) > 5
    assert all("data.npz" in text for text in sentences - {""})


def test_other_files_in_a_zip_are_no_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("x_train", b"text")
        archive.writestr("y_train.npy", b"text")
    with pytest.raises(UserError, match=r"data.npz cannot be read"):
        read_npz(tmp_path / "data.npz")


def test_a_header_whose_bracket_does_not_close_is_damage(tmp_path):
    array = io.BytesIO()
    np.save(array, X)
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("x_train.npy", array.getvalue().replace(b"}", b" ", 1))
        archive.writestr("y_train.npy", array.getvalue())
    with pytest.raises(UserError, match=r"data.npz cannot be read: .*multi-line"):
        npz_facts(tmp_path / "data.npz")
