"""Localization of a corpus: parquet shards in, parquet shards of answers out."""

import argparse
import sys

from hf_anchornet.registration import IMAGE_TASK, OWN, SHIPPED, TEXT_TASK, find_models

from .shared import choose_options, split_names

CORPUS_OPTIONS = (
    "text_column",
    "image_column",
    "columns",
    "answer_prefix",
    "num_workers",
    "rows_per_group",
    "engine",
    "allow_paths",
    "allow_urls",
)


def add_corpus_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that go with `--input`."""
    add = parser.add_argument_group("corpora (with --input; --output is a folder)").add_argument
    add("--text-column", metavar="NAME", help="column of the texts (default: text)")
    add("--image-column", metavar="NAME", help="column of images to localize instead of texts")
    add("--columns", type=split_names, metavar="A,B", help="columns to copy, or a JSON list")
    add("--answer-prefix", metavar="NAME", help="prefix for the names of the answer columns")
    add("--num-workers", type=int, metavar="N", help="processes (default: one for each CPU)")
    add("--rows-per-group", type=int, metavar="N", help="rows in memory and in a row group")
    for kind, what in (("paths", "paths of local files"), ("urls", "URLs, also of this network")):
        add(
            f"--allow-{kind}",
            action="store_true",
            default=None,
            help=f"read images that the corpus names by {what}",
        )
    add(
        "--engine",
        choices=("local", "ray"),
        help="run on this machine (local, the default) or on a Ray cluster (extra `ray`)",
    )


def refuse_corpus_options(arguments: argparse.Namespace) -> None:
    """Raise a `ValueError` that names the first option for corpora that is given."""
    given = [name for name in CORPUS_OPTIONS if getattr(arguments, name) is not None]
    if given:
        option = given[0].replace("_", "-")
        raise ValueError(f"`--{option}` must come with `--input`; leave it out.")


def localize_corpora(arguments: argparse.Namespace) -> None:
    """Localize the shards of `--input` into the folder `--output`; print a summary on stderr."""
    for name in ("lines", "jsonl"):
        if getattr(arguments, name):
            raise ValueError(f"`--{name}` must not be given with `--input`; leave it out.")
    if arguments.format != "text":
        raise ValueError(
            f"`--format` must not be given with `--input`, got {arguments.format}; answers of a "
            "corpus are parquet."
        )
    if arguments.output is None:
        raise ValueError("`--input` needs `--output`, the folder for the answers; add it.")
    if arguments.text_column is not None and arguments.image_column is not None:
        raise ValueError(
            "`--text-column` and `--image-column` must not both be given, got "
            f"{arguments.text_column} and {arguments.image_column}; leave one out."
        )
    from hf_anchornet.corpora.job import CorpusJob

    task = TEXT_TASK if arguments.image_column is None else IMAGE_TASK
    options = choose_options(arguments, task)
    model, classifier = find_models(
        task, options.pop("localizer", SHIPPED), options.pop("classifier", OWN)
    )
    if classifier is not None:
        options["classifier"] = classifier
    chosen = {
        "column": arguments.image_column or arguments.text_column,
        "columns": arguments.columns and tuple(arguments.columns),
        "answer_prefix": arguments.answer_prefix,
        "batch_size": options.pop("batch_size", None),
        "rows_per_group": arguments.rows_per_group,
        "allow_paths": arguments.allow_paths,
        "allow_urls": arguments.allow_urls,
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
        f"{done.num_finished:,} shards were already finished",
        file=sys.stderr,
    )
