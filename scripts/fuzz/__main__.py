"""Try millions of random texts, pictures and numbers; report crashes, hangs and wrong answers."""

import sys
from dataclasses import dataclass
from pathlib import Path

from hf_anchornet.files import write_json
from scripts.fuzz.fuzzing import FuzzOptions, fuzz, replay
from scripts.options import parse_options


@dataclass
class Output:
    """Where the numbers go.

    Attributes:
        output: JSON file of the report.
        replay: File of one input to try again; needs exactly one of `targets`.
    """

    output: str = "results/fuzzing.json"
    replay: str | None = None


def main() -> None:
    """Parse the options, fuzz, write, print; or try one input again."""
    options, output = parse_options(FuzzOptions, Output, description=__doc__)
    if output.replay is not None:
        (target,) = options.targets
        print(f"{replay(target, output.replay)} cases, nothing wrong")
        return
    report = fuzz(options)
    write_json(Path(output.output), report)
    for name, result in report["targets"].items():
        print(f"{name}: {result['cases']:,} cases, {result['cases_per_second']:,} a second")
        for failure in result["failures"]:
            print(f"  {failure['error']} ({failure['input']})")
    print(f"{report['cases']:,} cases, {report['failures']} failures")
    if report["failures"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
