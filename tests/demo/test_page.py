"""The web demo's page in a headless Chromium, without network."""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from PIL import Image

from hf_anchornet import SAMPLE_IMAGE
from scripts.benchmarks.machine import find_free_port

ROOT = Path(__file__).parents[2]
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
--disable-background-networking --disable-component-update --window-size=1280,1160"""
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
EXAMPLES = {
    "text": ("Text", "A film review", "//mark"),
    "photo": (
        "Photo",
        "A photo of an airfield",
        "//img[starts-with(@alt, 'The picture with boxes for ')]",
    ),
}
BUTTON = "//button[normalize-space()='Show what decided']"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served():
    """Address of the web demo, and the process that serves it."""
    port = find_free_port()
    command = [sys.executable, "-m", "hf_anchornet", "demo", "--web", "--port", str(port)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 300
            while not answers(port):
                assert server.poll() is None, "the demo ended before it served"
                assert time.monotonic() < deadline, "the demo did not start"
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/", psutil.Process(server.pid)
        finally:
            server.terminate()


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def page(served, tmp_path):
    """A new browser at the demo: `driver`, and `find` for what is displayed, after a wait."""
    names = ("chromium", "chromedriver")
    paths = [shutil.which(name) for name in names]
    if not all(paths):
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = paths[0]
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(paths[1])
    with webdriver.Chrome(options=options, service=service) as driver:
        page = SimpleNamespace(driver=driver, address=served[0], server=served[1])
        driver.get(page.address)
        page.find = lambda xpath, seconds=120: wait_for(driver, xpath, seconds)
        page.find(BUTTON)
        yield page


def wait_for(driver, xpath, seconds):
    """The first element that is displayed, as soon as there is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        # Looked for and measured in one step: Gradio may replace an element between two.
        found = driver.execute_script(
            """const all = document.evaluate(arguments[0], document, null, 7, null);
            for (let i = 0; i < all.snapshotLength; i++)
                if (all.snapshotItem(i).checkVisibility()) return all.snapshotItem(i);""",
            xpath,
        )
        if found is not None:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not displayed within {seconds} s: {xpath}")


def errors(driver):
    """What the console calls errors; of its own accord Gradio warns of things it does not use."""
    return [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def requests(driver):
    """Addresses that the page asked for."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [part["params"] for part in messages if part["method"] == "Network.requestWillBeSent"]
    return {part["request"]["url"] for part in sent if part["documentURL"].startswith("http")}


def overflow(driver):
    """Pixels by which the page is wider than its window."""
    return driver.execute_script("return document.documentElement.scrollWidth - innerWidth")


def show_photo_tab(page, path):
    page.find("//button[@role='tab'][normalize-space()='Photo']").click()
    page.find("//*[contains(@class, 'upload-container') or @aria-label][.//*]")
    page.driver.execute_script("arguments[0].scrollIntoView()", page.find(BUTTON))
    uploads = page.driver.find_elements("css selector", "input[type=file]")
    uploads[-1].send_keys(str(path))


def test_a_text_shows_its_spans_and_their_shares(page):
    page.find("//textarea").send_keys("The cast is superb and the ending is wonderful.")
    page.find(BUTTON).click()
    mark = page.find("//mark[contains(., 'superb')]")
    assert re.search(r"\+\d+%$", mark.text.strip())
    verdict = page.find("//*[@role='status'][@aria-live='polite']//strong").text
    assert re.fullmatch(r"positive, \d+\.\d%", verdict)
    assert errors(page.driver) == []
    assert all(url.startswith((page.address, "data:")) for url in requests(page.driver))


def test_markup_and_templates_in_a_text_are_shown_as_they_are(page):
    text = "superb <b>film</b> ${1+1} {{value}}"
    page.find("//textarea").send_keys(text)
    page.find(BUTTON).click()
    shown = page.find("//figure/div").text
    assert re.sub(r"\s*[+-]\d+%", "", shown) == text


def test_a_photo_shows_its_boxes(page):
    show_photo_tab(page, SAMPLE_IMAGE)
    page.find("//img[contains(@src, '/file=')]")
    page.find(BUTTON).click()
    alt = "starts-with(@alt, 'The picture with boxes for ') and contains(@alt, ': +')"
    boxes = page.find(f"//img[{alt}]")
    assert boxes.size["width"] > 100
    assert errors(page.driver) == []


def test_a_file_that_is_no_photo_is_named(page, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    show_photo_tab(page, tmp_path / "broken.png")
    page.find("//img[contains(@src, '/file=')]")
    page.find(BUTTON).click()
    alert = page.find("//*[@data-testid='toast-body'][normalize-space()]")
    alert = alert.get_attribute("textContent")  # it fades in
    assert "must be a whole picture file" in alert
    assert "Traceback" not in alert


def test_the_keyboard_is_enough(page):
    keys = pytest.importorskip("selenium.webdriver").Keys
    active = page.driver.switch_to.active_element
    focused = []
    for _ in range(12):
        active.send_keys(keys.TAB)
        active = page.driver.switch_to.active_element
        focused.append(active.accessible_name)
        if active.tag_name == "textarea":
            active.send_keys("The cast is superb.")
        if active.accessible_name == "Show what decided":
            active.send_keys(keys.ENTER)
            break
    assert "Text" in focused[0]
    page.find("//mark[contains(., 'superb')]")


def test_every_control_has_a_name(page):
    for tab in ("Text", "Photo"):
        page.find(f"//button[@role='tab'][normalize-space()='{tab}']").click()
        for name in ("Options", "Models"):
            page.find(
                f"//button[.//*[text()='{name}'] or normalize-space(text())='{name}']"
            ).click()
        page.find("//input[@type='range']")
        kinds = ":is(input, textarea, select, button):not([aria-hidden=true] *)"
        controls = page.driver.find_elements("css selector", kinds)
        shown = [control for control in controls if control.is_displayed()]
        assert len(shown) > 15
        unnamed = [part.get_attribute("outerHTML") for part in shown if not part.accessible_name]
        assert unnamed == []


def test_a_phone_shows_all_without_scrolling_sideways(page):
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    page.find("//*[normalize-space(text())='A film review']").click()
    page.find("//mark")
    assert overflow(page.driver) <= 0
    show_photo_tab(page, SAMPLE_IMAGE)
    page.find("//img[contains(@src, '/file=')]")
    page.find(BUTTON).click()
    page.find("//img[starts-with(@alt, 'The picture with boxes for ')]")
    assert overflow(page.driver) <= 0


def test_the_first_answer_comes_within_a_second(page):
    """Where DEMO_RECORD names a folder, the times go there, and a picture of the page.

    The second is held to where it is recorded, on an idle machine: a busy one gets three.
    """
    report = {}
    for kind, (title, name, sign) in EXAMPLES.items():
        rounds = []
        for _ in range(6):
            page.driver.refresh()
            page.find(f"//button[@role='tab'][normalize-space()='{title}']").click()
            example = page.find(f"//*[normalize-space(text())='{name}']")
            time.sleep(3)  # what the page fetches after it shows is no part of the answer
            spent, started = sum(page.server.cpu_times()[:2]), time.perf_counter()
            example.click()
            page.find(sign)
            seconds = time.perf_counter() - started
            rounds.append((seconds, sum(page.server.cpu_times()[:2]) - spent))
        waits, work = zip(*rounds, strict=True)
        report[kind] = {
            "first_seconds": waits[0],
            "later_median_seconds": statistics.median(waits[1:]),
            "first_processor_seconds_of_the_server": work[0],
        }
    slowest = max(times["first_seconds"] for times in report.values())
    if "DEMO_RECORD" in os.environ:
        keep_record(page, Path(os.environ["DEMO_RECORD"]), report)
        assert slowest <= 1
    assert slowest <= 3


def keep_record(page, folder, report):
    """Write the times as JSON and the page with an answer as a picture."""
    load = f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    note = "from a click on an example to the answer in headless Chromium, one thread; " + load
    content = json.dumps({"note": note} | report, indent=2)
    (folder / "results" / "web_demo.json").write_text(content + "\n", encoding="utf-8")
    page.driver.refresh()
    page.find("//*[normalize-space(text())='A film review']").click()
    page.find("//mark")
    time.sleep(2)  # Gradio fades answers in
    height = page.driver.execute_script("return document.documentElement.scrollHeight")
    whole = {"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", whole)
    time.sleep(1)
    picture = folder / "model_cards" / "web_demo.png"
    page.driver.save_screenshot(str(picture))
    with Image.open(picture) as shot:
        shot.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(picture, optimize=True)
