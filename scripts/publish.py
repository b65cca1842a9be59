"""`anchornet publish` for a clone: `scripts/publish.py --help`."""

import sys

from hf_anchornet.cli import main

if __name__ == "__main__":
    sys.exit(main(["publish", *sys.argv[1:]]))
