"""The command line, as `python -m hf_anchornet`."""

import sys

from hf_anchornet.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
