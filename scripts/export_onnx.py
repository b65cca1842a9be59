"""`anchornet export` for a clone: `scripts/export_onnx.py --help`."""

import sys

from hf_anchornet.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
