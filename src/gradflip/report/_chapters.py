"""The chapters of a page, by the family of experiments they are about."""

from gradflip.experiments._chapter import Chapter
from gradflip.experiments.adversarial._chapter import ADVERSARIAL_CHAPTER
from gradflip.experiments.ball._chapter import BALL_CHAPTER
from gradflip.experiments.lazy._chapter import LAZY_CHAPTER
from gradflip.experiments.random._chapter import RANDOM_CHAPTER

CHAPTERS: dict[str, Chapter] = {
    "lazy": LAZY_CHAPTER,
    "random": RANDOM_CHAPTER,
    "adversarial": ADVERSARIAL_CHAPTER,
    "ball": BALL_CHAPTER,
}
