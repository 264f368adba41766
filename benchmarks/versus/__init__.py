"""The cells of `benchmarks/versus.py`: this project and the installed Keras Tuner, doing the same."""
