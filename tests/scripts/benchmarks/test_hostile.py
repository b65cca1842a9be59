"""The hostile files of the benchmark are refused by their headers, and its report is whole."""

import asyncio

import httpx
import pytest

from hf_anchornet.model.image_files import open_image
from scripts.benchmarks import hostile_pictures
from scripts.benchmarks.hostile import Honest

HONEST = ("jpeg_scans_just_allowed", "png_large_transparent", "png_large_16_bit", "webp_large")


@pytest.mark.parametrize("name", hostile_pictures.MAKERS)
def test_a_hostile_file_is_refused_and_an_honest_one_is_opened(name, monkeypatch):
    monkeypatch.setattr(hostile_pictures, "SIDE", 64)
    if name.startswith("jpeg_scans"):
        number = 85 if name in HONEST else 2000
        content = hostile_pictures.make_jpeg_of_scans(number, 64)
    else:
        content = hostile_pictures.MAKERS[name]()
    assert len(content) < 2.1e6
    if name in HONEST:
        assert open_image(content).size == (64, 64)
    else:
        with pytest.raises(ValueError, match="an image must have at most"):
            open_image(content)


def test_an_honest_client_notes_answers_and_waits():
    def answer(request):
        return httpx.Response(200 if request.url.path == "/spans" else 503)

    async def run():
        transport = httpx.MockTransport(answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            honest = Honest(client)
            for _ in range(5):
                await honest.ask()
            return honest.describe()

    report = asyncio.run(run())
    assert report["honest_answers"] == {"200": 3, "503": 2}
    assert report["longest_wait_s"] > 0
