"""What a certificate proves, as a sentence whose rounded numbers keep it true."""

from __future__ import annotations

from gradflip.lazy._ball import LazyBall


def statement(ball: LazyBall, errors: int, points: int, epsilon: float) -> str:
    """State what is proved of a set of points.

    Args:
        ball: The ball.
        errors: Number of points that every network of the ball misclassifies at least.
        points: Number of points in total.
        epsilon: Largest distance by which a point is moved.

    Returns:
        The sentence.
    """
    if not errors:
        return f"Nothing is proved of these {points} points: networks of the ball may get each of them right."
    each = "neuron lies" if ball.network0.width == 1 else f"{ball.network0.width:,} neurons each lie"
    # the radius shown is off by a relative 5e-6 at most, and the ball certified is larger by 1e-5
    return (
        f"Proved: every network whose {each} within {ball.radius:.6g} (C0 = {ball.C0:.6g}) of this initialisation, "
        f"however trained, misclassifies at least {errors} of these {points} points "
        f"when each is moved by at most {rounded_up(epsilon)}, to a place that is the same for all networks."
    )


def rounded_up(value: float, digits: int = 6) -> str:
    """Format a number with a few significant digits, rounded up if they do not represent it exactly.

    Args:
        value: The number.
        digits: Number of significant digits.

    Returns:
        The text.
    """
    from decimal import ROUND_CEILING, Context, Decimal

    if float(f"{value:.{digits}g}") == value:
        return f"{value:.{digits}g}"
    return f"{Context(prec=digits, rounding=ROUND_CEILING).create_decimal(Decimal(value)):g}"
