"""Options that name models, devices and JSON files."""

import pytest
import torch

from hf_anchornet.cli.checks import check_device, check_options, hint_missing, read_json_option
from hf_anchornet.cli.main import main


@pytest.mark.parametrize("option", ["model", "localizer", "classifier", "teacher", "embeddings"])
def test_a_path_that_does_not_exist_is_refused_before_the_hub_is_asked(tmp_path, option):
    (tmp_path / "localizer").mkdir()
    wanted = rf"`{option}` must be a Hub id .* got .*/localiser, .* Did you mean `.*/localizer`\?"
    with pytest.raises(FileNotFoundError, match=wanted):
        check_options({option: str(tmp_path / "localiser")})
    check_options({option: str(tmp_path / "localizer")})
    check_options({option: "user/localiser"})
    check_options({option: None})


@pytest.mark.parametrize("port", [-1, 65_536, 10**30])
def test_a_port_that_does_not_exist_is_refused(port):
    with pytest.raises(ValueError, match=f"`port` must be between 0 and 65535, got {port}; 0"):
        check_options({"port": port})


@pytest.mark.parametrize("name", ["foo", "cuda:x", "cuda:99", ""])
def test_a_device_that_torch_cannot_use_is_refused(name):
    with pytest.raises(ValueError, match=f"`device` must be one that torch .* cpu.*, got {name} "):
        check_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("command", ["localize good", "serve", "evaluate --dataset x --model y"])
def test_cuda_without_cuda_is_one_line_and_exit_code_2(command, capsys):
    assert main([*command.split(), "--device", "cuda"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("anchornet: error: `--device` must be one that torch can use here, cpu")
    assert shown.count("\n") == 1


def test_a_model_that_the_hub_does_not_give_is_no_folder_either(tmp_path, monkeypatch):
    (tmp_path / "runs" / "localizer").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    wanted = " There is no folder runs/localiser here. Did you mean `runs/localizer`?"
    assert hint_missing(["localize", "good", "--model", "runs/localiser"]) == wanted
    assert hint_missing(["train", "--text-localizer=runs/localiser"]) == wanted
    assert hint_missing(["localize", "runs/x", "--model=runs/localizer", "--output", "y"]) == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"`results` must be a file of JSON in UTF-8, got .*a\.json: Expecting property"),
        (b"[" * 100_000, r"got .*a\.json: brackets nested too deeply"),
        (b"[]", r"must be a file with a JSON object, got .*a\.json with list"),
        (b"\xff\xfe", r"got .*a\.json: 'utf-8' codec"),
    ],
)
def test_a_file_that_is_no_json_is_named_with_its_option(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_json_option("results", str(tmp_path / "a.json"))
