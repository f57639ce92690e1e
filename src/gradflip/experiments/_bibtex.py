"""What to cite: the papers whose experiments these are."""

from __future__ import annotations

from gradflip._errors import UsageError, unknown
from gradflip._version import __version__

BIBTEX = {
    "wang2022": """@inproceedings{wang2022lazy,
  title     = {Adversarial Robustness is at Odds with Lazy Training},
  author    = {Wang, Yunjuan and Ullah, Enayat and Mianjy, Poorya and Arora, Raman},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {35},
  year      = {2022},
  note      = {arXiv:2207.00411}
}""",
    "montanari2022": """@article{montanari2022adversarial,
  title   = {Adversarial Examples in Random Neural Networks with General Activations},
  author  = {Montanari, Andrea and Wu, Yuchen},
  journal = {arXiv preprint arXiv:2203.17209},
  year    = {2022}
}""",
    "gradflip": f"""@software{{gradflip,
  title   = {{gradflip: exact single-gradient-step flips and the lazy regime}},
  author  = {{{{The gradflip developers}}}},
  version = {{{__version__}}},
  year    = {{2026}}
}}""",
}


def bibtex(name: str | None = None) -> str:
    """The BibTeX entries to cite for an experiment.

    Args:
        name: An experiment or a paper; all papers if not given.

    Returns:
        The paper's entry and gradflip's own.

    Raises:
        UsageError: If there is no such name.
    """
    if name is None:
        return "\n\n".join(BIBTEX.values())
    paper = name.split("-", 1)[0]
    if paper not in BIBTEX:
        raise UsageError(unknown("experiment or paper", name, BIBTEX))
    return "\n\n".join(dict.fromkeys([BIBTEX[paper], BIBTEX["gradflip"]]))
