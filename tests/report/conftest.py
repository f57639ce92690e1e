"""A real browser for the pages, once with the fonts of the machine and once with none that it knows."""

import os
import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


NO_FONTS = "<?xml version='1.0'?><!DOCTYPE fontconfig SYSTEM 'fonts.dtd'><fontconfig></fontconfig>"


@pytest.fixture(scope="module", params=["machine-fonts", "no-fonts"])
def browser(request, tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        environment = dict(os.environ)
        if request.param == "no-fonts":  # a page's layout must not depend on which fonts a machine has
            folder = tmp_path_factory.mktemp("fontconfig")
            (folder / "fonts.conf").write_text(NO_FONTS)
            environment["FONTCONFIG_FILE"] = str(folder / "fonts.conf")
        opened = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS, env=environment)
        yield opened
        opened.close()
