"""docs/mathematics: citations in docstrings, links, formulas and names of functions point to what exists."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "mathematics"
PAGES = sorted(FOLDER.glob("*.md"))
_CITATION = re.compile(r'docs/mathematics/([\w-]+\.md)(?:,\s+"([^"]+)")?')
_NAME = re.compile(r"`(gradflip(?:\.\w+)+)`")
_EXPERIMENT = re.compile(r"`((?:wang2022|montanari2022|ball)-[\w-]+)`")


def headings(page: Path) -> list[str]:
    """The titles of a page's sections, without formulas and code."""
    return re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)


def anchor(heading: str) -> str:
    """What GitHub links a heading by."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def broken_citations(text: str) -> list[str]:
    """Citations of pages or sections that do not exist; a docstring may break them over lines."""
    broken = []
    for name, section in _CITATION.findall(re.sub(r"\s+(?:# )?", " ", text)):
        page = FOLDER / name
        if not page.is_file() or (section and section not in headings(page)):
            broken.append(f"{name}, {section!r}")
    return broken


def unbalanced_paragraphs(text: str) -> list[str]:
    """Paragraphs in which a formula is opened and not closed; displays end with the dollars they begin with."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    text = re.sub(r"`[^`]*`", "", text)
    displays = text.split("$$")
    if len(displays) % 2 == 0:
        return ["an odd number of $$"]
    outside = "\n".join(displays[::2])
    odd = [part for part in re.split(r"\n\s*\n|\n(?=\||\* |\d+\. )", outside) if part.count("$") % 2]
    return [*odd, *(part for part in displays[1::2] if "$" in part or part.count("{") != part.count("}"))]


def named(dotted: str) -> object:
    """The module, class, function or method of a dotted name."""
    found: object = importlib.import_module("gradflip")
    path = "gradflip"
    for part in dotted.split(".")[1:]:
        path = f"{path}.{part}"
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(path)
    return found


def test_docstrings_cite_sections_that_exist():
    broken = {
        str(path.relative_to(ROOT)): found
        for path in sorted((ROOT / "src").rglob("*.py"))
        if (found := broken_citations(path.read_text(encoding="utf-8")))
    }
    assert broken == {}


def test_a_citation_of_a_missing_page_or_section_is_seen():
    assert broken_citations('Source: docs/mathematics/model.md,\n        "The ray".') == []
    assert broken_citations("Source: docs/mathematics/model.md.") == []
    assert broken_citations('docs/mathematics/model.md, "No such section"') == ["model.md, 'No such section'"]
    assert broken_citations('docs/mathematics/nothing.md, "The ray"') == ["nothing.md, 'The ray'"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_headings_are_distinct_so_that_citations_are_clear(page):
    titles = headings(page)
    assert len(titles) > 1
    assert len({anchor(title) for title in titles}) == len(titles)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_formula_that_is_opened_is_closed(page):
    assert unbalanced_paragraphs(page.read_text(encoding="utf-8")) == []


def test_a_formula_left_open_is_seen():
    assert unbalanced_paragraphs("$a$ and `$` and\n\n$$ b $$\n") == []
    assert unbalanced_paragraphs("$a$ and $b\n\n$c$") == ["$a$ and $b"]
    assert unbalanced_paragraphs("$$ b") == ["an odd number of $$"]
    assert unbalanced_paragraphs("$$ \\frac{a}{b $$") == [" \\frac{a}{b "]


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.stem)
def test_relative_links_lead_to_files_and_sections(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, section = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), target
        if section:
            assert section in {anchor(title) for title in headings(other)}, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_functions_that_a_page_names_exist(page):
    missing = []
    for dotted in sorted(set(_NAME.findall(page.read_text(encoding="utf-8")))):
        try:
            named(dotted)
        except ImportError:
            missing.append(dotted)
    assert missing == []


def test_experiments_that_the_pages_name_exist():
    from gradflip.experiments import EXPERIMENTS

    mentioned = {name for page in PAGES for name in _EXPERIMENT.findall(page.read_text(encoding="utf-8"))}
    assert "wang2022-fig2" in mentioned
    assert mentioned <= set(EXPERIMENTS)


def test_a_function_that_does_not_exist_is_seen():
    assert named("gradflip.theory.limits").__name__ == "limits"
    assert named("gradflip.LazyBall.project").__name__ == "project"
    with pytest.raises(ImportError):
        named("gradflip.theory.no_such_limit")


def test_the_index_leads_to_every_page():
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert {page.name for page in PAGES} - {"index.md"} == set(re.findall(r"\]\((\w[\w-]*\.md)\)", index))
