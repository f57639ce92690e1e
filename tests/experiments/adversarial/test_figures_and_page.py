"""Figures, claims and page of adversarial training, from rows that obey c / sqrt d and c / sqrt m exactly."""

import json
import math
import re
from pathlib import Path

import polars as pl
import pytest

from gradflip.experiments import EXPERIMENTS, VARIANTS, Settings, plan
from gradflip.experiments._lattice import edges
from gradflip.report import findings, listings, read_table, write_figures, write_report
from gradflip.sweep import CellResult, RunFolder
from lazy_rows import table as lazy_table

SETTINGS = Settings()
LEFT, RIGHT, ATTACKS = NAMES = ("wang2022-fig4-left", "wang2022-fig4-right", "wang2022-one-step-vs-pgd")
CONSTANTS = {"pgd": 3.0, "one_step": 3.6, "ray": 3.6}  # budget times sqrt d at which half of the images survive
SPREAD = 0.05


def accuracies(parameters, epsilon, C0, seed):
    """Linear in log epsilon: interpolation between cells finds the crossing exactly. C0 = 10 helps no attack."""
    place = epsilon * parameters["size"] / (1 + SPREAD * (seed - 1)) * math.sqrt(10 / min(C0, 40.0))
    found = {name: min(1.0, max(0.0, 0.5 - 0.5 * math.log(place / constant))) for name, constant in CONSTANTS.items()}
    return found | ({"ray": None} if parameters["clip"] else {})


def row(parameters, trained, C0, budget, seed):
    robust = accuracies(parameters, budget, C0, seed)
    size, width = parameters["size"], parameters["width"]
    projected = parameters["projection"] == "step"
    return {
        "data": parameters["data"], "classes": "0/1", "size": size, "dim": size**2,
        "antialias": parameters["antialias"], "width": width, "bias": parameters["bias"],
        "output_bias": parameters["output_bias"], "train_images": parameters["images"],
        "protocol": parameters["protocol"], "clip": parameters["clip"],
        "training": "standard" if trained is None else "adversarial",
        "network": f"{'standard' if trained is None else f'adversarial at {trained:g}'}, C0 = {C0:g}",
        "budgets": "own" if parameters["budgets"] is None else "many",
        "C0": C0, "radius": C0 / math.sqrt(width), "trained_epsilon": trained,
        "stopped_because": "left-ball" if trained is None else "plateau" if seed else "max-epochs", "epochs": 7.5,
        "converged": None if trained is None else seed != 1,
        "robust_train_accuracy": None if trained is None else 0.5,
        "scaled_deviation": C0 * (0.999 if projected else 1.2),
        "epsilon": budget, "images": 200, "correct": 190, "test_error": 0.05,
        **{f"survived_{name}": None if share is None else round(200 * share) for name, share in robust.items()},
        **{f"robust_{name}": share for name, share in robust.items()},
        "missed_by_one_step": robust["one_step"] - robust["pgd"],
        "missed_by_ray": None if robust["ray"] is None else robust["ray"] - robust["pgd"],
        "flipped_within": None if robust["ray"] is None else max(0.0, 1 - 200 * robust["ray"] / 190),
    }  # fmt: skip


def rows_of(cell):
    parameters = cell.to_json()["parameters"]
    return [
        row(parameters, trained, C0, budget, cell.seed)
        for trained, C0 in parameters["runs"]
        for budget in parameters["budgets"] or [trained]
    ]


def folder_with(path, names=NAMES, settings=SETTINGS, kept=lambda cell: True, changed=lambda row: row, more=()):
    """A run of these experiments; the cells that are not kept have failed."""
    planned = plan(names, settings)
    folder = RunFolder.create(path, planned.spec)
    folder.write_env({"gradflip": "0"})
    lazy = dict(more)
    for cell in planned.cells:
        if "runs" not in cell.parameters:
            folder.write(CellResult(cell, "ok", rows=lazy[cell.hash], seconds=1.5))
        elif kept(cell):
            folder.write(CellResult(cell, "ok", rows=[changed(row) for row in rows_of(cell)], seconds=1.5))
        else:
            folder.write(CellResult(cell, "failed", error="ValueError: none\n\ntraceback"))
    folder.write_tables(planned.cells)
    return folder


def figure(folder, name, settings=SETTINGS):
    return EXPERIMENTS[name].draw(read_table(folder), read_table(folder, "observations"), settings)


def said(panel):
    """Title and subtitle of a panel."""
    title = panel.to_dict(validate=False)["title"]
    return [title["text"], *title.get("subtitle", [])]


def before_scripts(text):
    return text[: text.index("<script>")]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The folder of a run of all three experiments, with its page."""
    folder = folder_with(tmp_path_factory.mktemp("adversarial") / "run")
    write_report([folder])
    return folder


def test_every_experiment_has_a_figure_in_every_form(drawn):
    text = (drawn.path / "report.html").read_text()
    for name, panels in ((LEFT, 3 + 1 + 2), (RIGHT, 3 + 1), (ATTACKS, 4)):
        for ending, magic in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<svg")):
            assert (drawn.path / "figures" / f"{name}.{ending}").read_bytes().startswith(magic)
        assert len(json.loads((drawn.path / "figures" / f"{name}.vl.json").read_text())["concat"]) == panels
        assert len(pl.read_csv(drawn.path / "figures" / f"{name}.csv", infer_schema_length=None)) > 0
        assert f"<pre>gradflip run {name} --data digits --preset quick</pre>" in text
    assert len(text) < 2_500_000


def test_cells_are_means_over_seeds_of_the_run_s_own_protocol(drawn):
    numbers = figure(drawn, LEFT).numbers.filter(what="cell")
    assert len(numbers) == 3 * 25
    for attack in ("pgd", "one_step", "ray"):
        cell = numbers.filter(attack=f"robust_{attack}", dim=100, epsilon=0.3).row(0, named=True)
        shares = [0.5 - 0.5 * math.log(0.3 * 10 / (1 + SPREAD * (seed - 1)) / CONSTANTS[attack]) for seed in range(3)]
        mean = sum(shares) / 3
        assert cell["robust"] == pytest.approx(mean)
        assert cell["std"] == pytest.approx(math.sqrt(sum((share - mean) ** 2 for share in shares) / 2))
        assert (cell["seeds"], cell["images"]) == (3, 200)


def test_the_contour_is_where_half_survives_and_carries_the_constants_that_made_the_rows(drawn):
    found = figure(drawn, LEFT)
    contour = found.numbers.filter(what="contour", attack="robust_pgd")
    assert contour["dim"].to_list() == [25, 49, 100, 196, 400]
    for dim, place, lowest, highest in contour.select("dim", "epsilon", "lowest", "highest").iter_rows():
        ends = [3.0 * (1 + sign * SPREAD) / math.sqrt(dim) for sign in (0, -1, 1)]
        assert [place, lowest, highest] == pytest.approx(ends)
    heads = [said(panel) for panel in found.panels[:3]]
    assert [head[0] for head in heads] == ["PGD, five starts", "single step", "exact ray flip"]
    assert [head[2] for head in heads] == [
        "dashed: c / √d, c = 3",
        "dashed: c / √d, c = 3.6",
        "dashed: c / √d, c = 3.6",
    ]
    assert all(head[1].startswith("50 %: ε ~ d^−0.500 (−0.5") for head in heads)


def test_the_exponents_over_the_maps_are_those_of_the_claims(drawn):
    judged = findings(plan(NAMES, SETTINGS), read_table(drawn))
    for name, symbol in ((LEFT, "ε ~ d"), (RIGHT, "R ~ m")):
        own = [finding for experiment, _, finding in judged if experiment == name]
        assert [finding.claim.column for finding in own] == ["robust_pgd", "robust_one_step", "robust_ray"]
        for finding, panel in zip(own, figure(drawn, name).panels, strict=False):
            found = finding.interval
            text = f"50 %: {symbol}^{found.estimate:.3f} ({found.low:.3f}, {found.high:.3f})"
            assert said(panel)[1] == text.replace("-", "−")
    text = (drawn.path / "report.html").read_text()
    for attack in ("PGD, five starts", "single step", "exact ray flip"):
        assert text.count(f"exponent of the 50 % contour ({attack}) -0.5 ± 0.1") == 2


def test_claims_are_about_the_networks_over_the_axes_only(tmp_path):
    """A preset whose slice has fewer images than its maps: the same network twice, and only one counts."""
    settings = Settings(preset="paper", seeds=3)

    def sabotaged(row):
        return row if row["train_images"] == 12_700 else row | {"robust_pgd": 0.0}

    folder = folder_with(tmp_path / "run", (LEFT,), settings, changed=sabotaged)
    found = figure(folder, LEFT, settings)
    (judged,) = [
        finding.interval.estimate
        for _, _, finding in findings(plan((LEFT,), settings), read_table(folder))
        if finding.claim.column == "robust_pgd"
    ]
    assert judged == pytest.approx(-0.5)
    assert said(found.panels[0])[2] == "dashed: c / √d, c = 3"
    assert set(found.numbers.filter(what="protocol")["robust"].to_list()) == {0.0}


def test_the_map_over_width_has_its_contour_at_a_constant_c0(drawn):
    contour = figure(drawn, RIGHT).numbers.filter(what="contour", attack="robust_pgd")
    # of the rows: 0.3 * 10 * sqrt(10 / C0) = 3, at C0 = 10 for the middle seed
    assert contour["radius"].to_list() == pytest.approx(
        [sum(10 / (1 + SPREAD * (s - 1)) ** 2 for s in range(3)) / 3 / math.sqrt(m) for m in contour["width"]], rel=1e-3
    )


def test_edges_are_halfway_between_neighbours_on_the_log_scale():
    assert edges(4.0, [1.0, 4.0, 9.0]) == pytest.approx((2.0, 6.0))
    assert edges(1.0, [1.0, 4.0, 9.0]) == pytest.approx((0.5, 2.0))
    assert edges(9.0, [1.0, 4.0, 9.0]) == pytest.approx((6.0, 13.5))
    assert edges(2.0000001, [2.0]) == pytest.approx((2 / 1.5**0.5, 2 * 1.5**0.5))


def rectangles(panel):
    datasets = panel.to_dict(validate=False)["datasets"].values()
    (rows,) = [rows for rows in datasets if "left" in rows[0]]
    return rows


def test_cells_touch_and_do_not_overlap_and_cells_that_failed_stay_empty(tmp_path):
    folder = folder_with(tmp_path / "run", (LEFT,), kept=lambda cell: cell.parameters["size"] != 10)
    found = figure(folder, LEFT)
    cells = rectangles(found.panels[0])
    assert len(cells) == 20
    for one in cells:
        assert one["left"] < one["dim"] < one["right"]
        assert one["bottom"] < one["epsilon"] < one["top"]
    rights = {one["dim"]: one["right"] for one in cells}
    lefts = {one["dim"]: one["left"] for one in cells}
    assert rights[25] == pytest.approx(lefts[49])
    assert rights[49] == pytest.approx(math.sqrt(49 * 100))
    assert lefts[196] == pytest.approx(math.sqrt(196 * 100))
    assert "5 of the cells failed" in found.caption
    column = sorted((one["bottom"], one["top"]) for one in cells if one["dim"] == 49)
    assert [top for _, top in column[:-1]] == pytest.approx([bottom for bottom, _ in column[1:]])
    assert len(found.panels) == 4  # no slice


def test_axes_are_logarithmic_with_ticks_inside_explicit_domains(drawn):
    for name in NAMES:
        for panel in figure(drawn, name).panels:
            for layer in panel.to_dict(validate=False)["layer"]:
                channel = layer["encoding"]["x"]
                low, high = channel["scale"]["domain"]
                assert channel["scale"]["type"] == "log"
                assert len(channel["axis"]["values"]) >= 2
                assert all(low <= tick <= high for tick in channel["axis"]["values"])


@pytest.mark.parametrize("name", NAMES)
def test_every_field_that_is_drawn_or_said_in_a_tooltip_is_in_the_data(drawn, name):
    for panel in figure(drawn, name).panels:
        spec = panel.to_dict(validate=False)
        for layer in spec["layer"]:
            rows = spec["datasets"][layer.get("data", spec.get("data"))["name"]]
            channels = [c for said in layer["encoding"].values() for c in (said if isinstance(said, list) else [said])]
            fields = {channel["field"] for channel in channels if "field" in channel}
            assert fields
            assert fields <= set(rows[0]), layer["mark"]


def test_one_legend_serves_the_three_maps(drawn):
    legends = []
    for panel in figure(drawn, LEFT).panels[:3]:
        color = panel.to_dict(validate=False)["layer"][0]["encoding"]["color"]
        assert color["scale"] == {"scheme": "viridis", "domain": [0, 1]}
        legends.append(color["legend"])
    assert legends[0]["orient"] == "bottom"
    assert legends[1:] == [None, None]


def test_protocols_are_drawn_beside_each_other_and_networks_outside_the_ball_are_hollow(drawn):
    found = figure(drawn, LEFT)
    numbers = found.numbers.filter(what="protocol")
    assert set(numbers["protocol"].to_list()) == set(VARIANTS)
    outside = {name for name, way in VARIANTS.items() if way.projection == "epoch"}
    assert set(numbers.filter(pl.col("outside"))["protocol"].to_list()) == outside
    text, published = (panel.to_dict(validate=False) for panel in found.panels[4:])
    for panel, names in ((text, list(VARIANTS)[:4]), (published, list(VARIANTS)[4:])):
        scale = panel["layer"][0]["encoding"]["color"]["scale"]
        assert scale == {"domain": names, "range": ["#7a7a7a", "#0072b2", "#d55e00", "#009e73"]}
    hollow = [layer for layer in text["layer"] if layer["mark"].get("filled") is False]
    assert {row["curve"] for row in text["datasets"][hollow[0]["data"]["name"]]} == {"text + projection"}
    assert "Hollow: outside the ball, the mean deviation being above C0 (16 of 32 points)" in found.caption


def test_no_hollow_points_where_every_network_lies_in_its_ball(tmp_path):
    folder = folder_with(
        tmp_path / "run", (LEFT,), changed=lambda row: row | {"scaled_deviation": row["C0"] * (1 + 1e-7)}
    )
    caption = figure(folder, LEFT).caption
    assert "Hollow" not in caption
    assert "none lies outside the ball" in caption


def test_attacks_have_a_panel_for_each_training_and_ball(drawn):
    found = figure(drawn, ATTACKS)
    assert [said(panel) for panel in found.panels] == [
        [title, "right without an attack: 95 %"]
        for title in (
            "trained plainly, C0 = 10", "trained plainly, no ball",
            "trained against ε = 0.3, C0 = 10", "trained against ε = 0.3, no ball",
        )
    ]  # fmt: skip
    point = found.numbers.filter(attack="robust_pgd", training="standard", C0=10.0, epsilon=0.3).row(0, named=True)
    shares = [0.5 - 0.5 * math.log(1 / (1 + SPREAD * (seed - 1))) for seed in range(3)]
    assert point["robust"] == pytest.approx(sum(shares) / 3)
    rules = ["rule" in {layer["mark"]["type"] for layer in p.to_dict(validate=False)["layer"]} for p in found.panels]
    assert rules == [False, False, True, True]


def test_gaps_between_attacks_are_reported_for_every_network(drawn):
    judged = findings(plan(NAMES, SETTINGS), read_table(drawn))
    own = [(curve, finding.claim.column) for name, curve, finding in judged if name == ATTACKS]
    kinds = [f"{how}, C0 = {C0}" for how in ("adversarial at 0.3", "standard") for C0 in (10, 10000)]
    assert own == [(kind, column) for column in ("missed_by_one_step", "missed_by_ray") for kind in kinds]
    text = (drawn.path / "report.html").read_text()
    assert "8 numbers that no claim is made of" in text
    assert text.count("<td>where it is largest</td>") == 8


def test_captions_say_what_varies_how_many_draws_and_which_interval(drawn):
    shared = ("digits 0 against 1", "at most 500 training images", "no biases", "protocol “text”", "3 seeds",
              "200 test images")  # fmt: skip
    maps = ("range over seeds", "95 % bootstraps over seeds", "its c is fitted", "no colour nothing was trained")
    parts = {
        LEFT: ("C0 = 10 and m = 1,000", "the slice d = 100", *maps),
        RIGHT: ("d = 100 and ε = 0.3", "log R", *maps),
        ATTACKS: ("C0 = 10, no ball", "bands one standard deviation", "the vertical line"),
    }
    for name, words in parts.items():
        caption = figure(drawn, name).caption
        for word in shared + words:
            assert word in caption
    assert "failed" not in figure(drawn, LEFT).caption


def test_one_seed_has_no_interval(tmp_path):
    settings = Settings(seeds=1)
    folder = folder_with(tmp_path / "run", settings=settings)
    found = figure(folder, LEFT, settings)
    # the seed 0 crosses 5 % before the others
    assert said(found.panels[0])[1:] == ["50 %: ε ~ d^−0.500, one seed", "dashed: c / √d, c = 2.85"]
    assert "mean over 1 seed;" in found.caption
    text = before_scripts(write_report([folder]).read_text())
    assert 'class="verdict undecided">undecided</span></td><td>-0.500 (-inf, inf)' in text


def test_without_a_contour_the_maps_say_so_and_draw_no_curve(tmp_path):
    folder = folder_with(tmp_path / "run", changed=lambda row: row | {"robust_pgd": 0.9})
    found = figure(folder, LEFT)
    assert said(found.panels[0])[1:] == ["crosses 50 % for every seed at no d:", "no curve is fitted"]
    assert {layer["mark"]["type"] for layer in found.panels[0].to_dict(validate=False)["layer"]} == {"rect"}
    assert said(found.panels[1])[2] == "dashed: c / √d, c = 3.6"
    assert "(PGD, five starts: not at d = 25, 49, 100, 196, 400)" in found.caption
    own = before_scripts(write_report([folder]).read_text())
    assert "half of the test images are still right at" not in own
    assert "where PGD leaves 50 %" not in own


def test_a_caption_without_any_contour_does_not_explain_one(tmp_path):
    nothing = {f"robust_{name}": 0.9 for name in CONSTANTS}
    caption = figure(folder_with(tmp_path / "run", (LEFT,), changed=lambda row: row | nothing), LEFT).caption
    assert "At no d does every seed cross one half among its cells" in caption
    assert "White points" not in caption


def test_a_contour_of_one_point_is_drawn_without_a_fit(tmp_path):
    folder = folder_with(
        tmp_path / "run", (LEFT,), changed=lambda row: row if row["dim"] == 49 else row | {"robust_pgd": 0.9}
    )
    found = figure(folder, LEFT)
    assert said(found.panels[0])[1] == "crosses 50 % for every seed at one d only:"
    assert found.numbers.filter(what="contour", attack="robust_pgd")["dim"].to_list() == [49]
    marks = [layer["mark"]["type"] for layer in found.panels[0].to_dict(validate=False)["layer"]]
    assert marks == ["rect", "line", "rule", "line", "rule", "point"]


def test_clipped_pixels_leave_no_ray_to_draw(tmp_path):
    def clipped(row):
        return row | {"robust_ray": None, "survived_ray": None, "flipped_within": None, "clip": True}

    folder = folder_with(tmp_path / "run", changed=clipped)
    found = figure(folder, LEFT)
    assert [said(panel)[0] for panel in found.panels[:3]] == ["PGD, five starts", "single step", "PGD against ε √d"]
    assert "no exact flip along the ray" in found.caption
    attacks = figure(folder, ATTACKS)
    assert set(attacks.numbers["attack"].to_list()) == {"robust_pgd", "robust_one_step"}
    color = attacks.panels[0].to_dict(validate=False)["layer"][0]["encoding"]["color"]
    assert color["scale"]["domain"] == ["single step", "PGD, five starts"]
    assert "no exact flip along the ray" in attacks.caption
    write_report([folder])


def test_a_run_of_which_no_cell_succeeded_says_so(tmp_path):
    folder = folder_with(tmp_path / "run", kept=lambda cell: False)
    text = write_report([folder]).read_text()
    for name in NAMES:
        assert f"no network of {name} was trained" in text
    assert write_figures(folder) == []
    assert listings(plan(NAMES, SETTINGS), read_table(folder)) == []


def test_the_page_opens_with_the_numbers_of_the_run(drawn):
    own = before_scripts((drawn.path / "report.html").read_text())
    assert "<h1>How small a step flips a network trained adversarially within its ball?</h1>" in own
    networks = 3 * (25 + 7 * 4 + 24 - 1) + 3 * 2  # the slice shares one protocol, the maps one network, then 0.3 twice
    assert f"<strong>{networks} networks</strong>" in own
    assert "6 more plainly" in own
    assert "<strong>c = 3</strong> (C0 = 10, m = 1000, protocol “text”)" in own
    # where PGD leaves half, the other has log(3.6 / 3) / 2 more
    assert f"leaves <strong>{50 + 50 * math.log(1.2):.3g} %</strong> right where PGD leaves 50 %" in own
    assert "<strong>66.7 %</strong> had converged" in own
    assert f"{networks // 3} adversarial trainings went on to the last epoch" in own
    assert f"{3 * 4 * 4} of the networks lie outside their ball" in own
    parts = ("bounds the true robust accuracy from above", "not over images", "by less than 0.01",
             "before that projection", "it covers no width at the dimensions trained here")  # fmt: skip
    for part in parts:
        assert part in own
    for word in ("andom network", "lazily", "Kolmogorov", "Every ensemble"):
        assert word not in own


def test_the_listing_has_a_row_per_network_and_budget_and_dashes_for_what_does_not_exist(drawn):
    (listing,) = listings(plan(NAMES, SETTINGS), read_table(drawn))
    assert listing.title == "Every network trained adversarially"
    assert len(listing.rows) == len(read_table(drawn))
    by_name = [dict(zip([c.heading for c in listing.columns], texts, strict=True)) for _, texts in listing.lines()]
    plain = [row for row in by_name if row["trained ε"] == "–"]
    assert {row["converged"] for row in plain} == {"–"}
    assert {row["ray"] for row in by_name if row["protocol"] == "text + clip"} == {"–"}
    assert {row["converged"] for row in by_name} == {"yes", "no", "–"}
    assert all(not at for at, _ in listing.lines())


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The folder of a run of lazily and of adversarially trained networks, with its page."""
    names = ("wang2022-fig2", LEFT, ATTACKS)
    rows = lazy_table()
    more = {}
    for cell in plan(names, SETTINGS).cells_of(EXPERIMENTS["wang2022-fig2"].family):
        same = {"size": cell.parameters["size"], "width": cell.parameters["width"], "seed": cell.seed}
        more[cell.hash] = rows.filter(**same).drop("measure", "seed").to_dicts()
    folder = folder_with(tmp_path_factory.mktemp("both") / "run", names, more=more)
    write_report([folder])
    return folder


def test_a_page_of_both_families_speaks_of_each(both):
    text = (both.path / "report.html").read_text()
    title = "How small a step flips a lazily trained network or a network trained adversarially within its ball?"
    assert f"<h1>{title}</h1>" in text
    for part in ("30 networks</strong>, each trained by SGD", "were trained adversarially within a ball",
                 "<h2>Every network</h2>", "<h2>Every network trained adversarially</h2>"):  # fmt: skip
        assert part in text
    assert re.findall(r'<fieldset data-column="(\w+)">', text) == ["width"]
    lazy, adversarial = listings(plan(both.spec["experiments"], SETTINGS), read_table(both))
    assert len(lazy.rows) == 30
    assert len(lazy.rows) + len(adversarial.rows) == len(read_table(both))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100], ids=["phone", "desk"])
def test_the_page_draws_its_figures_without_errors_or_requests(browser, drawn, scheme, width):
    address = Path(drawn.path / "report.html").as_uri()
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    heard, asked = [], []
    opened.on("console", lambda message: heard.append(message.text))
    opened.on("pageerror", lambda error: heard.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address)
    opened.wait_for_function("document.querySelectorAll('.chart svg').length === 14")
    maps = opened.locator(".chart svg .mark-rect.role-mark path")
    assert maps.count() == 3 * 25 + 3 * 24
    if width == 1100:
        opened.locator(".chart svg .role-legend-entry text").get_by_text("text + clip", exact=True).dispatch_event(
            "click"
        )
        opened.locator(".chart svg .role-legend-entry text").get_by_text(
            "single step", exact=True
        ).first.dispatch_event("click")
        maps.first.hover()
        opened.get_by_text("still right, mean over seeds").wait_for()
    assert heard == []
    assert asked == [address]
    assert opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    opened.close()


def test_ticking_off_widths_of_lazy_networks_leaves_adversarial_ones(browser, both):
    opened = browser.new_page(viewport={"width": 1100, "height": 900})
    heard = []
    opened.on("console", lambda message: heard.append(message.text))
    opened.on("pageerror", lambda error: heard.append(str(error)))
    opened.goto(Path(both.path / "report.html").as_uri())
    opened.wait_for_function("document.querySelectorAll('.chart svg').length === 13")
    opened.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    before = opened.locator("tr[data-at]:visible").count()
    for name in ("250", "1000"):
        opened.get_by_role("checkbox", name=name, exact=True).uncheck()
    opened.wait_for_function("document.querySelector('.panels').hidden")
    assert opened.locator(".panels:not([hidden]) > .chart:visible").count() == 6 + 4
    rows = len(read_table(both)) - 30
    claims = 3 + 8  # of Figure 4, of one step against many
    assert opened.locator("tr[data-at]:visible").count() == rows + claims
    assert before > rows + claims
    assert heard == []
    opened.close()
