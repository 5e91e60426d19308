"""The page in a real browser: it sorts, filters and plays, and fetches nothing from elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from tests import browser
from tests.harness.sweep import ERROR, OUTCOMES, STATES, make_sweep

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WAIT_S = 15
PHONE, DESKTOP = 375, 1280

EPISODES = {
    (f"rdt · h{horizon} · {fusion}" if horizon == 16 else "rdt · h8", task, state): letter
    for (horizon, fusion), letters in OUTCOMES.items()
    for task, row in enumerate(letters.split())
    for state, letter in enumerate(row)
}
"""Outcome of each episode by the run's name on the page, task and initial state."""


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    if browser.missing():
        (pytest.fail if browser.must_be_there() else pytest.skip)(browser.advice())
    with browser.headless() as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("report")
    make_sweep(home / "sweep")
    assert main(["report", str(home / "sweep"), "--out", str(home / "page")]) == 0
    return home / "page"


class Page:
    """The page in the browser."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver, self.folder = driver, folder

    def open(self, *, width: int = DESKTOP, dark: bool = False, fragment: str = "") -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},  # clicks must not miss
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get("about:blank")
        self.driver.get((self.folder / "index.html").as_uri() + fragment)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        from selenium.webdriver.common.by import By

        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector: str) -> list[Any]:
        from selenium.webdriver.common.by import By

        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def click(self, element: Any) -> None:
        # What is under the bar of sections is in view, but cannot be clicked.
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def until(self, script: str, *arguments: Any) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, WAIT_S, poll_frequency=0.1).until(
            lambda driver: driver.execute_script(script, *arguments), message=script
        )

    def choose(self, **filters: str) -> None:
        from selenium.webdriver.support.ui import Select

        for name, value in filters.items():
            Select(self.find(f"#filter-{name}")).select_by_value(value)

    def shown(self) -> set[str]:
        return set(
            self.run("return [...document.querySelectorAll('.clip:not([hidden])')].map(c => c.id)")
        )

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.find_all(selector)]


@pytest.fixture
def page(driver: Any, folder: Path) -> Iterator[Page]:
    """Open the page; at the end nothing may have been requested from elsewhere or gone wrong."""
    page = Page(driver, folder)
    page.open()
    yield page
    log = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    requests = [
        m["params"]["request"]["url"] for m in log if m["method"] == "Network.requestWillBeSent"
    ]
    home = folder.as_uri() + "/"
    assert home + "index.html" in requests
    outside = ("data:", "about:blank", home)
    assert [url for url in requests if not url.startswith(outside)] == []
    assert [entry for entry in driver.get_log("browser") if entry["level"] != "DEBUG"] == []


def column(page: Page, name: str) -> list[str]:
    cells = page.run(
        f"return [...document.querySelectorAll('.board td.{name}')].map(c => c.dataset.value)"
    )
    return list(cells)


def test_the_leaderboard_is_sorted_by_clicks_and_keys(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    before = column(page, "label")
    counts = [int(float(value)) for value in column(page, "counts")]
    assert sorted(counts, reverse=True) == [11, 7, 3]
    for expected, order in [("descending", True), ("ascending", False)]:
        page.click(page.find(".board th.counts button"))
        values = [int(value) for value in column(page, "counts")]
        assert values == sorted(values, reverse=order)
        assert page.find(".board th.counts").get_attribute("aria-sort") == expected
    after = column(page, "label")
    assert after != before
    assert sorted(after) == sorted(before)
    page.find(".board th.label button").send_keys(Keys.ENTER)
    assert column(page, "label") == ["rdt · h8", "rdt · h16 · act", "rdt · h16 · none"]
    assert page.find(".board th.counts").get_attribute("aria-sort") is None
    page.find(".board th.exec_horizon button").send_keys(Keys.SPACE)
    assert column(page, "exec_horizon") == ["16", "16", "8"]


def test_filters_work_alone_and_together(page: Page) -> None:
    about = page.run(
        "return Object.fromEntries([...document.querySelectorAll('.clip')].map(c => "
        "[c.id, [c.querySelector('b').textContent, c.dataset.task, c.dataset.outcome]]))"
    )
    assert len(about) == sum(letter != "e" for letter in EPISODES.values()) == 35
    places = {
        option.get_attribute("data-name"): option.get_attribute("value")
        for option in page.find_all("#filter-run option")
    }

    def expected(run: str = "", task: str = "", outcome: str = "") -> set[str]:
        return {
            clip
            for clip, (its_run, its_task, its_outcome) in about.items()
            if run in ("", its_run) and task in ("", its_task) and outcome in ("", its_outcome)
        }

    assert len(page.shown()) == 24
    assert page.find("#shown").text == "35 of 35 videos"
    page.click(page.find("#more"))
    assert page.shown() == set(about)
    assert not page.find("#more").is_displayed()
    for choice in (
        {"outcome": "failure"},
        {"outcome": "failure", "task": "libero_10/1"},
        {"outcome": "failure", "task": "libero_10/1", "run": "rdt · h16 · none"},
        {"outcome": "failure", "task": "libero_10/1", "run": "rdt · h16 · act"},
        {"outcome": "", "task": "", "run": "rdt · h8"},
    ):
        page.choose(**{k: places[v] if k == "run" else v for k, v in choice.items()})
        wanted = expected(**choice)
        letters = {"success": "s", "failure": "f"}.get(choice["outcome"], "sf")
        counted = [
            1
            for (run, task, _), letter in EPISODES.items()
            if choice.get("run", run) == run
            and (choice.get("task") or f"libero_10/{task}") == f"libero_10/{task}"
            and letter in letters
        ]
        assert len(wanted) == len(counted)
        assert page.shown() == wanted
        assert page.find("#shown").text == f"{len(wanted)} of 35 videos"
        assert page.find("#nothing").is_displayed() == (not wanted)
    # Behind each choice is what it would leave, the run being chosen.
    assert page.texts("#filter-outcome option") == [
        "All outcomes (12)",
        "success (7)",
        "failure (5)",
        "error (0)",
    ]
    page.click(page.find("#reset"))
    assert page.find("#shown").text == "35 of 35 videos"


def test_a_video_plays(page: Page) -> None:
    video = page.find(".clip video")
    assert video.get_attribute("preload") == "none"
    page.run("arguments[0].scrollIntoView()", video)
    assert page.until("return arguments[0].videoWidth", video) == 640
    page.click(page.find("#play"))
    page.until("return arguments[0].currentTime > 0.3", video)
    assert page.run("return arguments[0].error", video) is None
    page.click(page.find("#play"))
    page.until("return arguments[0].paused", video)
    # Far from the screen the player is given up, and comes back.
    page.run("scrollTo(0, 0)")
    page.until("return !arguments[0].hasAttribute('src')", video)
    page.run("arguments[0].scrollIntoView()", video)
    page.until("return arguments[0].readyState >= 1", video)


def test_heat_maps_show_every_episode_and_lead_to_its_video(page: Page) -> None:
    chips = page.find_all("#map-choice button")
    assert [chip.text.removeprefix("✓ ") for chip in chips] == [
        "all runs together",
        "rdt · h16 · act",
        "rdt · h8",
        "rdt · h16 · none",
    ]
    for chip in chips:
        if chip.get_attribute("aria-pressed") == "false":
            page.click(chip)
    marks = {"s": "✓", "f": "✕", "e": "!"}
    maps = page.find_all(".map")
    assert all(shown.is_displayed() for shown in maps)
    for number, chip in enumerate(chips):
        name = chip.text.removeprefix("✓ ")
        cells = page.run(
            "const map = document.querySelectorAll('.map')[arguments[0]];"
            "return [...map.querySelectorAll('td.cell')].map(c => c.textContent)",
            number,
        )
        for place, cell in enumerate(cells):
            task, state = divmod(place, STATES)
            if number:
                assert cell == marks[EPISODES[name, task, state]]
            else:
                won = [EPISODES[run.text.removeprefix("✓ "), task, state] for run in chips[1:]]
                assert cell == str(won.count("s"))
    page.click(chips[0])
    assert not maps[0].is_displayed()
    page.choose(outcome="failure")
    link = page.find(".map td.success a")
    page.click(link)
    target = page.find(link.get_attribute("hash"))
    assert target.is_displayed()
    assert target.get_attribute("data-outcome") == "success"
    # The last video is not among those shown at first.
    last = page.find_all(".clip")[-1].get_attribute("id")
    page.open(fragment=f"#{last}")
    assert page.find(f"#{last}").is_displayed()


def test_two_runs_are_compared_episode_by_episode(page: Page) -> None:
    from selenium.webdriver.support.ui import Select

    names = ("rdt · h8", "rdt · h16 · none")
    for side, name in zip("ab", names, strict=True):
        Select(page.find(f"#pair-{side}")).select_by_visible_text(name)
    both = [
        EPISODES[names[0], task, state] + EPISODES[names[1], task, state]
        for task in range(2)
        for state in range(STATES)
    ]
    facts = dict(line.split("\n")[::-1] for line in page.texts("#pair-facts li"))
    assert facts == {
        "matched episodes": "12",
        "both succeed": str(both.count("ss")),
        "only A succeeds": str(both.count("sf")),
        "only B succeeds": str(both.count("fs")),
        "neither": str(both.count("ff")),
        "with an error, not compared": "1",
    }
    flipped = [
        f"task {place // STATES}, init state {place % STATES}"
        for place, pair in enumerate(both)
        if pair == "sf"
    ]
    assert [text.split("\n")[0] for text in page.texts("#pair-list-a li")] == flipped
    page.click(page.find("#pair-list-a button"))
    page.until(
        "const all = [...document.querySelectorAll('#pair-stage video')];"
        "return all.length === 2 && all.every(v => v.currentTime > 0.1)"
    )


_WIDER_THAN_THE_PAGE = """
const boxed = (e) => e.closest('.scroll, nav ul, pre, svg, .sorter');
return [...document.body.querySelectorAll('*')].filter(e => !boxed(e)
  && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 120));
"""


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_a_phone(page: Page, dark: bool) -> None:
    page.open(width=PHONE, dark=dark)
    page.run("for (const d of document.querySelectorAll('details')) d.open = true")
    for chip in page.find_all("#map-choice button[aria-pressed=false]"):
        page.click(chip)
    assert page.run("return innerWidth") == PHONE
    assert page.run(_WIDER_THAN_THE_PAGE) == []
    assert page.run("return document.documentElement.scrollWidth") <= PHONE
    page.run("scrollTo(1000, 0)")
    assert page.run("return scrollX") == 0


_PALE = """
const numbers = (colour) => (colour.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const luminance = (rgb) => rgb.slice(0, 3).map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  const layers = [];
  for (let e = element; e; e = e.parentElement)
    layers.push(numbers(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((under, [r, g, b, a = 1]) =>
    under.map((v, i) => v * (1 - a) + [r, g, b][i] * a), [255, 255, 255]);
};
const pale = [];
for (const element of document.body.querySelectorAll('*:not(script, style, option, title)')) {
  const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || !element.checkVisibility() || element.matches('svg .in')) continue;
  const style = getComputedStyle(element);
  const front = numbers(element.matches('svg text') ? style.fill : style.color);
  const [high, low] = [luminance(front), luminance(behind(element))].sort((a, b) => b - a);
  const ratio = (high + 0.05) / (low + 0.05);
  if (ratio < 4.5) pale.push(`${ratio.toFixed(2)} ${element.outerHTML.slice(0, 100)}`);
}
return pale;
"""


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read(page: Page, dark: bool) -> None:
    page.open(dark=dark)
    page.run("for (const d of document.querySelectorAll('details')) d.open = true")
    page.run("document.querySelector('#clips').scrollIntoView()")
    shade = page.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")
    assert (int(shade[0]) < 80) == dark
    assert page.run(_PALE) == []


def test_controls_have_names_and_hostile_text_is_text(page: Page) -> None:
    page.run("for (const d of document.querySelectorAll('details')) d.open = true")
    found = page.find_all("button, select, video, summary, [role=region], [role=img]")
    controls = [element for element in found if element.is_displayed()]
    assert len(controls) > 60
    # Chromium computes no names for what it has not laid out yet, such as videos further down.
    names = [e.accessible_name or e.get_attribute("aria-label") for e in controls]
    assert all(names), controls[names.index("")].get_attribute("outerHTML")
    assert ERROR in page.run("return document.querySelector('.reasons').textContent")
    assert page.run("return document.querySelectorAll('#conditions b').length") == 0
