"""Judge a model and its explanations on a labelled split: `anchornet evaluate`."""

import sys

from hf_anchornet.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
