"""Figures, claims and page of the lazy ball, from small networks and from rows whose numbers are known."""

import dataclasses
import json
import math
import re
from pathlib import Path

import polars as pl
import pytest

from gradflip.experiments import EXPERIMENTS, Settings, plan
from gradflip.report import findings, listings, read_table, write_figures, write_report
from gradflip.sweep import Cell, CellResult, measure_cell
from measured_folders import folder_with as run_folder

SETTINGS = Settings()
LEMMAS, CONE = NAMES = ("ball-lemmas", "wang2022-fig1")


def small(cell):
    """The result of a cell by fewer inputs, draws and steps than it asks for."""
    asked = cell.to_json()["parameters"]
    fewer = {"points": 2, "draws": 10, "stops": [20, 400, 1600], "max_epochs": 5, "steps": 2, "starts": 0}
    parameters = asked | {name: value for name, value in fewer.items() if name in asked}
    if asked.get("part") == "networks":  # of a smaller dimension and width, said to be as asked
        parameters |= {"size": asked["size"] // 2, "width": asked["width"] // 5}
    if asked.get("part") in ("fixed", "moved"):
        parameters |= {"width": min(asked["width"], 1000)}
    if asked.get("part") == "moved":
        parameters |= {"dim": 100}
    if "stops" in asked:
        parameters |= {"width": 100, "size": 5, "C0": 5}
    found = measure_cell(Cell(cell.measure, parameters, cell.seed))
    assert found.status == "ok", found.error
    return CellResult(cell, "ok", rows=found.rows, observations=found.observations, seconds=1.5)


@pytest.fixture(scope="module")
def results():
    """Every cell of the quick preset, made small."""
    return {cell.hash: small(cell) for cell in plan(NAMES, SETTINGS).cells}


def folder_with(path, results, names=NAMES, changed=lambda row: row):
    return run_folder(path, results, names, SETTINGS, changed)


@pytest.fixture(scope="module")
def drawn(results, tmp_path_factory):
    """The folder of a run of both experiments, with its page."""
    folder = folder_with(tmp_path_factory.mktemp("ball") / "run", results)
    write_report([folder])
    return folder


def page(folder):
    text = (folder.path / "report.html").read_text()
    return text, text[: text.index("<script>")]  # before the drawing library


def figure(folder, name):
    return EXPERIMENTS[name].draw(read_table(folder), read_table(folder, "observations"), SETTINGS)


def test_every_experiment_has_a_figure_in_every_form(drawn):
    text, _ = page(drawn)
    for name in NAMES:
        for ending, magic in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<svg")):
            assert (drawn.path / "figures" / f"{name}.{ending}").read_bytes().startswith(magic)
        assert len(pl.read_csv(drawn.path / "figures" / f"{name}.csv", infer_schema_length=None)) > 0
        assert f"<pre>gradflip run {name} --data digits --preset quick</pre>" in text
    assert len(re.findall(r'<script type="application/json">', text)) == 5 + 3


def test_the_page_says_what_was_found_and_that_the_theorem_is_silent_here(drawn):
    _, own = page(drawn)
    assert "<h1>How small a step flips any network of a lazy ball?</h1>" in own
    for part in ("every network in the lazy ball", "Over the balls of 21 initialisations", "Trained on beyond its ball",
                 "(Lemma 4.1)", "homogeneous in its weights", "<strong>empty at every d measured in the ball</strong>",
                 "it opens at d = ", "exponent in m 0", "exponent in C0 1", "exponent in d below 0.5",
                 "share above the bound, less γ at most 0", "share above the bound, less γ above 0",
                 "exponent in c -1"):  # fmt: skip
        assert part in own, part
    for word in ("andom network", "Kolmogorov", "adversarially", "each trained by SGD"):
        assert word not in own


def test_a_run_of_one_of_them_says_nothing_of_the_other(results, tmp_path):
    own = {name: folder_with(tmp_path / name, results, (name,)) for name in NAMES}
    for folder in own.values():
        write_report([folder])
    _, lemmas = page(own[LEMMAS])
    _, cone = page(own[CONE])
    assert "homogeneous in its weights" not in lemmas
    assert "Trained on beyond" not in lemmas
    assert "Lemma 4.1" not in cone
    assert "Over the balls" not in cone


def replaced(row, known):
    """The row with other numbers where it has some; in small networks the gradient may vanish, and then no drop is."""
    kept = {name for name in known if row.get(name) is not None or (name == "drop" and row["part"] == "ball")}
    return row | {name: value for name, value in known.items() if name in kept}


def exact(row):
    """A row as it would be if the lemmas held with nothing in the way."""
    if "scale" in row:
        return row
    known = {"rise": 0.5 * (row.get("C0") or 0), "drop": 0.8 * (row.get("C0") or 0)}
    if "dim" in row and row["part"] in ("start", "ball", "trained"):
        root = math.sqrt(row["dim"])
        known |= {"gradient0": root, "gradient": root, "minimum": 0.9 * root, "minimum_low": 0.9 * root}
        known |= {"difference0": row["dim"] ** 0.25, "difference": row["dim"] ** 0.25}
    if "violations" in row:
        share = 0.9 if row["line"] == "δ chosen from W0" else row["gamma"] / 2
        known |= {"draws": 10_000, "violations": round(10_000 * share)}
    return replaced(row, known)


def wrong(row):
    """A row as it would be if every lemma were wrong."""
    if "scale" in row:
        # all changes are powers of the scale: what is claimed not to change does
        return row | {name: row["scale"] for name in ("step", "perturbation", "relative")}
    known = {}
    if "dim" in row and row["part"] in ("start", "ball", "trained"):
        growth = row["dim"] * row["width"] ** 0.5
        known |= dict.fromkeys(
            ("rise", "drop", "gradient0", "gradient", "minimum", "minimum_low", "difference0", "difference"), growth
        )
    if "violations" in row:
        share = 0.0 if row["line"] == "δ chosen from W0" else (1 + row["gamma"]) / 2
        known |= {"draws": 10_000, "violations": round(10_000 * share)}
    return replaced(row, known)


def verdicts(folder):
    found = findings(plan(folder.spec["experiments"], SETTINGS), read_table(folder))
    return [(name, f.claim.name, f.claim.column, f.verdict.value) for name, _, f in found if f.verdict]


def test_claims_hold_of_rows_that_obey_the_lemmas_and_fail_of_those_that_do_not(results, tmp_path):
    true = folder_with(tmp_path / "true", results, changed=exact)
    false = folder_with(tmp_path / "false", results, changed=wrong)
    assert {verdict for *_, verdict in verdicts(true)} == {"holds"}
    assert {verdict for *_, verdict in verdicts(false)} == {"fails"}
    judged = {(claim.name, claim.column) for name in NAMES for claim in EXPERIMENTS[name].claims if claim.judged}
    assert {(kind, column) for _, kind, column, _ in verdicts(true)} == judged
    write_report([false])
    assert 'class="verdict fails"' in page(false)[0]


def test_the_numbers_of_the_lemmas_figure_are_means_over_seeds(drawn):
    numbers, table = figure(drawn, LEMMAS).numbers, read_table(drawn)
    assert numbers["panel"].n_unique() == 5
    one = numbers.filter(panel="Lemma 4.1: what the ball adds to |f|", curve="C0 = 3", position=36.0).row(0, named=True)
    own = table.filter(part="ball", over="dim", dim=36, C0=3.0)["rise"]
    assert one["seeds"] == len(own) == 3
    assert one["mean"] == pytest.approx(own.mean())
    assert one["high"] - one["mean"] == pytest.approx(own.std())
    assert numbers["seeds"].max() == 3


def test_axes_are_logarithmic_with_ticks_inside_their_domains(drawn):
    for panel in figure(drawn, LEMMAS).panels:
        for layer in panel.to_dict(validate=False)["layer"]:
            for axis in set(layer["encoding"]) & {"x", "y"}:
                channel = layer["encoding"][axis]
                low, high = channel["scale"]["domain"]
                assert channel["scale"]["type"] == "log"
                assert 0 < low < high
                assert all(low <= tick <= high for tick in channel["axis"]["values"])


def test_captions_say_what_varies_how_many_draws_and_what_is_exact(drawn):
    lemmas, cone = (figure(drawn, name).caption for name in NAMES)
    for word in ("m = 200", "mean over 3 seeds", "supremum of |f| over the ball is exact", "bounds it from below",
                 "10 draws", "10 initialisations each", "chosen from W0"):  # fmt: skip
        assert word in lemmas, word
    for word in ("d = 25", "m = 100", "C0 = 5", "0, 20, 400, 1,600 steps", "seed 0", "section by the plane is exact"):
        assert word in cone, word


def test_the_cone_is_the_wedge_that_the_origin_sees_of_the_ball(drawn):
    numbers = figure(drawn, CONE).numbers
    slopes = [t / s for s, t in numbers.filter(what="ball").select("along", "across").iter_rows()]
    (_, _), (s1, low), (s2, high) = numbers.filter(what="cone").select("along", "across").rows()
    assert (low / s1, high / s2) == pytest.approx((min(slopes), max(slopes)))
    multiples = numbers.filter(what="multiple")
    assert set(multiples["curve"].to_list()) == {"in the cone only"}
    for s, t in multiples.select("along", "across").iter_rows():
        assert low / s1 <= t / s <= high / s2
    assert numbers.filter(what="iterate")["curve"].to_list()[0] == "in the ball"
    assert numbers.filter(what="iterate")["curve"].to_list()[-1] == "outside"


def test_listings_show_every_row_once(drawn):
    found = {listing.title: listing for listing in listings(plan(NAMES, SETTINGS), read_table(drawn))}
    counts = {title: len(listing.rows) for title, listing in found.items()}
    cells = plan(NAMES, SETTINGS).cells
    networks = sum(cell.parameters.get("part") == "networks" for cell in cells)
    assert counts["At initialisation"] == networks
    assert counts["Extremes over the ball"] == 3 * networks
    assert counts["Networks trained to the surface of the ball"] == 3 * networks
    assert counts["Every iterate and its multiples"] == 3 * 4 * 7
    for listing in found.values():
        for _, texts in listing.lines():
            assert len(texts) == len(listing.columns)


def test_a_failed_part_is_named_and_its_panel_left_out(results, tmp_path):
    broken = {
        cell.hash: "ValueError: <script>alert('cell')</script>\n\ntraceback"
        for cell in plan([LEMMAS], SETTINGS).cells
        if cell.parameters["part"] == "networks"
    }
    folder = folder_with(tmp_path / "run", results | broken, (LEMMAS,))
    write_report([folder])
    text, _ = page(folder)
    assert "&lt;script&gt;alert(&#39;cell&#39;)&lt;/script&gt;" in text
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert [panel.to_dict(validate=False)["title"]["text"] for panel in figure(folder, LEMMAS).panels] == [
        "Lemma 4.3 at x", "Lemma 4.3 at x + δ",
    ]  # fmt: skip


def test_a_run_of_which_no_cell_succeeded_says_so(results, tmp_path):
    nothing = dict.fromkeys(results, "ValueError: none\n\ntraceback")
    folder = folder_with(tmp_path / "run", nothing)
    text = write_report([folder]).read_text()
    for name in NAMES:
        assert f"nothing of {name} was measured" in text
    assert write_figures(folder) == []


def test_hostile_names_of_lines_stay_text(results, tmp_path):
    hostile = "</script><script>alert('line')</script>"
    folder = folder_with(tmp_path / "run", results, changed=lambda row: row | {"line": hostile})
    assert "<script>alert" not in write_report([folder]).read_text()


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
    opened.wait_for_function("document.querySelectorAll('.chart svg').length === 8")
    assert said == []
    assert asked == [address]
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    opened.close()


def test_the_vega_specification_is_the_one_that_is_saved(drawn):
    saved = json.loads((drawn.path / "figures" / f"{CONE}.vl.json").read_text())
    assert len(saved["hconcat"]) == 3


def test_an_experiment_that_the_chapter_does_not_know_gets_a_plain_table():
    known = EXPERIMENTS["wang2022-fig1"]
    new = dataclasses.replace(known, name="new", measure=dataclasses.replace(known.measure, name="ball-new"))
    row = {"cell": "a", "measure": "ball-new", "seed": 3, "width": 40, "x": 0.5, "y": None}
    rows = pl.DataFrame([row, row])  # a row that lies on two lines is listed once
    (table,) = new.family.load_chapter().tables([new], SETTINGS, rows)
    assert table.title == "Every measurement of new"
    assert table.names == ["seed", "width", "x"]
    assert table.values() == [[3, 40, 0.5]]


def test_the_certified_frontier_is_its_figure_and_no_table():
    known = EXPERIMENTS["ball-certified"]
    rows = pl.DataFrame({"cell": ["a"], "measure": ["ball-certified"], "seed": [3], "x": [0.5]})
    assert known.family.load_chapter().tables([known], SETTINGS, rows) == []
