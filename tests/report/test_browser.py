"""The page in a real headless Chromium."""

import json
import os
import shutil

import pytest

from unflaw.report import render

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER) and not os.environ.get("CI"),
    reason="needs `chromium` and `chromedriver` on the PATH; on Debian: apt-get install chromium chromium-driver",
)


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, hostile_run):
    from selenium.webdriver.support.ui import WebDriverWait

    page = render(hostile_run)
    view(browser, 1280)
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(page.as_uri())
    WebDriverWait(browser, 20).until(lambda of: of.execute_script("return document.querySelectorAll('.pager').length"))
    return browser


def view(browser, width, **media):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def shown(browser, table=0):
    """First cells of the rows on view."""
    return browser.execute_script(
        "return [...document.querySelectorAll('table.paged')[arguments[0]].tBodies[0].rows]"
        ".filter(row => row.checkVisibility()).map(row => row.rowIndex)",
        table,
    )


def test_nothing_goes_wrong_and_nothing_is_requested(opened):
    assert opened.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert asked and all(url.startswith(("file:", "data:")) for url in asked)


def test_a_planted_script_is_read_and_not_run(opened, planted):
    assert opened.execute_script("return window.planted") is None
    assert opened.title == "hostile – unflaw report"
    assert opened.execute_script("return document.body.textContent").count(planted) >= 4
    assert opened.execute_script("return document.querySelectorAll('img, main > script').length") == 0


def test_the_policy_stops_a_script_that_got_in(opened):
    opened.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.planted = 1'; document.body.append(s)"
    )
    assert opened.execute_script("return window.planted") is None
    assert "Content Security Policy" in opened.get_log("browser")[0]["message"]


def test_tables_page_by_click(opened):
    from selenium.webdriver.common.by import By

    back, forth = opened.find_elements(By.CSS_SELECTOR, ".pager")[0].find_elements(By.TAG_NAME, "button")
    assert (shown(opened), back.is_enabled()) == (list(range(1, 11)), False)
    opened.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", forth)
    forth.click()
    assert shown(opened) == list(range(11, 21))
    assert opened.find_element(By.CSS_SELECTOR, ".pager [role=status]").text == "Rows 11–20 of 100"
    back.click()
    assert shown(opened) == list(range(1, 11))
    assert shown(opened, 1) == list(range(1, 11)), "each table pages alone"


def test_tables_page_by_keyboard(opened):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    forth = opened.find_elements(By.CSS_SELECTOR, ".pager button")[1]
    opened.execute_script("arguments[0].focus()", forth)

    def press(key):
        opened.switch_to.active_element.send_keys(key)
        return shown(opened)[0]

    assert press(Keys.ENTER) == 11
    assert press(Keys.SPACE) == 21
    assert press(Keys.ARROW_LEFT) == 11
    assert press(Keys.END) == 91
    assert press(Keys.ARROW_LEFT) == 81, "the focus stays with the pager when a button is switched off"
    assert press(Keys.HOME) == 1
    assert press(Keys.ARROW_RIGHT) == 11


def test_no_sideways_scrolling_on_a_phone(opened):
    view(opened, 390)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
    wide = """return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 391
        && !e.closest('.scroll, .plot, .skip, thead')).map(e => e.outerHTML.slice(0, 80))"""
    assert opened.execute_script(wide) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_series_stand_out_from_the_paper(opened, scheme):
    view(opened, 1280, prefers_color_scheme=scheme)
    pairs = [(f"--s{i}", "--card") for i in range(1, 7)] + [
        (f"--{k}", f"--{k}-bg") for k in ("ok", "warn", "fail", "none")
    ]
    pairs += [(ink, paper) for ink in ("--ink", "--ink-2", "--link") for paper in ("--paper", "--card", "--sunk")]
    pairs += [("--mark-ink", "--mark")]
    colours = {name: colour(opened, name) for pair in pairs for name in pair}
    assert {pair: ratio for pair in pairs if (ratio := contrast(*(colours[name] for name in pair))) < 4.5} == {}


def colour(browser, variable):
    return browser.execute_script(
        "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0]).trim()", variable
    )


def contrast(one, other):
    """WCAG 2 contrast ratio of two #rrggbb or #rgb colours."""

    def luminance(text):
        digits = text[1:] if len(text) == 7 else "".join(d * 2 for d in text[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_reader_without_scripts_gets_every_row(opened, hostile_run):
    opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened.get((hostile_run / "report.html").as_uri())
        assert shown(opened) == list(range(1, 101))
    finally:
        opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_print_has_no_dark_paper(opened):
    view(opened, 1280, prefers_color_scheme="dark")
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert colour(opened, "--paper") == "#fff"
    assert opened.execute_script("return getComputedStyle(document.querySelector('.pager button')).display") == "none"
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
