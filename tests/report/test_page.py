"""The report in a real browser: every figure drawn, nothing on the console, nothing asked of the network."""

import pytest

from gradflip.report import write_report
from lazy_rows import folder_with, table


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    return write_report([folder_with(tmp_path_factory.mktemp("page"), table())])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100], ids=["phone", "desk"])
def test_the_page_draws_its_figures_without_errors_or_requests(browser, page_file, scheme, width):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    page.wait_for_function("document.querySelectorAll('.chart svg').length === 3")
    assert said == []
    assert asked == [page_file.as_uri()]
    # the marks themselves: two widths of five points in each panel
    points = page.locator(".chart svg .mark-symbol.role-mark path").count()
    assert points == 3 * 10
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert ink == ("rgb(27, 31, 36)" if scheme == "light" else "rgb(230, 233, 236)")
    page.close()


def test_ticking_off_a_width_takes_its_curves_and_rows_away(browser, page_file):
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.goto(page_file.as_uri())
    page.wait_for_function("document.querySelectorAll('.chart svg').length === 3")
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    rows = page.locator("tr[data-at]:visible")
    before = rows.count()
    page.get_by_role("checkbox", name="250").uncheck()
    page.wait_for_function("document.querySelectorAll('.chart svg .mark-symbol.role-mark path').length === 15")
    assert rows.count() == before // 2
    page.get_by_role("checkbox", name="1000").uncheck()
    # text without a font has no size, so that a browser without fonts would not call it visible
    said = page.get_by_text("No network of this figure is chosen.")
    assert said.count() == 1 and said.evaluate("one => getComputedStyle(one).display") != "none"
    assert rows.count() == 0
    page.get_by_role("checkbox", name="250").check()
    page.get_by_role("checkbox", name="1000").check()
    page.wait_for_function("document.querySelectorAll('.chart svg .mark-symbol.role-mark path').length === 30")
    assert rows.count() == before
    page.close()
