"""`anchornet serve` for a clone: `scripts/serve.py --help`."""

import sys

from hf_anchornet.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
