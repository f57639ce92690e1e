"""Figures and report, from small tables whose numbers are known."""

import dataclasses
import json
import math
import re

import polars as pl
import pytest

from gradflip import FileError
from gradflip.experiments import EXPERIMENTS, Settings, plan
from gradflip.report import read_table, write_figures, write_report
from gradflip.sweep import RunFolder
from lazy_rows import SETTINGS, folder_with, row, table

FIG2 = EXPERIMENTS["wang2022-fig2"]


def figure(rows):
    return FIG2.draw(rows, pl.DataFrame(), SETTINGS)


def test_points_are_means_and_bands_deviations_over_seeds():
    numbers = figure(table()).numbers
    assert len(numbers) == 3 * 2 * 5
    point = numbers.filter(quantity="step", width=1000, dim=196).row(0, named=True)
    steps = [row(14, 1000, seed)["step"] for seed in range(3)]
    mean = sum(steps) / 3
    assert point["mean"] == pytest.approx(mean)
    assert point["std"] == pytest.approx(math.sqrt(sum((step - mean) ** 2 for step in steps) / 2))
    assert point["seeds"] == 3


def test_the_theory_curves_carry_the_constants_that_made_the_rows():
    panels = figure(table()).panels
    titles = [panel.to_dict(validate=False)["title"]["text"] for panel in panels]
    assert titles[0][1] == "dotted: c √(|x|² + 1) / d, c = 2"
    assert titles[1] == ["dashed: c √d, c = 0.7"]
    assert titles[2][1] == "dotted: c √(1 + 1 / |x|²) / √d, c = 1.4"


def test_the_caption_says_what_varies_how_many_draws_and_which_interval():
    caption = figure(table()).caption
    for part in ("m = 250, 1000", "C0 = 10", "digits 0 against 1", "3 seeds", "(69)", "one standard deviation",
                 "protocol “text”", "fitted"):  # fmt: skip
        assert part in caption
    assert "had not reached" not in caption
    stayed = figure(table(stopped_because="max-epochs")).caption
    assert "30 of 30 networks had not reached the surface of their ball" in stayed


def test_rows_of_other_experiments_are_not_drawn():
    more = pl.concat([table(), table(C0=20.0), table(normalize=True)])
    assert figure(more).numbers.equals(figure(table()).numbers)


def test_a_table_without_flips_is_no_figure():
    with pytest.raises(ValueError, match="no network of wang2022-fig2 has a flip to draw"):
        nothing = [pl.lit(None, pl.Float64).alias(name) for name in ("step", "gradient_norm", "relative")]
        figure(table().with_columns(nothing))


def test_axes_are_logarithmic_with_ticks_inside_explicit_domains():
    for panel in figure(table()).panels:
        for layer in panel.to_dict(validate=False)["layer"]:
            for axis in ("x", "y"):
                channel = layer["encoding"][axis]
                assert channel["scale"]["type"] == "log"
                low, high = channel["scale"]["domain"]
                assert len(channel["axis"]["values"]) >= 2
                assert all(low <= tick <= high for tick in channel["axis"]["values"])


def test_the_report_has_every_figure_in_every_form(tmp_path):
    folder = folder_with(tmp_path, table())
    page = write_report([folder])
    text = page.read_text()
    assert page == folder.path / "report.html"
    assert len(re.findall(r'<script type="application/json">', text)) == 3
    assert "gradflip run wang2022-fig2 --data digits --preset quick" in text
    assert "2,070 of 2,070" in text.replace("\n", " ")
    for ending, magic in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<svg")):
        assert (folder.path / "figures" / f"wang2022-fig2.{ending}").read_bytes().startswith(magic)
    spec = json.loads((folder.path / "figures" / "wang2022-fig2.vl.json").read_text())
    assert len(spec["hconcat"]) == 3
    numbers = pl.read_csv(folder.path / "figures" / "wang2022-fig2.csv")
    assert numbers["mean"].to_list() == pytest.approx(figure(table()).numbers["mean"].to_list())
    assert page.stat().st_size < 3_000_000


def test_the_report_needs_no_network_and_shows_hostile_text_as_text(tmp_path):
    text = write_report([folder_with(tmp_path, table(), failed=1)]).read_text()
    assert "&lt;script&gt;alert(&#39;cell&#39;)&lt;/script&gt;" in text
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    own = text[: text.index("vegaEmbed")]
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', own)


def test_a_report_without_any_row_says_so(tmp_path):
    folder = folder_with(tmp_path, table(), failed=30)
    text = write_report([folder]).read_text()
    assert "no network of wang2022-fig2 has a flip to draw" in text
    assert "Cells that failed" in text


def test_a_folder_without_a_table_is_answered_with_what_to_do(tmp_path):
    folder = RunFolder.create(tmp_path / "run", plan(["wang2022-fig2"], SETTINGS).spec)
    with pytest.raises(FileError, match="has no table.parquet yet; run the experiment to its end first"):
        read_table(folder)


def test_a_folder_of_another_version_is_refused(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {"experiments": ["wang2022-fig99"], "settings": {}})
    with pytest.raises(FileError, match="is not of this version of gradflip"):
        write_report([folder])


def test_the_command_in_the_report_says_every_setting_that_is_not_the_default(tmp_path):
    settings = Settings(data="digits", classes=(3, 8), protocol="published", seeds=3, seed=0)
    text = write_report([folder_with(tmp_path, table(), settings=settings)]).read_text()
    assert (
        "gradflip run wang2022-fig2 --data digits --preset quick --classes 3,8 --protocol published --seeds 3" in text
    )


def test_the_claims_table_says_holds_for_rows_that_obey_the_theorem(tmp_path):
    text = write_report([folder_with(tmp_path, table())]).read_text()
    claims = text[text.index('<table class="claims">') : text.index("</table>")]
    assert claims.count('class="verdict holds"') == 6
    assert "fails" not in claims
    assert "empty at every d shown here</strong> (25, 64, 196, 400, 784)" in text
    assert "it opens at d = 2,972,162" in text


def test_a_wrong_claim_fails(tmp_path):
    text = write_report([folder_with(tmp_path, table(growth=-0.3))]).read_text()
    claims = text[text.index('<table class="claims">') : text.index("</table>")]
    assert claims.count('class="verdict fails"') == 4  # step and perturbation at two widths
    assert claims.count('class="verdict holds"') == 2  # the gradient norm is as it was
    assert "-0.300 (-0.3" in claims


def test_several_runs_are_compared_on_one_page(tmp_path):
    published = Settings(data="digits", preset="quick", protocol="published")
    folders = [
        folder_with(tmp_path, table(), name="text"),
        folder_with(tmp_path, table(growth=-0.3), settings=published, name="published"),
    ]
    page = write_report(folders)
    text = page.read_text()
    assert page == folders[0].path / "comparison.html"
    assert "<th>digits 0/1, quick, text</th>" in text
    assert "<th>digits 0/1, quick, published</th>" in text
    assert len(re.findall(r'<script type="application/json">', text)) == 6
    claims = text[text.index('<table class="claims">') : text.index("</table>")]
    assert claims.count('class="verdict holds"') == 6 + 2
    assert claims.count('class="verdict fails"') == 4
    assert write_report(folders, tmp_path / "both.html") == tmp_path / "both.html"


def test_figures_can_be_drawn_alone(tmp_path):
    folder = folder_with(tmp_path, table())
    assert write_figures(folder) == [folder.path / "figures" / "wang2022-fig2.png"]
    assert not (folder.path / "report.html").exists()


def test_the_report_of_a_run_by_another_version_still_tells_its_cost(tmp_path):
    folder = folder_with(tmp_path, table())
    for cell in plan(["wang2022-fig2"], SETTINGS).cells:  # as another version of the measure would have named them
        result = folder.read(cell)
        (folder.cells_dir / f"{cell.hash}.json").unlink()
        folder.write(
            dataclasses.replace(
                result, cell=dataclasses.replace(cell, measure=dataclasses.replace(cell.measure, version=3))
            )
        )
    count = len(list(folder.cells_dir.glob("*.json")))
    text = " ".join(write_report([folder]).read_text().split())
    assert f"{count} cells, {1.5 * count:.0f} s of computing in all" in text
