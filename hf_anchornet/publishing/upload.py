"""Upload of a built folder to the Hub in one commit."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from hf_anchornet.model.cascade_file import CLASSIFIER_FOLDER, GLANCE_FOLDER

from .model_files import GRAPH_FILES

try:
    from httpx2 import TransportError
except ImportError:  # huggingface_hub before 2
    from httpx import TransportError  # type: ignore[assignment]

STALE_FILES = ("*.safetensors", "*.safetensors.index.json", "*.py", *GRAPH_FILES)
"""Files of an earlier version that would be taken for a part of the new one."""


def upload_folder(
    folder: str | Path,
    repo_id: str,
    private: bool = False,
    revision: str | None = None,
    api: HfApi | None = None,
) -> str:
    """Upload a folder from `build_folder` in one commit, so that readers see all of it or nothing.

    After an interruption, run the same upload again; files that arrived are not sent twice.
    (huggingface_hub's own `upload_folder` may make several commits.)

    Args:
        folder: Folder to upload.
        repo_id: "name/model"; created if it does not exist.
        private: Whether to create a private repository.
        revision: Branch to write to; created if it does not exist. Default: the main branch.
        api: Client of the Hub; default: as configured by the environment.

    Returns:
        The URL of the commit.

    Raises:
        PermissionError: if the token is missing, invalid or lacks write access.
        ConnectionError: if the connection breaks; the Hub never shows a partial upload.
        ValueError: if `private` is set and the repository exists and is public.
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
        _check_upload(api, repo_id, commit.oid, files)
    return commit.commit_url


def _is_stale(name: str) -> bool:
    """Whether a file of the repository matches `STALE_FILES`, for any of its models."""
    for folder in (CLASSIFIER_FOLDER, GLANCE_FOLDER):
        name = name.removeprefix(f"{folder}/")
    return any(
        PurePosixPath(pattern).parent == PurePosixPath(name).parent and fnmatch(name, pattern)
        for pattern in STALE_FILES
    )


def _check_upload(api: HfApi, repo_id: str, commit: str, files: dict[str, Path]) -> None:
    info = api.model_info(repo_id, revision=commit, files_metadata=True)
    sizes = {file.rfilename: file.size for file in info.siblings or []}
    missing = [name for name, path in files.items() if sizes.get(name) != path.stat().st_size]
    if missing:
        raise OSError(f"{repo_id} lacks {', '.join(missing)} at {commit}; publish it again.")


@contextmanager
def _explained_errors(repo_id: str) -> Iterator[None]:
    """Turn the Hub's refusals into errors that say what to do."""
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise PermissionError(
            "`token` must be a Hub token with write access, got none; set HF_TOKEN or run "
            "`hf auth login`."
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            raise PermissionError(
                "`token` must be valid, but the Hub rejected it; create a new one at "
                f"https://huggingface.co/settings/tokens. {error}"
            ) from error
        if status in (403, 404):
            raise PermissionError(
                f"`repo_id` must be a repository that you may write to, got {repo_id!r}; choose "
                "one under your own name or ask its owner, and use a token with write access. "
                f"{error}"
            ) from error
        raise _report_interruption(repo_id, error) from error
    # Uploads of large files wrap the original error in a RuntimeError.
    except (TransportError, ConnectionError, TimeoutError, RuntimeError) as error:
        raise _report_interruption(repo_id, error.__cause__ or error) from error


def _report_interruption(repo_id: str, error: BaseException) -> ConnectionError:
    return ConnectionError(
        f"the upload to {repo_id} was interrupted; the Hub shows either the previous version or "
        f"the complete new one. Run the same command again to continue. {error}"
    )
