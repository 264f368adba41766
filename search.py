"""Hyperband over the structure of a VGG-style network: `python search.py --help`."""

import sys

from archsearch import cli

if __name__ == "__main__":
    sys.exit(cli.search(sys.argv[1:], "python search.py"))
