"""The command line for corpora: parquet shards in, parquet shards of answers out."""

import argparse
import sys

from .shared import choose_pipeline, split_names

TEXT_TASK, IMAGE_TASK = "span-localization", "patch-localization"
ENGINES = ("local", "ray")


def add_corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that go with `--input`, but for itself."""
    add = parser.add_argument_group("corpora (with --input; --output is a folder)").add_argument
    add("--text-column", metavar="NAME", help="column of the texts (default: text)")
    add("--image-column", metavar="NAME", help="column of the images, instead of texts")
    add("--columns", type=split_names, metavar="A,B", help="columns to carry along")
    add("--answer-prefix", metavar="NAME", help="before the names of the answer's columns")
    add("--num-workers", type=int, metavar="N", help="processes (default: one a processor)")
    add("--rows-per-group", type=int, metavar="N", help="rows in memory and in a row group")
    add(
        "--engine",
        choices=ENGINES,
        help="this machine (local, the default) or the Ray cluster at hand (extra `ray`)",
    )


CORPUS_OPTIONS = (
    "text_column",
    "image_column",
    "columns",
    "answer_prefix",
    "num_workers",
    "rows_per_group",
    "engine",
)


def refuse_corpus_options(arguments: argparse.Namespace) -> None:
    """Check that no option of corpora is given.

    Raises:
        ValueError: if one is, naming it.
    """
    given = [name for name in CORPUS_OPTIONS if getattr(arguments, name) is not None]
    if given:
        option = given[0].replace("_", "-")
        raise ValueError(f"`--{option}` goes with corpora, with `--input`; leave it out.")


def localize_corpora(arguments: argparse.Namespace) -> None:
    """Localize the shards that `--input` names into the folder `--output`; tell what was done."""
    for name in ("lines", "jsonl"):
        if getattr(arguments, name):
            raise ValueError(f"`--{name}` goes with texts, not with `--input`; leave it out.")
    if arguments.format != "text":
        raise ValueError(
            f"`--format` must be left out with `--input`, got {arguments.format}: a corpus gives "
            "parquet."
        )
    if arguments.output is None:
        raise ValueError("`--input` needs `--output`, the folder of the answers.")
    if arguments.text_column is not None and arguments.image_column is not None:
        raise ValueError(
            "`--text-column` and `--image-column` must not come together, got "
            f"{arguments.text_column} and {arguments.image_column}; leave one out."
        )
    from hf_anchornet.corpora.job import CorpusJob

    task = TEXT_TASK if arguments.image_column is None else IMAGE_TASK
    model, options = choose_pipeline(task, arguments)
    chosen = {
        "column": arguments.image_column or arguments.text_column,
        "columns": arguments.columns and tuple(arguments.columns),
        "answer_prefix": arguments.answer_prefix,
        "batch_size": options.pop("batch_size", None),
        "rows_per_group": arguments.rows_per_group,
    }
    job = CorpusJob(
        input=arguments.input,
        output=arguments.output,
        task=task,
        model=model,
        options=options,
        **{name: value for name, value in chosen.items() if value is not None},
    )
    if arguments.engine == "ray":
        from hf_anchornet.corpora.ray_engine import localize_on_ray as localize
    else:
        from hf_anchornet.corpora.processes import localize_corpus as localize
    done = localize(job, arguments.num_workers)
    print(
        f"localized {done.num_rows:,} rows of {done.num_shards:,} shards into {job.output}; "
        f"{done.num_finished:,} shards were finished before",
        file=sys.stderr,
    )
