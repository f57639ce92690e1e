"""The chapters of a page, by the family of experiments they are about."""

from gradflip.report._adversarial_chapter import ADVERSARIAL_CHAPTER
from gradflip.report._ball_chapter import BALL_CHAPTER
from gradflip.report._chapter import Chapter
from gradflip.report._lazy_chapter import LAZY_CHAPTER
from gradflip.report._random_chapter import RANDOM_CHAPTER

CHAPTERS: dict[str, Chapter] = {
    "lazy": LAZY_CHAPTER,
    "random": RANDOM_CHAPTER,
    "adversarial": ADVERSARIAL_CHAPTER,
    "ball": BALL_CHAPTER,
}
