"""Figures, claims and page of random networks, from ensembles of a few draws and from rows whose numbers are known."""

import dataclasses
import json
import math
import re
from pathlib import Path

import polars as pl
import pytest

from gradflip.experiments import EXPERIMENTS, Settings, plan
from gradflip.report import findings, listings, read_table, write_figures, write_report
from gradflip.sweep import Cell, CellResult, RunFolder, measure_cell
from gradflip.theory import limits
from lazy_rows import folder_with as lazy_folder
from lazy_rows import table as lazy_table
from measured_folders import SETTINGS, folder_with

NAMES = [f"montanari2022-{kind}" for kind in ("flip-probability", "any-width", "joint-law", "depth")]
FEW = {"draws": 40, "explicit_draws": 40, "ray_draws": 3}


def few(cell):
    """The result of a cell by fewer draws than it asks for."""
    parameters = cell.to_json()["parameters"]
    fewer = {name: count for name, count in FEW.items() if parameters.get(name)}
    if parameters.get("width", 0) > 10_000:
        fewer["draws"] = 4
    found = measure_cell(Cell(cell.measure, parameters | fewer, cell.seed))
    assert found.status == "ok", found.error
    return CellResult(cell, "ok", rows=found.rows, observations=found.observations, seconds=1.5)


@pytest.fixture(scope="module")
def results():
    """Every cell of the quick preset by a few draws: a quarter of a minute for all tests of this file."""
    return {cell.hash: few(cell) for cell in plan(["montanari2022"], SETTINGS).cells}


@pytest.fixture(scope="module")
def drawn(results, tmp_path_factory):
    """The folder of a run of all four experiments, with its page."""
    folder = folder_with(tmp_path_factory.mktemp("random") / "run", results)
    write_report([folder])
    return folder


def page(folder):
    return (folder.path / "report.html").read_text()


def figure(folder, name):
    table, seen = read_table(folder), read_table(folder, "observations")
    return EXPERIMENTS[name].draw(table, seen, SETTINGS)


def test_every_experiment_has_a_figure_in_every_form(drawn):
    for name in NAMES:
        for ending, magic in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<svg")):
            assert (drawn.path / "figures" / f"{name}.{ending}").read_bytes().startswith(magic)
        assert json.loads((drawn.path / "figures" / f"{name}.vl.json").read_text())["concat"]
        assert len(pl.read_csv(drawn.path / "figures" / f"{name}.csv", infer_schema_length=None)) > 0
        assert f"<pre>gradflip run {name} --preset quick</pre>" in page(drawn)
    text = page(drawn)
    assert len(re.findall(r'<script type="application/json">', text)) == 9 + 6 + 6 + 7
    assert len(text) < 3_000_000


def test_a_page_of_random_networks_says_nothing_of_lazy_ones(drawn):
    text = page(drawn)
    own = text[: text.index("<script>")]  # before the drawing library
    assert "<h1>How small a step flips a random network?</h1>" in own
    for word in ("lazy", "lazily", "Theorem 3.1", "C0", "test error", "digits", "over seeds", "protocol"):
        assert word not in own
    assert "random networks, quick, seed 0" in own
    assert "of the two-layer networks with d = 2,000, by activation" in own
    assert "of the networks whose widths grow" in own
    assert re.search(r"<strong>[\d,]+ networks at random initialisation</strong> in 200 ensembles", own)


def test_a_page_of_trained_networks_says_nothing_of_random_ones(tmp_path):
    text = write_report([lazy_folder(tmp_path, lazy_table())]).read_text()
    own = text[: text.index("<script>")]  # before the drawing library
    assert "How small a step flips a lazily trained network?" in own
    assert "andom network" not in own
    assert "Kolmogorov" not in own


def test_a_page_of_both_families_speaks_of_each(results, tmp_path):
    names = ("wang2022-fig2", "montanari2022-flip-probability")
    planned = plan(names, SETTINGS)
    lazy = {}
    rows = lazy_table()
    for cell in planned.cells_of(planned.families[0]):
        same = {"size": cell.parameters["size"], "width": cell.parameters["width"], "seed": cell.seed}
        lazy[cell.hash] = CellResult(
            cell, "ok", rows=rows.filter(**same).drop("measure", "seed").to_dicts(), seconds=1.5
        )
    folder = folder_with(tmp_path / "both", results | lazy, names)
    text = write_report([folder]).read_text()
    assert "<h1>How small a step flips a lazily trained network or a random network?</h1>" in text
    for part in ("30 networks</strong>, each trained by SGD", "networks at random initialisation", "Theorem 3.1",
                 "Every ensemble of montanari2022-flip-probability", "<h2>Every network</h2>",
                 "gradflip run wang2022-fig2 --data digits --preset quick"):  # fmt: skip
        assert part in text
    assert "<pre>gradflip run montanari2022-flip-probability --preset quick</pre>" in text
    groups = re.findall(r'<fieldset data-column="(\w+)">', text)
    assert groups == ["width", "activation"]
    assert [len(listing.names) > 5 for listing in listings(planned, read_table(folder))] == [True, True]
    assert len(list((folder.path / "figures").glob("*.pdf"))) == 2


def test_hostile_text_stays_text_and_a_failed_cell_is_named(results, tmp_path):
    (name,) = names = ("montanari2022-any-width",)
    broken = plan(names, SETTINGS).cells[-1].hash
    bad = results | {broken: "ValueError: <script>alert('cell')</script>\n\ntraceback"}
    hostile = "</script><script>alert('line')</script>"
    folder = folder_with(tmp_path / "run", bad, names, changed=lambda row: row | {"line": hostile})
    assert figure(folder, name).panels[0].to_dict(validate=False)["title"]["text"] == hostile
    text = write_report([folder]).read_text()
    assert "&lt;script&gt;alert(&#39;cell&#39;)&lt;/script&gt;" in text
    assert "<script>alert" not in text
    assert "<img src=x" not in text


def test_a_run_of_which_no_cell_succeeded_says_so(results, tmp_path):
    nothing = dict.fromkeys(results, "ValueError: none\n\ntraceback")
    folder = folder_with(tmp_path / "run", nothing, ("montanari2022-depth",))
    assert "no ensemble of montanari2022-depth was drawn" in write_report([folder]).read_text()
    assert write_figures(folder) == []


def test_shares_carry_wilsons_interval_and_their_limit(drawn):
    numbers = figure(drawn, "montanari2022-flip-probability").numbers
    rows = read_table(drawn).filter(measure="random-flip-probability", activation="tanh", dim=200, s=1.0)
    explicit = numbers.filter(series="explicit", activation="tanh", s=1.0).row(0, named=True)
    assert explicit["probability"] == rows["explicit_flip_probability"][0]
    p, z2 = explicit["probability"], 1.959964**2
    reach = math.sqrt(z2 * p * (1 - p) / 40 + z2 * z2 / 6400) / (1 + z2 / 40)
    assert explicit["high"] - explicit["low"] == pytest.approx(2 * reach)
    assert explicit["limit"] == pytest.approx(math.erf(1 / math.sqrt(2)))
    assert set(numbers["series"].to_list()) == {"exact law", "explicit"}


def test_infinite_quantiles_are_null_among_the_numbers_and_drawn_at_the_edge(drawn):
    found = figure(drawn, "montanari2022-any-width")
    one = found.numbers.filter(line="over m, d = 400", width=1).row(0, named=True)
    assert one["q05"] is None
    assert one["unflipped"] == 1
    assert one["distance"] == 1
    panel = found.panels[0].to_dict(validate=False)
    (data,) = [rows for rows in panel["datasets"].values() if "q05_drawn" in rows[0]]
    assert data[0]["q05_drawn"] == data[0]["q95_drawn"] == 10
    assert data[0]["q05"] == "infinite"
    limit = [limits().relative_quantile(level) for level in (0.05, 0.25, 0.5, 0.75, 0.95)]
    (rules,) = [rows for rows in panel["datasets"].values() if set(rows[0]) == {"value"}]
    assert [rule["value"] for rule in rules] == pytest.approx(limit)


def test_quantiles_are_those_of_all_seeds_together(results, tmp_path):
    settings = Settings(seeds=2)
    both = {cell.hash: few(cell) for cell in plan(["montanari2022-any-width"], settings).cells[:2]}
    cells = plan(["montanari2022-any-width"], settings).cells
    folder = RunFolder.create(tmp_path / "run", plan(["montanari2022-any-width"], settings).spec)
    for cell in cells[:2]:  # one ensemble, two seeds
        folder.write(both[cell.hash])
    folder.write_tables(cells)
    numbers = figure(folder, "montanari2022-any-width").numbers
    assert numbers["draws"].to_list() == [80]
    values = read_table(folder, "observations")["relative_sqrt_d"]
    assert len(values) == 80


def test_axes_of_any_width_are_logarithmic_with_ticks_inside_explicit_domains(drawn):
    for panel in figure(drawn, "montanari2022-any-width").panels:
        for layer in panel.to_dict(validate=False)["layer"]:
            for axis in set(layer["encoding"]) & {"x", "y"}:
                channel = layer["encoding"][axis]
                low, high = channel["scale"]["domain"]
                assert channel["scale"]["type"] == "log"
                assert len(channel["axis"]["values"]) >= 2
                assert all(low <= tick <= high for tick in channel["axis"]["values"])


def test_the_density_of_the_joint_law_holds_every_explicit_network_within_reach(drawn):
    numbers = figure(drawn, "montanari2022-joint-law").numbers
    totals = numbers.filter(what="count").group_by("activation", "s").agg(pl.sum("count"))["count"].to_list()
    assert len(totals) == 6
    assert all(35 <= total <= 40 for total in totals)


def test_captions_say_what_varies_how_many_draws_and_which_interval(drawn):
    parts = {
        "montanari2022-flip-probability": ("200 × 200, 2000 × 2000", "40 explicit networks each", "Wilson",
                                           "never built", "2 Φ(s τ²/ν) - 1"),
        "montanari2022-any-width": ("relu", "4 to 40 a point", "5-95 % and 25-75 % quantiles", "infinite",
                                    "Dvoretzky, Kiefer and Wolfowitz"),
        "montanari2022-joint-law": ("d = 100, m = 100", "40 explicit networks", "40 implicit networks",
                                    "5, 50 and 95 % quantiles", "22 marginals and projections"),
        "montanari2022-depth": ("1,000 (equal widths)", "250 (polynomial)", "40 networks", "bars 95 % Wilson",
                                "Daniely & Shacham", "Bubeck et al. (2021)", "Bartlett et al. (2021)"),
    }  # fmt: skip
    for name, words in parts.items():
        caption = figure(drawn, name).caption
        for word in words:
            assert word in caption


def test_the_depth_figure_shows_which_theorem_covers_what(drawn):
    panel = figure(drawn, "montanari2022-depth").panels[-1].to_dict(validate=False)
    (lines,) = panel["datasets"].values()
    covers = {(line["networks"], line["paper"]): line["covers"] for line in lines}
    assert len(covers) == 2 * 6 * 4
    assert covers["tanh, bottleneck", "Montanari & Wu 2022"] == "all L"
    assert covers["tanh, bottleneck", "Bartlett et al. 2021"] == "–"
    assert covers["relu, decreasing", "Daniely & Shacham 2020"] == "all L"
    assert {covers["relu, width 2", paper] for paper in ("Montanari & Wu 2022", "Bubeck et al. 2021")} == {"–"}


def verdicts(folder, name):
    """The verdicts of an experiment by name of claim, and how often each."""
    found = findings(plan(folder.spec["experiments"], SETTINGS), read_table(folder))
    return {(f.claim.name, f.verdict.value) for experiment, _, f in found if experiment == name and f.verdict}


def in_the_limit(row):
    """A row as it would be with many draws of networks that obey the theorems."""
    if "explicit_flips" in row:
        flips = round(100_000 * row["limit"])
        return row | {"flips": flips, "draws": 100_000, "explicit_flips": flips, "explicit_draws": 100_000}
    if "ks" in row:
        return row | {"ks": 0.005, "draws": 100_000, "explicit_draws": 100_000}
    if "line" in row:
        return row | {"distance": 1 / (1 + row["position"]), "draws": 100_000}
    off = -0.5 if row["shape"].startswith("width") else -1 / row["dim"]
    return row | {"flips": round(100_000 * (row["limit"] + off)), "draws": 100_000}


def off_the_limit(row):
    """A row as it would be if the theorems were wrong, or the implicit networks."""
    if "explicit_flips" in row:
        flips = round(100_000 * row["limit"])
        return row | {"flips": flips, "draws": 100_000, "explicit_flips": flips // 2, "explicit_draws": 100_000}
    if "ks" in row:
        return row | {"ks": 0.05, "draws": 100_000, "explicit_draws": 100_000}
    if "line" in row:
        return row | {"distance": 1 - 1 / (1 + row["position"]), "draws": 100_000}
    off = 0.0 if row["shape"].startswith("width") else -0.5 + 1 / row["dim"]
    return row | {"flips": round(100_000 * (row["limit"] + off)), "draws": 100_000}


def test_claims_hold_of_rows_that_obey_the_theorems_and_fail_of_those_that_do_not(results, tmp_path):
    true = folder_with(tmp_path / "true", results, changed=in_the_limit)
    false = folder_with(tmp_path / "false", results, changed=off_the_limit)
    kinds = {
        "montanari2022-flip-probability": ["same probability"],
        "montanari2022-any-width": ["falls"],
        "montanari2022-joint-law": ["same law"],
        "montanari2022-depth": ["limit", "approaches", "below limit"],
    }
    for name in NAMES:
        assert verdicts(true, name) == {(kind, "holds") for kind in kinds[name]}
        assert verdicts(false, name) == {(kind, "fails") for kind in kinds[name]}
    text = write_report([false]).read_text()
    claims = text[text.index('<table class="claims">') : text.index("</table>")]
    assert claims.count('class="verdict fails"') == 8 + 4 + 2 + 8 + 8 + 4
    assert "holds" not in claims
    assert "difference from explicit networks 0 ± 0.1" in claims


def test_few_draws_leave_claims_undecided(drawn):
    assert ("same probability", "undecided") in verdicts(drawn, "montanari2022-flip-probability")
    assert ("same law", "undecided") in verdicts(drawn, "montanari2022-joint-law")


def test_listings_show_the_columns_of_each_kind(drawn):
    found = listings(plan(["montanari2022"], SETTINGS), read_table(drawn))
    assert [listing.title.removeprefix("Every ensemble of ") for listing in found] == NAMES
    assert [len(listing.rows) for listing in found] == [192, 62, 12, 120]
    any_width = found[1]
    one = next(row for row in any_width.values() if row[any_width.names.index("width")] == 1)
    assert one[any_width.names.index("unflipped")] == 1
    _, texts = any_width.lines()[0]
    assert "∞" in texts


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100], ids=["phone", "desk"])
def test_the_page_draws_its_figures_without_errors_or_requests(browser, drawn, scheme, width):
    address = Path(drawn.path / "report.html").as_uri()
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address)
    opened.wait_for_function("document.querySelectorAll('.chart svg').length === 28")
    assert said == []
    assert asked == [address]
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    opened.close()


def test_ticking_off_an_activation_takes_its_panels_rows_and_claims_away(browser, drawn):
    opened = browser.new_page(viewport={"width": 1100, "height": 900})
    opened.goto(Path(drawn.path / "report.html").as_uri())
    opened.wait_for_function("document.querySelectorAll('.chart svg').length === 28")
    opened.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    charts, rows = opened.locator(".chart:visible"), opened.locator("tr[data-at]:visible")
    before = charts.count(), rows.count()
    assert before[0] == 28
    opened.get_by_role("checkbox", name="tanh", exact=True).uncheck()
    opened.wait_for_function("document.querySelectorAll('.chart:not([hidden])').length < 28")
    assert charts.count() == 28 - 1 - 3 - 3  # one of the probabilities, three steps, three of depth
    assert opened.get_by_role("cell", name="tanh", exact=True).locator("visible=true").count() == 0
    assert rows.count() < before[1]
    opened.get_by_role("checkbox", name="tanh", exact=True).check()
    opened.wait_for_function("document.querySelectorAll('.chart:not([hidden])').length === 28")
    assert rows.count() == before[1]
    opened.close()


def test_an_experiment_that_the_chapter_does_not_know_gets_a_plain_table():
    known = EXPERIMENTS["montanari2022-any-width"]
    measure = dataclasses.replace(known.measure, name="random-new")
    new = dataclasses.replace(known, name="new", measure=measure)
    rows = pl.DataFrame({
        "cell": ["a"],
        "measure": ["random-new"],
        "seed": [3],
        "activation": ["relu"],
        "x": [0.5],
        "y": [None],
    })
    (table,) = new.family.load_chapter().tables([new], SETTINGS, rows)
    assert table.title == "Every ensemble of new"
    assert table.names == ["seed", "activation", "x"]
    assert table.values() == [[3, "relu", 0.5]]
