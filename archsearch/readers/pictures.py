"""Pictures as PIL sees them: opened whatever their kind, and fitted into a size."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from archsearch.runtime import num_cores

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""Looked for whatever the ending says. Others are not: of PostScript, say, PIL would start an interpreter."""

MAX_THREADS = 8

LARGE = 16_000_000
"""Pixels, decoded, of which one picture at a time is held: some take 4 bytes, and a copy."""

BLOCK = 64
"""Files that a thread takes at a time."""

OnImages = Callable[[int, int], None]
"""Called now and then with how many files are done, and of how many."""

_one_large = threading.Lock()
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 lie on their side
_TIFF_SIDES = (256, 257)  # the tags of width and height
_S = TypeVar("_S")
_T = TypeVar("_T")


def decode(content: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """One picture as (height, width, 3): turned as its EXIF data say, in RGB, padded with black.

    Transparency is laid on white, as a viewer shows it: a drawing in black ink would vanish on black. Of an
    animation the first picture counts.

    Args:
        content: Of the file.
        height, width: What the picture is fitted into.
    """
    with Image.open(BytesIO(content), formats=FORMATS) as opened:
        # Lets a large JPEG be decoded at an eighth, a quarter or half its size, never below twice ours.
        opened.draft(None, (2 * max(height, width), 2 * max(height, width)))
        if opened.width * opened.height <= LARGE:
            return _decoded(opened, height, width)
        with _one_large:
            return _decoded(opened, height, width)


def _decoded(opened: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    picture = ImageOps.exif_transpose(opened)
    if picture.mode.startswith(("I", "F")):
        picture = _to_eight_bits(picture)
    if picture.has_transparency_data:
        transparent = picture.convert("RGBA")
        white = Image.new("RGBA", transparent.size, "white")
        picture = Image.alpha_composite(white, transparent)
    return np.asarray(_fit(picture.convert("RGB"), height, width))


def why_broken(error: Exception) -> str:
    """In a few words for a person, what is the matter with a picture that could not be decoded."""
    if isinstance(error, UnidentifiedImageError):
        return "no image"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (" ".join(str(error).split()) or type(error).__name__)[:80]


def resize(x: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Images of (n, h, w, c) at another size, as large as fits and padded with black."""
    resized = np.empty((len(x), height, width, x.shape[3]), np.uint8)
    for position, pixels in enumerate(x):
        picture = Image.fromarray(pixels[:, :, 0] if x.shape[3] == 1 else pixels)
        resized[position] = np.asarray(_fit(picture, height, width)).reshape(height, width, -1)
    return resized


def upright_size(file: Path) -> tuple[int, int] | None:
    """Height and width from the header, as the picture is meant to be seen; None if it is broken."""
    try:
        with Image.open(file, formats=FORMATS) as picture:
            width, height = picture.size
            if isinstance(picture, TiffImagePlugin.TiffImageFile):
                # As stored: newer versions of PIL give the size of these, and of no others, as it is seen.
                width, height = (int(picture.tag_v2[tag]) for tag in _TIFF_SIDES)
            # That of a PNG would decode all of it, for EXIF data may come last there. They hardly ever do.
            lies = Image.Image.getexif(picture).get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return (width, height) if lies else (height, width)
    except Exception:  # PIL's readers raise almost anything on damaged bytes
        return None


def map_quietly(
    function: Callable[[_S], _T], items: Sequence[_S], on_images: OnImages | None = None
) -> list[_T]:
    """The function of each item, in threads: PIL decodes without holding Python's lock.

    Its warnings about odd files are dropped, except that of a picture too large to be meant, which becomes an
    error.

    Args:
        function: May be called in any order.
        items: Of which each thread takes some at a time.
        on_images: Told in this thread.
    """
    results: list[_T] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(_num_threads()) as pool:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for block in pool.map(lambda block: [function(item) for item in block], _blocks(items)):
            results += block
            if on_images is not None:
                on_images(len(results), len(items))
    return results


def _blocks(items: Sequence[_S]) -> Iterable[Sequence[_S]]:
    return [items[first : first + BLOCK] for first in range(0, len(items), BLOCK)]


def _num_threads() -> int:
    """As many as this process has cores."""
    return min(num_cores(), MAX_THREADS)


def _fit(picture: Image.Image, height: int, width: int) -> Image.Image:
    """The picture as large as fits, in the middle of a black one of the size asked for."""
    scale = min(height / picture.height, width / picture.width)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    fitted = picture.resize(size, Image.Resampling.BILINEAR)
    if size == (width, height):
        return fitted
    canvas = Image.new(picture.mode, (width, height))
    canvas.paste(fitted, ((width - size[0]) // 2, (height - size[1]) // 2))
    return canvas


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels are neither of 8 nor of 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))
