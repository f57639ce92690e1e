"""BibTeX entries of the papers whose experiments these are."""

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
    "daniely2020": """@inproceedings{daniely2020most,
  title     = {Most {ReLU} Networks Suffer from $\\ell^2$ Adversarial Perturbations},
  author    = {Daniely, Amit and Shacham, Hadas},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {33},
  pages     = {6629--6636},
  year      = {2020},
  note      = {arXiv:2010.14927}
}""",
    "bubeck2021": """@inproceedings{bubeck2021single,
  title     = {A Single Gradient Step Finds Adversarial Examples on Random Two-Layers Neural Networks},
  author    = {Bubeck, S{\\'e}bastien and Cherapanamjeri, Yeshwanth and Gidel, Gauthier and
               Tachet des Combes, R{\\'e}mi},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {34},
  year      = {2021},
  note      = {arXiv:2104.03863}
}""",
    "bartlett2021": """@inproceedings{bartlett2021adversarial,
  title     = {Adversarial Examples in Multi-Layer Random {ReLU} Networks},
  author    = {Bartlett, Peter L. and Bubeck, S{\\'e}bastien and Cherapanamjeri, Yeshwanth},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {34},
  year      = {2021},
  note      = {arXiv:2106.12611}
}""",
    "gradflip": f"""@software{{gradflip,
  title   = {{gradflip: exact single-gradient-step flips and the lazy regime}},
  author  = {{{{The gradflip developers}}}},
  version = {{{__version__}}},
  year    = {{2026}}
}}""",
}

# papers whose results the experiments of a paper are compared with
BESIDE = {"montanari2022": ("daniely2020", "bubeck2021", "bartlett2021")}

# families of our own experiments, and the paper whose question they ask
OWN = {"ball": "wang2022"}


def bibtex(name: str | None = None) -> str:
    """The BibTeX entries to cite for an experiment.

    Args:
        name: An experiment or a paper; all papers if not given.

    Returns:
        The entries of the paper, of those that its experiments are compared with, and of gradflip.

    Raises:
        UsageError: If there is no such name.
    """
    if name is None:
        return "\n\n".join(BIBTEX.values())
    paper = name.split("-", 1)[0]
    paper = OWN.get(paper, paper)
    if paper not in BIBTEX:
        raise UsageError(unknown("experiment or paper", name, BIBTEX))
    return "\n\n".join(BIBTEX[key] for key in dict.fromkeys([paper, *BESIDE.get(paper, ()), "gradflip"]))
