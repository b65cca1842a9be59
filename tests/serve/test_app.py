"""The server gives the answers of the pipelines. For sockets, see test_socket.py."""

import asyncio
import io
import json
from contextlib import asynccontextmanager
from functools import partial
from unittest.mock import Mock

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from conftest import relabel
from PIL import Image

from hf_anchornet import PatchLocalizationPipeline, SpanLocalizationPipeline, SpanReader
from hf_anchornet.registration import IMAGE_TASK, TEXT_TASK, load_pipeline
from hf_anchornet.serve.access import Access
from hf_anchornet.serve.app import make_app, run_app
from hf_anchornet.serve.batches import Batcher
from hf_anchornet.serve.decoders import Decoder
from hf_anchornet.serve.limits import ServingOptions

JSON = {"content-type": "application/json"}
IMAGE = {"content-type": "image/png"}
TEXTS = ["the film was good", "bad", "a café was not bad, the film was good.", "good film " * 30]


@pytest.fixture
def patch_localize(image_model, image_processor):
    return PatchLocalizationPipeline(model=image_model, image_processor=image_processor)


def make_photo(width, height, kind="PNG"):
    """An image file of noise."""
    values = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind)
    return file.getvalue()


@asynccontextmanager
async def living(pipelines, **options):
    """Start the app; gives a client of it."""
    app = make_app(pipelines, ServingOptions(**options))
    transport = httpx.ASGITransport(app)
    client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
    async with app.app.router.lifespan_context(app.app), client:
        yield client


def post_texts(localize, bodies, **options):
    """The replies to concurrent requests, and the counts of the server."""

    async def run():
        async with living({TEXT_TASK: localize}, **options) as client:
            asked = [client.post("/spans", json=body) for body in bodies]
            replies = await asyncio.gather(*asked)
            return replies, (await client.get("/ready")).json()

    return asyncio.run(run())


def post_photos(localize, photos, query="", **options):
    async def run():
        async with living({IMAGE_TASK: localize}, **options) as client:
            post = partial(client.post, f"/patches{query}", headers=IMAGE)
            replies = await asyncio.gather(*(post(content=photo) for photo in photos))
            return replies, (await client.get("/ready")).json()

    return asyncio.run(run())


def assert_same(found, expected):
    """Equal up to rounding, which padding changes."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, float):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    else:
        assert found == expected


@pytest.mark.parametrize("max_batch_size", [1, 2, 8])
def test_spans_are_those_of_the_pipeline_for_any_batch_size(random_localize, max_batch_size):
    bodies = [{"text": text, "top_k": 3} for text in TEXTS * 2]
    replies, state = post_texts(random_localize, bodies, max_batch_size=max_batch_size)
    for reply, text in zip(replies, TEXTS * 2, strict=True):
        assert reply.status_code == 200
        assert_same(reply.json(), random_localize(text, top_k=3))
    assert state["spans"]["answered"] == 8


def test_a_single_text_gives_exactly_the_answer_of_the_pipeline(random_localize):
    (reply,), _ = post_texts(random_localize, [{"text": TEXTS[2]}])
    assert reply.json() == json.loads(json.dumps(random_localize(TEXTS[2])))


def test_concurrent_requests_share_calls_of_the_model(localize):
    _, state = post_texts(localize, [{"text": "good"}] * 40, max_wait_ms=2000, max_batch_size=20)
    assert state == {"ready": True, "held": 0, "spans": {"answered": 40, "calls": 2}}


def test_options_apply_to_their_own_request_only(random_localize):
    chosen = [
        {"top_k": 1},
        {"scales": [3, 5], "labels": ["negative", "positive"]},
        {"max_tokens": 4},
        {"iou_threshold": 0.5, "scales": [4]},
    ]
    replies, _ = post_texts(random_localize, [{"text": TEXTS[2]} | one for one in chosen])
    for reply, options in zip(replies, chosen, strict=True):
        assert_same(reply.json(), random_localize(TEXTS[2], **options))


def test_a_classifier_gives_the_same_answers_as_in_the_pipeline(planted, tokenizer, text_cascade):
    localize = SpanLocalizationPipeline(model=planted, tokenizer=tokenizer, classifier=text_cascade)
    body = {"text": TEXTS[0], "exit_threshold": 1.0}
    (reply,), _ = post_texts(localize, [body])
    expected = localize(TEXTS[0], exit_threshold=1.0)
    answer = reply.json()
    del answer["cost"], expected["cost"]  # milliseconds
    assert_same(answer, expected)


@pytest.mark.parametrize("max_batch_size", [1, 3])
def test_patches_are_those_of_the_pipeline_for_any_batch_size(patch_localize, max_batch_size):
    photos = [make_photo(40, 40), make_photo(48, 36, "JPEG"), make_photo(54, 40, "WEBP")]
    replies, state = post_photos(
        patch_localize,
        photos,
        "?top_k=2&scales=3&scales=7",
        max_batch_size=max_batch_size,
        max_wait_ms=5000,
    )
    for reply, photo in zip(replies, photos, strict=True):
        assert reply.status_code == 200
        assert_same(reply.json(), patch_localize(photo, top_k=2, scales=[3, 7]))
    assert state["patches"] == {"answered": 3, "calls": 3 if max_batch_size == 1 else 1}


@pytest.mark.parametrize("query", ["", "?top_k=0"])
def test_a_cascade_with_a_glance_is_served(glance_cascade, query):
    localizer = glance_cascade.localizer
    localize = PatchLocalizationPipeline(
        model=localizer.model, image_processor=localizer.processor, classifier=glance_cascade
    )
    photos = [make_photo(40, 40), make_photo(48, 36), make_photo(54, 40)]
    replies, _ = post_photos(localize, photos, query, max_batch_size=3, max_wait_ms=5000)
    for reply, photo in zip(replies, photos, strict=True):
        found, expected = reply.json(), localize(photo, **({"top_k": 0} if query else {}))
        assert found["cost"].pop("milliseconds") > 0
        expected["cost"].pop("milliseconds")
        assert_same(found, expected)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "`text`: Field required"),
        ({"text": 3}, "`text`: Input should be a valid string"),
        ({"text": "x" * 1001}, r"`text` must have at most `max_characters` (1000) characters"),
        ({"text": "a\ud800"}, r"`text` must be valid Unicode, got a lone surrogate, '\ud800', at"),
        ({"text": "x", "top_k": -1}, "`top_k` must be"),
        ({"text": "x", "top_k": 101}, "`top_k` must be at most `max_shown` (100), got 101; ask"),
        ({"text": "x", "labels": ["good"]}, "`labels` must be one or more of this model's"),
        ({"text": "x", "scales": []}, "`scales` must be"),
        ({"text": "x", "scales": [1] * 9}, "`scales`: List should have at most 8 items"),
        ({"text": "x", "scales": [10**30]}, "`scales.0`: Input should be less than or equal"),
        ({"text": "x", "labels": ["good"] * 33}, "`labels`: List should have at most 32 items"),
        ({"text": "x", "max_tokens": 1025}, "`max_tokens`: Input should be less than or equal"),
        ({"text": "x", "iou_threshold": 2.0}, "`iou_threshold` must be"),
        ({"text": "x", "exit_threshold": 0.5}, "`exit_threshold` must come with a `classifier`"),
        ({"text": "x", "device": "cuda"}, "`device`: Extra inputs are not permitted"),
    ],
)
def test_an_invalid_request_is_explained_and_not_computed(localize, body, message):
    async def run():
        async with living({TEXT_TASK: localize}, max_characters=1000) as client:
            reply = await client.post("/spans", content=json.dumps(body), headers=JSON)
            return reply, (await client.get("/ready")).json()

    reply, state = asyncio.run(run())
    assert reply.status_code == 422
    assert message in reply.json()["detail"]
    assert state["spans"]["calls"] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "x" ', "the body must be valid JSON, got an error at character 13"),
        (b"3", "the body must be a JSON object"),
        (b"[" * 100_000, "the body must be JSON without deep nesting or huge numbers"),
        (b'{"text": ' + b"9" * 5000 + b"}", "the body must be JSON without deep nesting"),
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused(localize, content, message):
    async def run():
        async with living({TEXT_TASK: localize}) as client:
            return await client.post("/spans", content=content, headers=JSON)

    reply = asyncio.run(run())
    assert reply.status_code == 422
    assert message in reply.json()["detail"]


@pytest.mark.parametrize(
    ("photo", "query", "message"),
    [
        (b"", "", "the body: an image must be a whole picture file that Pillow can read, got 0"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "", "the body: an image must be a whole picture file"),
        (make_photo(40, 40)[:200], "", "the body: an image must be a whole picture file"),
        (
            make_photo(50, 50),
            "",
            "the image must have at most `max_pixels` (2000) pixels, got 2500",
        ),
        (make_photo(21, 1), "", "at most `max_aspect` (20) times the shorter, got 21 x 1 px; cut"),
        (make_photo(1, 40), "", "at most `max_aspect` (20) times the shorter, got 1 x 40 px; cut"),
        (make_photo(40, 40), "?scales=5", "`scales` must be one or more of this model's"),
        (make_photo(40, 40), "?max_patches=101", "`max_patches` must be at most `max_shown`"),
        (make_photo(40, 40), "?return_maps=1", "`return_maps`: Extra inputs are not permitted"),
    ],
)
def test_an_invalid_picture_is_explained(patch_localize, photo, query, message):
    replies, _ = post_photos(patch_localize, [photo], query, max_pixels=2000)
    assert replies[0].status_code == 422
    assert message in replies[0].json()["detail"]


def make_gif_of_comments(number):
    raw = make_photo(4, 4, "GIF")
    head = 13 + 3 * 2 ** ((raw[10] & 7) + 1)
    return raw[:head] + b"\x21\xfe\x01a\x00" * number + raw[head:]


def test_a_picture_that_would_stop_the_server_is_refused_by_its_headers(patch_localize):
    replies, state = post_photos(patch_localize, [make_gif_of_comments(100_000)])
    assert replies[0].status_code == 422
    assert "the body: an image must have at most 1,000 segments" in replies[0].json()["detail"]
    assert state["patches"]["calls"] == 0


@pytest.mark.parametrize(
    ("owner", "name", "value", "fault"),
    [
        (Decoder, "is_stuck", True, "a decoder is stuck; restart"),
        (Batcher, "busy_s", 31.0, "a model call is stuck; restart"),
    ],
)
def test_a_server_that_is_stuck_is_not_healthy(
    patch_localize, monkeypatch, owner, name, value, fault
):
    async def run():
        async with living({IMAGE_TASK: patch_localize}) as client:
            monkeypatch.setattr(owner, name, value)
            return await client.get("/health"), await client.get("/ready")

    health, ready = asyncio.run(run())
    assert (health.status_code, ready.status_code) == (503, 503)
    assert health.json()["status"] == fault


def test_without_its_token_nothing_is_computed(localize):
    async def run():
        app = make_app({TEXT_TASK: localize}, access=Access(token="0123456789abcdef"))
        transport = httpx.ASGITransport(app)
        async with (
            app.app.router.lifespan_context(app.app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            right = {"authorization": "Bearer 0123456789abcdef"}
            asked = [client.post("/spans", json={"text": "good"}, headers=h) for h in ({}, right)]
            replies = await asyncio.gather(*asked)
            return [reply.status_code for reply in replies], (await client.get("/ready")).json()

    statuses, state = asyncio.run(run())
    assert statuses == [401, 200]
    assert state["spans"]["calls"] == 1


def test_wide_and_tall_pictures_are_split_into_several_batches(patch_localize):
    """Resized to 32 x 160 px, each counts as 4 x 160 x 160 pixels."""
    photos = [make_photo(10, 2), make_photo(2, 10)] * 4
    limits = {"max_wait_ms": 2000, "max_batch_size": 8}
    for most, calls in ((8 * 102_400, 1), (2 * 102_400, 4), (102_399, 8)):
        replies, state = post_photos(patch_localize, photos, max_pixels=most, **limits)
        assert [reply.status_code for reply in replies] == [200] * 8
        assert state["patches"]["calls"] == calls


def test_a_broken_picture_fails_alone(patch_localize):
    whole = make_photo(40, 40)
    replies, _ = post_photos(patch_localize, [whole, whole[:200], whole], max_wait_ms=2000)
    assert [reply.status_code for reply in replies] == [200, 422, 200]
    assert_same(replies[2].json(), patch_localize(whole))


def test_a_task_without_a_model_has_no_route(localize):
    async def run():
        async with living({TEXT_TASK: localize}) as client:
            found = await client.post("/patches", content=b"x", headers=IMAGE)
            told = (await client.get("/openapi.json")).json()
            return found.status_code, sorted(told["paths"])

    assert asyncio.run(run()) == (404, ["/health", "/ready", "/spans"])


def no_memory(*_, **__):
    raise RuntimeError("no memory")


def not_finite(*_, **__):
    return {"results": [{"label": "positive", "score": float("nan")}]}


@pytest.mark.parametrize("fault", [no_memory, not_finite])
def test_a_failure_of_the_model_is_a_server_error(localize, monkeypatch, fault):
    async def run():
        app = make_app({TEXT_TASK: localize})
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.app.router.lifespan_context(app.app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            with monkeypatch.context() as patch:
                patch.setattr(localize, "_forward", fault)
                broken = await client.post("/spans", json={"text": "good"})
            return broken.status_code, (await client.post("/spans", json={"text": "good"})).json()

    status, answer = asyncio.run(run())
    assert status == 500
    assert answer["label"] == "positive"


def test_a_server_that_has_not_started_is_not_ready(localize):
    async def run():
        transport = httpx.ASGITransport(make_app({TEXT_TASK: localize}))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/ready"), await client.get("/health")

    ready, health = asyncio.run(run())
    assert (ready.status_code, health.status_code) == (503, 200)
    assert ready.json()["ready"] is False


def test_a_server_whose_batching_task_stopped_is_not_healthy(localize):
    async def run():
        async with living({TEXT_TASK: localize}) as client:
            before = await client.get("/health")
            (working,) = client._transport.app.app.state.working
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            return before, await client.get("/health"), await client.get("/ready")

    before, health, ready = asyncio.run(run())
    assert (before.status_code, health.status_code, ready.status_code) == (200, 503, 503)


def test_the_shipped_localizers_are_the_default():
    assert load_pipeline(TEXT_TASK).labels == ["negative", "positive"]
    assert load_pipeline(IMAGE_TASK, classifier="default").reader is not None


def test_a_budget_above_what_the_classifier_reads_is_an_invalid_request(
    planted, tokenizer, classifier_folder
):
    reader = SpanReader.load(classifier_folder)
    relabel(reader.model, ["negative", "positive"])
    reader.save_pretrained(classifier_folder)
    localize = SpanLocalizationPipeline(
        model=planted, tokenizer=tokenizer, classifier=classifier_folder
    )
    bodies = [{"text": "good film", "max_tokens": tokens} for tokens in (600, 128)]
    (refused, answered), _ = post_texts(localize, bodies)
    assert (refused.status_code, answered.status_code) == (422, 200)
    assert "must be at most 128 for this classifier, got 600" in refused.json()["detail"]


def test_a_request_may_ask_for_an_explanation_of_the_answer(planted, tokenizer, text_cascade):
    localize = SpanLocalizationPipeline(model=planted, tokenizer=tokenizer, classifier=text_cascade)
    text = "good , a bad film"
    bodies = [{"text": text}, *[{"text": text, "explain_answer": True}] * 2]
    (plain, explained, _), state = post_texts(
        localize, bodies, max_wait_ms=500, allow_explanations=True
    )
    assert state["spans"] == {"answered": 3, "calls": 3}  # explained ones are computed alone
    assert "explanation" not in plain.json()
    expected = localize(text, explain_answer=True)["explanation"]
    assert_same(explained.json()["explanation"], expected)


def test_a_request_for_an_image_may_ask_for_an_explanation(patch_localize):
    (reply,), _ = post_photos(
        patch_localize, [make_photo(40, 40)], "?explain_answer=true", allow_explanations=True
    )
    explanation = reply.json()["explanation"]
    assert explanation["model"] == "localizer"


def test_explanations_are_refused_unless_they_are_allowed(localize):
    (refused, plain), _ = post_texts(
        localize, [{"text": "good", "explain_answer": flag} for flag in (True, False)]
    )
    assert refused.status_code == 422
    assert "`--allow-explanations True`" in refused.json()["detail"]
    assert plain.status_code == 200


def test_a_request_of_very_many_fields_or_long_labels_is_refused_shortly(localize):
    many = {"text": "a"} | {str(number): 1 for number in range(20_000)}
    for body, message in (
        (many, "the body must have at most the fields text, top_k, "),
        ({"text": "a", "labels": ["x" * 100_000]}, "`labels.0`: String should have at most 1000"),
        ({"text": "a", "x" * 100_000: 1}, "`xxx"),
    ):
        (reply,), _ = post_texts(localize, [body])
        assert reply.status_code == 422
        assert reply.json()["detail"].startswith(message)
        assert len(reply.json()["detail"]) <= 500


def test_a_client_cannot_name_its_own_address(localize, monkeypatch):
    made = []
    monkeypatch.setattr(uvicorn, "Config", lambda *_, **given: made.append(given))
    monkeypatch.setattr("hf_anchornet.serve.app._Server", Mock())
    run_app(make_app({TEXT_TASK: localize}), "127.0.0.1", 0)
    assert made[0]["proxy_headers"] is False
