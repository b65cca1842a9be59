"""Upload a built folder to the Hub in one commit: readers see all of it or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from hf_anchornet.model.cascade_file import CLASSIFIER_FOLDER

try:
    from httpx2 import TransportError
except ImportError:  # huggingface_hub before 2
    from httpx import TransportError  # type: ignore[assignment]

STALE_FILES = ("*.safetensors", "*.safetensors.index.json", "*.py")
"""Those of an earlier version that would be taken for a part of this one."""


def upload_folder(
    folder: str | Path,
    repo_id: str,
    private: bool = False,
    revision: str | None = None,
    api: HfApi | None = None,
) -> str:
    """Upload a folder from `build_folder` in one commit: readers see all of it or nothing.

    A run that was interrupted is finished by another one; what arrived is not sent again.
    (huggingface_hub's own `upload_folder` may make several commits.)

    Args:
        folder: What to upload.
        repo_id: "name/model"; made if it does not exist.
        private: Make it a private one.
        revision: Branch to write to; made if it does not exist. Default: the main one.
        api: How to reach the Hub; default: as the environment says.

    Returns:
        The address of the commit.

    Raises:
        PermissionError: without a token, with a wrong one or one that may not write there.
        ConnectionError: if the network goes; the Hub never shows a part of it.
        ValueError: if the repository is public and should be private.
    """
    api = api or HfApi()
    with _explained_errors(repo_id):
        api.whoami()
        if not api.repo_exists(repo_id):
            repo_id = api.create_repo(repo_id, private=private or None, exist_ok=True).repo_id
        if private and not api.model_info(repo_id).private:
            raise ValueError(
                f"`private` must be False for {repo_id}, which exists and is public, got True; "
                "change it in its settings or choose another name."
            )
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        files = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }
        adds = [CommitOperationAdd(name, path) for name, path in files.items()]
        deletes = [
            CommitOperationDelete(name)
            for name in api.list_repo_files(repo_id, revision=revision)
            if name not in files and _is_stale(name)
        ]
        commit = api.create_commit(
            repo_id, [*deletes, *adds], commit_message="Publish the model", revision=revision
        )
        _check_upload(
            api, repo_id, commit.oid, {name: p.stat().st_size for name, p in files.items()}
        )
    return commit.commit_url


def _is_stale(name: str) -> bool:
    path = PurePosixPath(name)
    of_models = path.parent.as_posix() in (".", CLASSIFIER_FOLDER)
    return of_models and any(fnmatch(path.name, pattern) for pattern in STALE_FILES)


def _check_upload(api: HfApi, repo_id: str, commit: str, sizes: dict[str, int]) -> None:
    info = api.model_info(repo_id, revision=commit, files_metadata=True)
    found = {file.rfilename: file.size for file in info.siblings or []}
    missing = [name for name, size in sizes.items() if found.get(name) != size]
    if missing:
        raise OSError(f"{repo_id} lacks {', '.join(missing)} at {commit}; publish it again.")


@contextmanager
def _explained_errors(repo_id: str) -> Iterator[None]:
    """Say what to do about the Hub's refusals."""
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise PermissionError(
            "`token` must be one of the Hub that may write, got none; set HF_TOKEN or run "
            "`hf auth login`."
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            raise PermissionError(
                "`token` must be one that the Hub knows, it refused this one; make a new one at "
                f"https://huggingface.co/settings/tokens. {error}"
            ) from error
        if status in (403, 404):
            raise PermissionError(
                f"`repo_id` must be a repository that you may write to, got {repo_id!r}; choose "
                f"one under your own name or ask its owner, and use a token that may write. {error}"
            ) from error
        raise _report_interruption(repo_id, error) from error
    # The last comes from uploads of large files and wraps what happened.
    except (TransportError, ConnectionError, TimeoutError, RuntimeError) as error:
        raise _report_interruption(repo_id, error.__cause__ or error) from error


def _report_interruption(repo_id: str, error: BaseException) -> ConnectionError:
    return ConnectionError(
        f"the upload to {repo_id} was interrupted: the Hub shows what it showed before, or all of "
        f"it. Run the same command again: it goes on where it stopped. {error}"
    )
