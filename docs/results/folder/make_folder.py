"""Makes a folder of images as people have them, from the arrays of CIFAR-10.

    python docs/results/folder/make_folder.py cifar10.npz photos

In `photos/train` ten classes, the largest with ten times the images of the smallest; in `photos/test` a
hundred of each. PNG files of many sizes; a tenth is grey, a tenth has an alpha channel, and some cannot be
read. The same on every machine.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LARGEST, SMALLEST, TEST = 500, 50, 100
BROKEN = {"train": 10, "test": 3}
"""Within one in a hundred, which is what is left out with a note."""


def main(archive: str, target: str) -> None:
    rng = np.random.default_rng(7)
    steps = np.arange(len(NAMES)) / (len(NAMES) - 1)
    counts = np.rint(LARGEST * (SMALLEST / LARGEST) ** steps).astype(int)
    with np.load(archive, allow_pickle=False) as data:
        for part, sizes in (("train", counts), ("test", [TEST] * len(NAMES))):
            x, y = data[f"x_{part}"], data[f"y_{part}"].ravel()
            files = []
            for number, size in enumerate(sizes):
                for index in np.flatnonzero(y == number)[:size]:
                    path = Path(target) / part / NAMES[number] / f"photo {index:05}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    picture(x[index], rng).save(path)
                    files.append(path)
            for path in rng.choice(np.array(files, object), BROKEN[part], replace=False):
                content = path.read_bytes()
                path.write_bytes(content[: len(content) // 2] if rng.random() < 0.5 else b"no image")


def picture(pixels: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """One image at another size and aspect, some grey, some cut out along a slanted edge."""
    height, width = rng.integers(28, 97), rng.integers(28, 97)
    image = Image.fromarray(pixels)
    scale = max(height / 32, width / 32)
    image = image.resize((round(32 * scale), round(32 * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    image = image.crop((left, top, left + width, top + height))
    kind = rng.random()
    if kind < 0.1:
        return image.convert("L")
    if kind < 0.2:
        rows, columns = np.mgrid[0:height, 0:width]
        opaque = rows + columns > 0.2 * (height + width) * rng.random()
        image.putalpha(Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8)))
    return image


if __name__ == "__main__":
    main(*sys.argv[1:])
