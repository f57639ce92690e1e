"""`gradflip cite`: BibTeX."""

from __future__ import annotations


def cite(name: str | None = None, /) -> None:
    """Print BibTeX for an experiment or a paper, by default for all.

    Args:
        name: An experiment or paper, such as wang2022-fig2 or montanari2022.
    """
    from gradflip.experiments import bibtex

    print(bibtex(name))
