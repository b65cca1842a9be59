"""Batches across requests: when they form, what they hold, and who gets an error."""

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from hf_anchornet.serve.batches import Batcher, Waiting, split_batch


class Recorder:
    """Doubles numbers and records each call; a call waits for the event `go`."""

    def __init__(self):
        self.calls = []
        self.threads = set()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, items, options):
        self.go.wait(10)
        self.calls.append((list(items), options))
        self.threads.add(threading.get_ident())
        if "bad" in items:
            raise ValueError("`inputs` is bad")
        return [2 * item for item in items]


def answer(scenario, **options):
    """The result of an async function of a recorder and a running batcher."""

    async def run():
        recorder = Recorder()
        with ThreadPoolExecutor(1) as thread:
            given = {"max_batch_size": 4, "max_wait_ms": 20, "max_size": 1000} | options
            batcher = Batcher(recorder, thread, **given)
            work = asyncio.create_task(batcher.work())
            try:
                return await asyncio.wait_for(scenario(recorder, batcher), 10)
            finally:
                recorder.go.set()
                work.cancel()

    return asyncio.run(run())


def list_batches(recorder):
    return [items for items, _ in recorder.calls]


def test_concurrent_requests_share_a_batch_and_get_their_own_answers():
    async def scenario(recorder, batcher):
        answers = await asyncio.gather(*(batcher.ask(number, 1) for number in range(4)))
        return answers, recorder, (batcher.answered, batcher.calls)

    answers, recorder, counts = answer(scenario, max_wait_ms=5000)
    assert answers == [0, 2, 4, 6]
    assert list_batches(recorder) == [[0, 1, 2, 3]]
    assert counts == (4, 1)
    assert threading.get_ident() not in recorder.threads


def test_a_batch_is_never_larger_than_allowed():
    async def scenario(recorder, batcher):
        await asyncio.gather(*(batcher.ask(number, 1) for number in range(10)))
        return recorder

    assert [len(items) for items in list_batches(answer(scenario))] == [4, 4, 2]


def test_requests_that_arrive_during_a_batch_form_the_next_one():
    async def scenario(recorder, batcher):
        recorder.go.clear()
        first = asyncio.create_task(batcher.ask(0, 1))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.ask(number, 1)) for number in (1, 2, 3)]
        await asyncio.sleep(0.05)
        recorder.go.set()
        await asyncio.gather(first, *others)
        return recorder

    assert list_batches(answer(scenario, max_wait_ms=0)) == [[0], [1, 2, 3]]


def test_a_single_request_waits_only_max_wait_ms():
    async def scenario(recorder, batcher):
        started = asyncio.get_running_loop().time()
        await batcher.ask(1, 1)
        return asyncio.get_running_loop().time() - started

    assert 0.2 <= answer(scenario, max_wait_ms=200) < 2


def test_a_request_whose_client_left_is_not_computed():
    async def scenario(recorder, batcher):
        recorder.go.clear()
        first = asyncio.create_task(batcher.ask(0, 1))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.ask(number, 1)) for number in (1, 2)]
        await asyncio.sleep(0)
        others[0].cancel()
        await asyncio.sleep(0)
        recorder.go.set()
        await asyncio.gather(first, others[1])
        return recorder

    assert list_batches(answer(scenario, max_wait_ms=0)) == [[0], [2]]


def test_a_batch_whose_clients_all_left_makes_no_call_and_the_next_request_is_answered():
    async def scenario(recorder, batcher):
        left = asyncio.create_task(batcher.ask(1, 1))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0.1)
        return await batcher.ask(2, 1), recorder

    doubled, recorder = answer(scenario)
    assert doubled == 4
    assert list_batches(recorder) == [[2]]


def test_a_request_whose_client_left_is_freed():
    async def scenario(recorder, batcher):
        recorder.go.clear()
        first = asyncio.create_task(batcher.ask(0, 1))
        await asyncio.sleep(0.05)
        item = Recorder()  # any object that can be watched
        watched = weakref.ref(item)
        left = asyncio.create_task(batcher.ask(item, 1))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.wait([left])
        del item, left
        gc.collect()
        kept = watched()
        recorder.go.set()
        await first
        return kept

    assert answer(scenario, max_wait_ms=0) is None


def test_an_answer_to_a_client_that_left_is_dropped():
    async def scenario(recorder, batcher):
        recorder.go.clear()
        left = asyncio.create_task(batcher.ask(1, 1))
        await asyncio.sleep(0.05)
        left.cancel()
        await asyncio.sleep(0)
        recorder.go.set()
        return await batcher.ask(2, 1), batcher.answered

    assert answer(scenario, max_wait_ms=0) == (4, 1)


def test_a_bad_request_fails_alone():
    async def scenario(recorder, batcher):
        asked = [batcher.ask(item, 1) for item in (1, "bad", 3)]
        return await asyncio.gather(*asked, return_exceptions=True)

    one, error, three = answer(scenario)
    assert (one, three) == (2, 6)
    with pytest.raises(ValueError, match="`inputs` is bad"):
        raise error


def test_requests_with_different_options_are_computed_separately():
    async def scenario(recorder, batcher):
        asked = [batcher.ask(number, 1, labels=["a", "b"][: number % 2 + 1]) for number in range(4)]
        return await asyncio.gather(*asked), recorder

    answers, recorder = answer(scenario)
    assert answers == [0, 2, 4, 6]
    assert recorder.calls == [([0, 2], {"labels": ("a",)}), ([1, 3], {"labels": ("a", "b")})]


@pytest.mark.parametrize(
    ("sizes", "max_size", "expected"),
    [
        ([8, 1, 2, 16, 3], 1000, [[1, 2], [3], [8, 16]]),  # at most twice the smallest
        ([5, 5, 5, 5, 5], 15, [[5, 5, 5], [5, 5]]),  # at most 15 with padding
        ([20, 4, 20], 15, [[4], [20], [20]]),  # an input above the limit is computed alone
        ([], 15, []),
    ],
)
def test_a_batch_holds_similar_sizes_and_at_most_max_size(sizes, max_size, expected):
    requests = [Waiting(None, size, (), None, 0.0) for size in sizes]
    groups = split_batch(requests, max_size)
    assert [[request.size for request in group] for group in groups] == expected
