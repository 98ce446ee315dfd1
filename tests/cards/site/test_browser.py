"""The site in a real headless Chromium: it opens from the disk, sorts, filters, moves slices, asks nobody."""

import pytest

ROWS = (
    "[...document.querySelectorAll('.board:not([hidden]) tbody tr:not([hidden])')].map(r => r.dataset.name)"
)
SHOWN = "document.querySelector('.slices li.on').dataset.index"
NOISE = ("GPU stall", "GL Driver Message")
"""Of drawing without a graphics card."""


@pytest.fixture(scope="module")
def page(new_page):
    page = new_page()
    yield page
    outside = [url for url in page.requests if not url.startswith(("file://", "data:", "about:", "blob:"))]
    assert outside == []


@pytest.fixture(autouse=True)
def _no_problems(page):
    """No error and no warning in the console, whatever a test does."""
    page.problems.clear()
    yield
    assert [p for p in page.problems if not any(noise in p for noise in NOISE)] == []


def test_the_leaderboard_sorts_by_click_and_by_key(page, site):
    page.open(site / "index.html")
    table = "document.querySelector('.board table')"
    names = f"[...{table}.tBodies[0].rows].map(r => r.dataset.name)"
    first = page.evaluate(names)
    assert page.evaluate(f"{table}.querySelector('.mark:not([hidden])') !== null")
    page.evaluate(f"{table}.querySelectorAll('th')[1].querySelector('button').click()")
    assert page.evaluate(names) == first
    assert page.evaluate(f"{table}.querySelectorAll('th')[1].getAttribute('aria-sort')") == "descending"
    page.evaluate(f"{table}.querySelectorAll('th')[1].querySelector('button').focus()")
    page.press("Enter", 13)
    assert page.evaluate(names) == first[::-1]
    assert page.evaluate(f"{table}.querySelector('.mark:not([hidden])') === null")  # other neighbours now


def test_the_leaderboard_filters_by_task_and_name(page, site):
    page.open(site / "index.html")
    every = page.evaluate(ROWS)
    page.evaluate("document.querySelector('[name=task][value=segment]').click()")
    some = page.evaluate(ROWS)
    assert 0 < len(some) < len(every)
    assert "baseline:flair-threshold" not in some
    page.evaluate("document.querySelector('[name=task][value=segment]').click()")
    page.evaluate("document.querySelector('[name=model]').focus()")
    page.call("Input.insertText", text="THRESHOLD")
    assert page.evaluate(ROWS) == ["baseline:flair-threshold"]
    assert page.evaluate("document.querySelector('.tools output').textContent") == "1 row"


def test_a_slice_is_moved_by_the_keyboard(page, site):
    page.open(site / "cases" / "phantom" / "phantom-0001.html")
    before = page.evaluate(SHOWN)
    page.evaluate("document.querySelector('[name=slice]').focus()")
    page.press("ArrowRight", 39)
    after = page.evaluate(SHOWN)
    assert int(after) > int(before)
    assert page.evaluate("document.querySelector('.tools output').textContent") == after
    assert page.evaluate("document.querySelectorAll('.slices li.on').length") == 1
    page.until("document.querySelector('.slices li.on img').naturalWidth > 0")


def test_another_model_and_all_slices_are_chosen(page, site):
    page.open(site / "cases" / "phantom" / "phantom-0001.html")
    groups = "[...document.querySelectorAll('.pred[data-model]:not([hidden])')]"
    shown = f"[...new Set({groups}.map(g => g.dataset.model))]"
    models = page.evaluate("[...document.querySelector('[name=model]').options].map(o => o.value)")
    assert page.evaluate(shown) == models[:1]
    page.evaluate(
        "{const s = document.querySelector('[name=model]'); s.selectedIndex = 1;"
        "s.dispatchEvent(new Event('input', {bubbles: true}))}"
    )
    assert page.evaluate(shown) == models[1:]
    page.evaluate("document.querySelector('[name=all]').click()")
    assert page.evaluate("[...document.querySelectorAll('.slices li')].every(li => li.offsetHeight > 0)")


def test_the_three_plane_viewer_opens_from_the_disk(page, site):
    page.open(site / "cases" / "phantom" / "phantom-0001.html", width=700, height=700)
    if not page.evaluate("document.createElement('canvas').getContext('webgl2') !== null"):
        pytest.skip("this Chromium has no WebGL2")
    page.evaluate("document.querySelector('.viewer .open').click()")
    page.until(
        "window.voxzooOpened || document.querySelector('.viewer .status').textContent.includes('not open')"
    )
    assert page.evaluate("document.querySelector('.viewer .status').textContent") == ""
    assert page.evaluate("window.voxzooOpened.volumes.length") == 3  # image, reference, prediction
    before = page.evaluate("window.voxzooOpened.scene.crosshairPos[2]")
    page.evaluate("document.querySelector('.viewer [name=axial]').focus()")
    page.press("Home", 36)
    assert page.evaluate("window.voxzooOpened.scene.crosshairPos[2]") == 0 != before


def test_without_webgl2_the_slices_are_left(page, site):
    script = page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="HTMLCanvasElement.prototype.getContext = () => null",
    )["identifier"]
    try:
        page.open(site / "cases" / "phantom" / "phantom-0001.html")
        assert page.evaluate("document.querySelector('.viewer .open').disabled")
        assert "no WebGL2" in page.evaluate("document.querySelector('.viewer .status').textContent")
        assert page.evaluate("document.querySelector('.slices li.on img').naturalWidth > 0")
    finally:
        page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


@pytest.mark.parametrize("screen", [{}, {"width": 360, "height": 780, "phone": True}, {"dark": True}])
def test_every_page_fits_the_screen(page, site, screen):
    for path in sorted(site.rglob("*.html")):
        if path.name in ("phantom-0000.html", "phantom-0002.html"):
            continue
        page.open(path, **screen)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        small = (
            "[...document.querySelectorAll('button, select, [type=search]')].filter(e => e.offsetHeight && "
        )
        small += "!e.classList.contains('sort') && e.offsetHeight < 32).length"
        assert page.evaluate(small) == 0, path
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light == "rgb(20, 24, 26)") == bool(screen.get("dark"))
