"""Histograms and gallery, from observations whose numbers are known."""

import base64
import math
import struct
import zlib

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradflip import TwoLayer, flip
from gradflip.experiments import EXPERIMENTS, Settings
from gradflip.experiments._picture import Picture
from gradflip.experiments.lazy._histograms_figure import histograms_figure
from gradflip.experiments.lazy._pictures import pictures
from gradflip.report._gallery import gallery, png

FIG7 = EXPERIMENTS["wang2022-fig7"]


def observations(seeds=2, images=500, **changes):
    rows = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        for image, z in enumerate(rng.normal(size=images)):
            rows.append({
                "measure": "lazy-flip", "seed": seed, "size": 28, "width": 1000, "normalize": False, "bias": True,
                "C0": 10.0, "image": image,
                "label": 1, "value": 5.0, "gradient_norm": 20 + z, "step": 0.3 * (20 + z), "relative": 0.1 * (20 + z),
                "status": "flipped",
            } | changes)  # fmt: skip
    return pl.DataFrame(rows)


def test_histograms_count_every_correct_image_and_carry_its_normal_fit():
    numbers = histograms_figure(FIG7, pl.DataFrame(), observations(), Settings()).numbers
    assert numbers.group_by("quantity", "seed").agg(pl.sum("images"))["images"].to_list() == [500] * 6
    for (name, seed), part in numbers.group_by("quantity", "seed"):
        assert (part["density"] * (part["high"] - part["low"])).sum() == pytest.approx(1)
        values = observations().filter(seed=seed)[name].to_numpy()
        centre = ((part["low"] + part["high"]) / 2).to_numpy()
        z = (centre - values.mean()) / values.std()
        assert part["normal"].to_numpy() == pytest.approx(np.exp(-z * z / 2) / (values.std() * math.sqrt(2 * math.pi)))


def test_misclassified_images_and_those_that_never_flip_are_left_out():
    wrong = observations(seeds=1, images=7, label=-1)
    never = observations(seeds=1, images=9).with_columns(pl.lit(None, pl.Float64).alias("step"))
    numbers = histograms_figure(
        FIG7, pl.DataFrame(), pl.concat([observations(seeds=1), wrong, never]), Settings()
    ).numbers
    assert numbers.filter(quantity="step")["images"].sum() == 500
    with pytest.raises(ValueError, match="no network of wang2022-fig7 has a flip to draw"):
        histograms_figure(FIG7, pl.DataFrame(), pl.concat([wrong, never]), Settings())


def test_the_coefficient_of_variation_is_said():
    figure = histograms_figure(FIG7, pl.DataFrame(), observations(images=2000), Settings())
    data = observations(images=2000).group_by("seed").agg(pl.col("step").std() / pl.col("step").mean())["step"].mean()
    assert figure.panels[2].to_dict(validate=False)["title"]["text"] == f"coefficient of variation {data:.3g}"
    assert "2000 correctly classified test images of one seed (2 in all)" in figure.caption


def decoded(file):
    """Width, height and grey values of a PNG as `png` writes them."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    position, chunks = 8, {}
    while position < len(file):
        length, kind = struct.unpack(">I4s", file[position : position + 8])
        data = file[position + 8 : position + 8 + length]
        (check,) = struct.unpack(">I", file[position + 8 + length : position + 12 + length])
        assert check == zlib.crc32(kind + data)
        chunks[kind] = data
        position += 12 + length
    columns, rows = struct.unpack(">II", chunks[b"IHDR"][:8])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(rows, columns + 1)
    assert (lines[:, 0] == 0).all()
    return lines[:, 1:]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_a_png_holds_the_pixels_rounded_and_clipped(rows, columns, seed):
    pixels = np.random.default_rng(seed).uniform(-0.3, 1.3, (rows, columns))
    assert (decoded(png(pixels)) == np.round(np.clip(pixels, 0, 1) * 255)).all()


def test_pictures_show_the_smallest_median_and_largest_flip_and_each_is_flipped():
    network = TwoLayer.random(16, 200, seed=1, dtype=torch.float64)
    x = torch.rand(31, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = flip(network, x)
    texts = pictures(network, x, found, found.step.isfinite())
    kept = [i for i, text in enumerate(texts) if text]
    order = found.relative.argsort().tolist()
    finite = int(found.step.isfinite().sum())
    assert sorted(kept) == sorted({order[0], order[finite // 2], order[finite - 1]})
    for i in kept:
        picture = Picture.from_text(texts[i])
        assert picture.image == pytest.approx(x[i].numpy(), rel=1e-6)
        shown = torch.from_numpy((picture.image + picture.perturbation).astype(float))
        assert picture.after * float(found.value[i]) < 0
        assert float(network(shown)) == pytest.approx(picture.after, rel=1e-3)
        assert np.linalg.norm(picture.perturbation) == pytest.approx(1.01 * float(found.perturbation[i]), rel=1e-6)


def test_no_flip_no_picture():
    network = TwoLayer.random(4, 3, seed=0)
    x = torch.ones(2, 4)
    assert pictures(network, x, flip(network, x), torch.zeros(2, dtype=torch.bool)) == [None, None]


def test_the_gallery_scales_the_perturbation_and_says_by_how_much():
    image, added = np.linspace(0, 0.5, 16, dtype=np.float32), np.full(16, 0.01, dtype=np.float32)
    added[3] = -0.03
    text = Picture(image, added, -0.25).to_text()
    data = observations(seeds=1, images=3, size=4).with_columns(pl.Series("picture", [None, text, None]))
    small = observations(seeds=1, images=1, size=2).with_columns(pl.lit(text).alias("picture"))
    (exhibit,) = gallery(pl.concat([small, data]))
    assert exhibit.scale == 5  # 0.5 * 0.5 / 0.03 = 8.3, the next of 1, 2, 5 below
    assert (exhibit.before, exhibit.after) == (5.0, -0.25)
    shown = decoded(base64.b64decode(exhibit.perturbation.removeprefix("data:image/png;base64,")))
    assert shown[0, 0] == np.round((0.5 + 5 * 0.01 / 0.5) * 255)
    assert shown[0, 3] == np.round((0.5 - 5 * 0.03 / 0.5) * 255)
    flipped = decoded(base64.b64decode(exhibit.flipped.removeprefix("data:image/png;base64,")))
    assert flipped[1, 1] == np.round((image[5] + added[5]) / 0.5 * 255)


def test_a_run_without_pictures_has_no_gallery():
    assert gallery(observations(seeds=1, images=2)) == []
    assert gallery(pl.DataFrame()) == []
