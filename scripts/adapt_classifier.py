"""`anchornet adapt` for a clone: `scripts/adapt_classifier.py --help`."""

import sys

from hf_anchornet.cli import main

if __name__ == "__main__":
    sys.exit(main(["adapt", *sys.argv[1:]]))
