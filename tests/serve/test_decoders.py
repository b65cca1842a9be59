"""Processes that decode images: ended when their time or memory is up, and replaced."""

import asyncio
import io
import os
import signal
import sys
import time

import numpy as np
import psutil
import pytest
from PIL import Image

from hf_anchornet.model.image_files import open_image
from hf_anchornet.serve import decoders as decoders_module
from hf_anchornet.serve.decoders import Decoder, Decoders
from hf_anchornet.serve.limits import ServingOptions

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs signals and limits of POSIX")


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def decoder():
    decoder = Decoder(20, 2**28)
    yield decoder
    decoder.end()


def pause(decoder):
    os.kill(decoder._process.pid, signal.SIGSTOP)


def decode_paused(decoder, content):
    pause(decoder)
    return decoder.decode(content)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (300, 200), (1500, 1501)])
def test_a_decoded_image_is_that_of_the_pipeline(decoder, mode, size):
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    image = Image.fromarray(values).convert("L" if mode == "I;16" else mode).convert(mode)
    content = encode(image, compress_level=1)
    assert decoder.measure(content) == size
    assert np.array_equal(np.asarray(decoder.decode(content)), np.asarray(open_image(content)))


@pytest.mark.parametrize("content", [b"", b"text", encode(Image.effect_noise((64, 64), 9))[:500]])
def test_a_bad_file_is_refused_with_the_words_of_the_pipeline_and_the_process_goes_on(
    decoder, content
):
    decoder.measure(encode(Image.new("RGB", (1, 1))))
    before = decoder._process.pid
    with pytest.raises(ValueError, match=f"whole picture file .*got {len(content)} bytes"):
        decoder.decode(content)
    assert decoder._process.pid == before


@pytest.mark.parametrize("kind", ["PPM", "TGA"])
def test_formats_that_are_not_bounded_are_refused(decoder, kind):
    with pytest.raises(ValueError, match="cannot identify"):
        decoder.measure(encode(Image.new("RGB", (4, 4)), kind))


@on_posix
def test_a_process_whose_time_is_up_is_replaced(decoder):
    content = encode(Image.new("RGB", (3, 2)))
    decoder.measure(content)
    decoder.seconds, before = 0.3, decoder._process.pid
    pause(decoder)
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"decoded within `decode_s` \(0.3\) seconds"):
        decoder.decode(content)
    assert time.monotonic() - started < 5
    assert not psutil.pid_exists(before)
    decoder.seconds = 20
    assert decoder.decode(content).size == (3, 2)


@on_posix
def test_an_image_that_needs_too_much_memory_is_refused():
    decoder = Decoder(20, 50 << 20)
    try:
        with pytest.raises(ValueError, match=r"within `decode_mib` \(50\) MiB of memory"):
            decoder.decode(encode(Image.new("RGB", (5000, 5000)), compress_level=1))
        assert decoder.decode(encode(Image.new("RGB", (500, 500)))).size == (500, 500)
    finally:
        decoder.end()


@on_posix
def test_a_process_that_died_is_replaced(decoder):
    content = encode(Image.new("RGB", (3, 2)))
    decoder.measure(content)
    os.kill(decoder._process.pid, signal.SIGKILL)
    with pytest.raises(ValueError, match="takes longer or breaks the decoder"):
        decoder.decode(content)
    assert decoder.decode(content).size == (3, 2)


def test_a_decoder_is_small(decoder):
    """It does not load torch."""
    decoder.measure(encode(Image.new("RGB", (3, 2))))
    assert psutil.Process(decoder._process.pid).memory_info().rss < 100e6


@on_posix
def test_a_process_that_cannot_be_ended_is_stuck(decoder, monkeypatch):
    monkeypatch.setattr(decoders_module, "STUCK_S", 0)
    assert not decoder.is_stuck
    decoder._due = time.monotonic() + 60
    assert not decoder.is_stuck
    decoder._due = time.monotonic() - 1
    assert decoder.is_stuck


def test_small_images_do_not_wait_for_large_ones():
    async def run():
        decoders = Decoders(ServingOptions(max_pixels=100))  # 125 in memory
        order = []

        async def hold(pixels):
            async with decoders.hold(pixels):
                order.append(pixels)
                await asyncio.sleep(0.05)

        await asyncio.gather(*(hold(pixels) for pixels in (100, 99, 98, 20, 1000)))
        return order

    assert asyncio.run(run()) == [100, 20, 98, 99, 1000]


def test_an_image_whose_client_left_is_not_held():
    async def run():
        decoders = Decoders(ServingOptions(max_pixels=100))

        async def hold(pixels):
            async with decoders.hold(pixels):
                await asyncio.sleep(60)

        tasks = [asyncio.create_task(hold(100)) for _ in range(3)]
        for task in tasks:
            await asyncio.sleep(0.01)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(1), decoders.hold(100):
            return decoders._held, decoders._waiting

    assert asyncio.run(run()) == (100, [])


@on_posix
def test_images_are_decoded_side_by_side_and_all_processes_end():
    async def run():
        decoders = Decoders(ServingOptions(decoders=2))
        decoders.start()
        processes = [decoder._process.pid for decoder in decoders._decoders]
        content = encode(Image.new("RGB", (3, 2)))
        await asyncio.gather(*(decoders.measure(content) for _ in range(4)))
        stuck = asyncio.create_task(decoders._run(decode_paused, content))
        await asyncio.sleep(0.1)
        found = [await decoders.decode(content) for _ in range(3)]
        decoders.end()
        with pytest.raises(ValueError, match="breaks the decoder"):
            await stuck
        return [image.size for image in found], processes

    sizes, processes = asyncio.run(run())
    assert sizes == [(3, 2)] * 3
    assert not any(psutil.pid_exists(process) for process in processes)
