"""Trains the best network in full and tests it once: `python final_train.py --help`."""

import sys

from archsearch import cli

if __name__ == "__main__":
    sys.exit(cli.final_train(sys.argv[1:], "python final_train.py"))
