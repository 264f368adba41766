"""Packaging: what is installed, with what beside it, on which Pythons.

The ranges below are what should work; `constraints.txt` is the one set that was tested.
"""

import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent

RUNTIME = [
    # Before 2.21 it insists on a TensorBoard that breaks with setuptools 82 and later. Open to the next 2.x:
    # we stand beside the user's own models, use only its public interface, and most of that through Keras.
    "tensorflow>=2.21,<3",
    # Before 3.13.2 a `.keras` file can run code although `safe_mode` is on (CVE-2026-1462).
    "keras>=3.13.2,<4",
    "keras-tuner>=1.4.8,<1.5",
    # TensorFlow 2.21 would take 1.26 too, whose rules for mixing uint8 with Python numbers differ (NEP 50).
    "numpy>=2.0,<3",
    # TensorFlow no longer brings it.
    "tensorboard>=2.21,<3",
    # Keras Tuner's BayesianOptimization needs both and declares neither; `digits` is scikit-learn's.
    "scikit-learn>=1.5,<2",
    "scipy>=1.13,<2",
    "matplotlib>=3.9,<4",
    "pillow>=10.4,<14",
    # report.html: the page, and plotly.js, which is embedded in it; that of earlier versions was not tried.
    "jinja2>=3.1.4,<4",
    "plotly>=7,<8",
    "rich>=13.7,<16",
    "filelock>=3.16,<5",
    "psutil>=6,<8",
    # Worker processes.
    "loky>=3.7,<4",
    "cloudpickle>=3,<4",
]
PANDAS = ["pandas>=2.2.2,<4"]  # run.to_dataframe()
# `--export onnx`; tf2onnx before 1.17 was not tried.
ONNX = ["tf2onnx>=1.17,<2", "onnx>=1.19,<2", "onnxruntime>=1.22,<2"]
# Reads LiteRT files in place of TensorFlow's own interpreter, which is to go.
LITERT = ["ai-edge-litert>=2,<3"]
# `--ray`; 2.60.0 was tried.
RAY = ["ray>=2.40,<3"]
DEVELOPMENT = [
    "pytest>=8.3,<10",
    "pytest-timeout>=2.3.1,<3",
    "pytest-xdist>=3.6,<4",
    "hypothesis>=6.110,<7",
    "ruff>=0.17,<0.18",  # formats differ from one 0.x to the next
    "mypy>=2.4,<3",
    "packaging>=24,<27",
    # docs/notebook.ipynb is executed by the tests.
    "nbclient>=0.10,<0.12",
    "nbformat>=5.10,<6",
    "ipykernel>=6.29,<8",
    # The wheel is built with the environment's own setuptools in the tests: no network needed.
    "setuptools>=77.0.3,<85",
]


def version() -> str:
    """`__version__` of the package, read without importing it."""
    source = (HERE / "archsearch" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    if match is None:
        raise RuntimeError('archsearch/__init__.py has no line `__version__ = "..."`.')
    return match[1]


setup(
    name="archsearch",
    version=version(),
    description="Architecture search for Keras image classifiers, built on Keras Tuner",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The archsearch authors",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    keywords=["neural architecture search", "hyperband", "keras", "keras-tuner", "image classification"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    # Named one by one: discovery would take logs/ for a package and leave the two scripts out.
    packages=[
        "space",
        "archsearch",
        "archsearch.exporting",
        "archsearch.readers",
        "archsearch.reporting",
        "archsearch.reporting.html",
    ],
    py_modules=["search", "final_train"],
    package_data={
        "space": ["py.typed", "model.py.jinja"],
        "archsearch": ["py.typed"],
        "archsearch.reporting.html": ["page.html", "page.css", "page.js"],
    },
    entry_points={"console_scripts": ["archsearch=archsearch.cli:main"]},
    # Keras 3.13 needs 3.11; TensorFlow 2.21 has no wheel for 3.14. The Makefile and the tests say the same.
    python_requires=">=3.11,<3.14",
    install_requires=RUNTIME,
    extras_require={
        "pandas": PANDAS,
        "onnx": ONNX,
        "litert": LITERT,
        "ray": RAY,
        "dev": DEVELOPMENT + PANDAS + ONNX + LITERT + RAY,
    },
)
