"""`anchornet train` for a clone: `accelerate launch scripts/train.py --help`."""

import sys

from hf_anchornet.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
