"""`anchornet calibrate` for a clone: `scripts/calibrate.py --help`."""

import sys

from hf_anchornet.cli import main

if __name__ == "__main__":
    sys.exit(main(["calibrate", *sys.argv[1:]]))
