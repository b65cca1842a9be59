"""A folder is uploaded completely or not at all, and each refusal says what to do."""

import pytest
from huggingface_hub import HfApi
from huggingface_hub.utils import disable_progress_bars

from hf_anchornet.publishing.upload import upload_folder

disable_progress_bars()
pytestmark = pytest.mark.filterwarnings(
    "ignore:Use 'content=:DeprecationWarning"
)  # huggingface_hub


@pytest.fixture
def folder(tmp_path):
    """A small folder such as `build_folder` writes."""
    (tmp_path / "model" / "classifier").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "code.py", "classifier/model.safetensors"):
        (tmp_path / "model" / name).write_text(f"content of {name}")
    (tmp_path / "model" / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    return tmp_path / "model"


@pytest.fixture
def api(hub):
    """A client of the stub; upload functions use it as `user`."""
    return HfApi(endpoint=hub.url, token="token-of-user")


@pytest.fixture
def without_waiting(monkeypatch):
    """Make the client retry without a delay."""
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


def read_files(folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def read_hub(hub, branch="main"):
    files = dict(hub.repos["user/model"].files(branch))
    del files[".gitattributes"]
    return files


def test_all_files_are_uploaded_in_one_commit(hub, api, folder):
    url = upload_folder(folder, "user/model", api=api)
    assert read_hub(hub) == read_files(folder)
    assert len(hub.repos["user/model"].commits) == 2  # the first is the Hub's own
    assert url == f"{hub.url}/user/model/commit/{hub.repos['user/model'].branches['main']}"


def test_a_second_upload_of_the_same_changes_nothing(hub, api, folder):
    first = upload_folder(folder, "user/model", api=api)
    assert upload_folder(folder, "user/model", api=api) == first


def test_a_new_version_removes_the_weights_code_and_graphs_of_the_old_one(hub, api, folder):
    stale = [
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "old.py",
        "onnx/model.onnx",
        "classifier/onnx/model.onnx.data",
    ]
    kept = ["notes.txt", "demo/app.py", "demo/onnx/model.onnx"]
    for name in stale + kept:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")
    upload_folder(folder, "user/model", api=api)
    for name in stale + kept:
        (folder / name).unlink()
    upload_folder(folder, "user/model", api=api)
    assert read_hub(hub) == read_files(folder) | dict.fromkeys(kept, b"old")


def test_a_name_alone_is_a_repository_of_the_user(hub, api, folder):
    upload_folder(folder, "model", api=api)
    assert read_hub(hub) == read_files(folder)


def test_a_revision_is_a_branch_of_its_own(hub, api, folder):
    upload_folder(folder, "user/model", api=api, revision="v2")
    assert read_hub(hub) == {}
    assert read_hub(hub, "v2") == read_files(folder)


@pytest.mark.parametrize("place", ["PUT /lfs/", "POST .*/lfs/objects/batch", "POST .*/commit/"])
def test_an_interrupted_upload_publishes_nothing_and_a_second_run_completes_it(
    hub, api, folder, without_waiting, place
):
    hub.broken = place
    with pytest.raises(ConnectionError, match=r"the Hub shows either the previous version or"):
        upload_folder(folder, "user/model", api=api)
    assert read_hub(hub) == {}
    hub.broken = None
    upload_folder(folder, "user/model", api=api)
    assert read_hub(hub) == read_files(folder)


def test_uploaded_weights_are_not_sent_again(hub, api, folder):
    hub.broken = "POST .*/commit/"
    with pytest.raises(ConnectionError, match="Run the same command again"):
        upload_folder(folder, "user/model", api=api)
    sent = sum(request.startswith("PUT") for request in hub.requests)
    hub.broken = None
    upload_folder(folder, "user/model", api=api)
    assert sum(request.startswith("PUT") for request in hub.requests) == sent == 2


def test_a_lost_answer_to_a_commit_does_no_harm(hub, api, folder, monkeypatch):
    monkeypatch.setattr(hub, "loses", "POST .*/commit/")
    with pytest.raises(ConnectionError, match="Run the same command again"):
        upload_folder(folder, "user/model", api=api)
    monkeypatch.setattr(hub, "loses", None)
    upload_folder(folder, "user/model", api=api)
    assert read_hub(hub) == read_files(folder)
    assert len(hub.repos["user/model"].commits) == 2


def test_a_private_repository_is_private(hub, api, folder):
    upload_folder(folder, "user/model", private=True, api=api)
    assert hub.repos["user/model"].private


def test_a_public_repository_does_not_take_a_private_model(hub, api, folder):
    upload_folder(folder, "user/model", api=api)
    (folder / "config.json").write_text("secret")
    with pytest.raises(ValueError, match="`private` must be False for user/model, which exists"):
        upload_folder(folder, "user/model", private=True, api=api)
    assert b"secret" not in read_hub(hub).values()


def test_a_missing_token_is_an_error(hub, folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.hf_api.get_token", lambda: None)
    with pytest.raises(PermissionError, match=r"`token` must be .* got none; set HF_TOKEN"):
        upload_folder(folder, "user/model", api=HfApi(endpoint=hub.url))
    assert hub.repos == {}


def test_a_wrong_token_is_an_error(hub, folder):
    with pytest.raises(PermissionError, match="`token` must be valid"):
        upload_folder(folder, "user/model", api=HfApi(endpoint=hub.url, token="wrong"))
    assert hub.repos == {}


@pytest.mark.parametrize("private", [False, True])
def test_the_repository_of_another_user_is_not_changed(hub, api, folder, private):
    upload_folder(folder, "user/model", private=private, api=api)
    before = dict(read_hub(hub))
    (folder / "config.json").write_text("other")
    other = HfApi(endpoint=hub.url, token="token-of-other")
    with pytest.raises(PermissionError, match="`repo_id` must be a repository that you may write"):
        upload_folder(folder, "user/model", api=other)
    assert read_hub(hub) == before


def test_no_repository_is_created_under_the_name_of_another_user(hub, api, folder):
    with pytest.raises(PermissionError, match=r"`repo_id` must be .* got 'google/model'"):
        upload_folder(folder, "google/model", api=api)
