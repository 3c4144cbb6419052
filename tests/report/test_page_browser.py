"""The page in a real browser: the pointer, the keys, the links, what names do."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.report.model import Card, CardGroup, VideoPanel
from twostream_vad.report.page import write_page
from twostream_vad.report.thumbnails import Thumbnails, heat_picture, thumbnail_step
from twostream_vad.video.pictures import thumbnail

pytest.importorskip("selenium", reason="selenium is not installed: pip install selenium")
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER),
    reason="no chromium and chromedriver: apt install chromium chromium-driver",
)

VIDEOS, FRAMES = 21, 1000
STEP = thumbnail_step(VIDEOS * FRAMES)
HOSTILE = "02 </script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
SWITCHES = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-quic "
    "--disable-sync --disable-background-networking --disable-component-update --window-size=1200,900"
)


def scores(video: int) -> dict[str, dict[str, NDArray[np.floating]]]:
    ramp = np.linspace(0, 1, FRAMES) + 0.001 * video
    return {
        "paper": {"recovery": ramp, "fused": 2 * ramp},
        "causal": {"recovery": ramp / 2, "fused": np.where(np.arange(FRAMES) < 56, np.nan, 3 * ramp)},
    }


def videos() -> Iterator[VideoPanel]:
    """Thumbnails of noise, larger than those of real scenes; drawn once and used in turn."""
    random = np.random.default_rng(0)
    scenes = [random.integers(0, 255, (40, 72, 3), dtype=np.uint8).repeat(9, 0).repeat(9, 1) for _ in range(60)]
    frames = [thumbnail(scene) for scene in scenes]
    heat = [heat_picture(random.random((30, 54))) for _ in range(60)]
    samples = -(-FRAMES // STEP)
    labels = (np.arange(FRAMES) // 100) % 3 == 1
    for i in range(VIDEOS):
        order = [(i + j) % 60 for j in range(samples)]
        pictures = Thumbnails(STEP, [frames[j] for j in order], [heat[j] for j in order])
        name = HOSTILE if i == 1 else f"{i + 1:02d}"
        given = None if i == 2 else labels
        yield VideoPanel(name, FRAMES, 25.0, given, scores(i), pictures, {"causal": 1.5}, HOSTILE)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    card = Card("15", 640, b"", None, HOSTILE, ())
    write_page(path, HOSTILE, videos(), cards=[CardGroup("Worst", "", [card])], facts=[(HOSTILE, HOSTILE)])
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for switch in (*SWITCHES.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(CHROMEDRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Chrome, report: Path) -> Chrome:
    browser.get("about:blank")  # a link of the page before would only change the fragment
    browser.get(report.as_uri())
    return browser


def drawn(browser: Chrome, video: int) -> WebElement:
    """A video's panel, scrolled to and drawn."""
    article = browser.find_elements(By.CSS_SELECTOR, ".video")[video]
    browser.execute_script("arguments[0].scrollIntoView()", article)
    WebDriverWait(browser, 60).until(lambda _: article.find_elements(By.CSS_SELECTOR, ".cursor"))
    return article


def point(browser: Chrome, article: WebElement, share: float) -> int:
    """Moves the mouse along the timeline and returns the frame that must be there."""
    chart = article.find_element(By.CSS_SELECTOR, ".chart")
    box = browser.execute_script("const b = arguments[0].getBoundingClientRect(); return [b.left, b.width]", chart)
    offset = round((share - 0.5) * box[1])
    ActionChains(browser, duration=0).move_to_element_with_offset(chart, offset, 0).perform()
    x = browser.execute_script("return window.lastX")
    return int((x - box[0]) / box[1] * FRAMES)


def watch_pointer(browser: Chrome) -> None:
    browser.execute_script("addEventListener('pointermove', (e) => { window.lastX = e.clientX; }, true)")


def readout(article: WebElement) -> dict[str, str]:
    outputs = article.find_elements(By.CSS_SELECTOR, ".readout output")
    return {output.get_attribute("data-series") or "": output.text for output in outputs}


def source(article: WebElement, image: str) -> str:
    return article.find_element(By.CSS_SELECTOR, f".pictures img.{image}").get_attribute("src") or ""


def test_a_page_of_21_videos_is_below_30_mb_and_draws_only_what_is_looked_at(opened: Chrome, report: Path) -> None:
    assert 15e6 < report.stat().st_size < 30e6
    drawn(opened, 0)
    assert not opened.find_elements(By.CSS_SELECTOR, ".video")[-1].find_elements(By.CSS_SELECTOR, ".cursor")


def test_the_pointer_shows_its_frame_its_heat_and_its_numbers(opened: Chrome) -> None:
    watch_pointer(opened)
    article = drawn(opened, 3)
    seen = set()
    for share in (0.2, 0.5, 0.8):
        frame = point(opened, article, share)
        expected = scores(3)["paper"]
        assert article.find_element(By.CSS_SELECTOR, ".when").text == f"frame {frame} · {frame / 25:.2f} s"
        assert readout(article) == {name: f"{np.float32(s[frame]):.3f}" for name, s in expected.items()}
        assert source(article, "frame") == source(article, "under")
        seen.add((source(article, "frame"), source(article, "over")))
    assert len(seen) == len({frame for frame, _ in seen}) == len({heat for _, heat in seen}) == 3


def test_arrow_keys_walk_from_frame_to_frame(opened: Chrome) -> None:
    article = drawn(opened, 0)
    chart = article.find_element(By.CSS_SELECTOR, ".chart")
    chart.send_keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert chart.get_attribute("aria-valuenow") == "1"
    assert "frame 1 · 0.04 s" in (chart.get_attribute("aria-valuetext") or "")
    chart.send_keys(Keys.END)
    assert chart.get_attribute("aria-valuenow") == str(FRAMES - 1)


def test_the_other_protocol_brings_its_numbers_its_name_and_its_gaps(opened: Chrome) -> None:
    article = drawn(opened, 0)
    opened.find_element(By.XPATH, "//*[@id='bar']//span[.='causal protocol']").click()
    assert article.find_element(By.CSS_SELECTOR, ".protocol").text == "causal protocol"
    chart = article.find_element(By.CSS_SELECTOR, ".chart")
    chart.send_keys(Keys.END)
    assert readout(article) == {"recovery": "0.500", "fused": "3.000"}
    assert "above threshold" in article.find_element(By.CSS_SELECTOR, ".state").text
    chart.send_keys(Keys.HOME)
    assert readout(article)["fused"] == "–"


def test_a_video_without_labels_claims_none(opened: Chrome) -> None:
    article = drawn(opened, 2)
    assert "no labels" in article.text
    assert "labelled" not in article.find_element(By.CSS_SELECTOR, ".state").text


def test_a_card_leads_to_its_frame_on_the_timeline(opened: Chrome) -> None:
    opened.find_element(By.CSS_SELECTOR, ".card a").click()
    article = opened.find_elements(By.CSS_SELECTOR, ".video")[14]
    WebDriverWait(opened, 60).until(lambda _: article.find_elements(By.CSS_SELECTOR, ".when"))
    assert "frame 640 " in article.find_element(By.CSS_SELECTOR, ".when").text


def test_names_do_nothing_and_nothing_is_fetched(opened: Chrome) -> None:
    opened.get_log("browser")  # type: ignore[no-untyped-call]
    article = drawn(opened, 1)
    assert article.find_element(By.TAG_NAME, "h3").text == HOSTILE
    assert opened.execute_script("return window.hacked") is None
    assert opened.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)") == []
    assert opened.get_log("browser") == []  # type: ignore[no-untyped-call]
