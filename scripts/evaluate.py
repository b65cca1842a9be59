"""`anchornet evaluate` for a clone: `scripts/evaluate.py --help`."""

import sys

from hf_anchornet.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
