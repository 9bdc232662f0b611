"""The job that a caller means: by its id, by one of its outputs, or by a file that it made."""

import re

# Ids as the journal makes them, and the names under which files are saved (date-words-JOB-number).
_ID = re.compile(r"[0-9a-hj-km-np-tv-z]{11}")
_FILE = re.compile(r"-([0-9a-hj-km-np-tv-z]{11})-\d+(?:-again\d)?\.[\w.]+$")


def meant(text: str) -> str:
    """Return the job id in *text*: of ``JOB/2``, of a saved file's name or path, else *text*."""
    plain = text.strip()
    if found := _FILE.search(plain):
        return found[1]
    job_id, _, number = plain.partition("/")
    return job_id if number.isdigit() else text


def may_name_a_job(text: str) -> bool:
    """Tell whether *text* could be an id, or a file, of a job; words of eleven letters could."""
    return _ID.fullmatch(meant(text).strip().lower()) is not None
