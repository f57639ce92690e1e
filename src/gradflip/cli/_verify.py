"""`gradflip verify`: check a certificate independently."""

from __future__ import annotations

import json
from pathlib import Path

from gradflip.cli._options import Json
from gradflip.cli._output import complain


def verify(file: Path, /, *, as_json: Json = False) -> int:
    """Check a certificate independently, from its weights and inputs alone; exit 1 if it does not hold.

    Args:
        file: A file written by gradflip certify, Certificate.save or JointCertificate.save.
        as_json: Print the outcome as JSON.

    Returns:
        The exit status.
    """
    from gradflip.certificates import Verification
    from gradflip.certificates import verify as verify_file

    checked = verify_file(file)
    if isinstance(checked, Verification):
        kind, claimed, verified = "single", int(checked.certified.sum()), int(checked.verified[checked.certified].sum())
    else:
        kind, claimed = "joint", int(checked.claimed.sum())
        verified = int(checked.errors.clip(max=checked.claimed).sum())
    if as_json:
        outcome = {"kind": kind, "claimed": claimed, "verified": verified, "holds": checked.holds}
        print(json.dumps(outcome | {"statement": checked.statement}, indent=2))
    else:
        print(f"{verified} of {claimed} certain errors that {file} claims were verified.")
        print(checked.statement)
    if not checked.holds:
        complain(f"{file} does not hold: {claimed - verified} of the {claimed} errors it claims were not verified.")
    return 0 if checked.holds else 1
