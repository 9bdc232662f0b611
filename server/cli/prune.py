"""`falkit jobs prune`: forget old jobs, and say how many."""

from datetime import UTC, datetime, timedelta

from server.cli.folding import folded
from server.rooms import open_annexe, open_catalog
from server.settings import Settings

# Where neither the command nor a setting names an age, in days.
USUAL_DAYS = 90


async def prune_jobs(settings: Settings, days: int | None, dry: bool) -> None:
    """Print how many jobs that ended more than *days* ago were forgotten, or would be."""
    age = days or settings.keep_days or USUAL_DAYS
    async with open_annexe(settings, open_catalog(settings)[0]) as rooms:
        count = await rooms.prune(datetime.now(UTC) - timedelta(days=age), dry=dry)
    jobs = "1 job" if count == 1 else f"{count} jobs"
    did = "would be forgotten" if dry else "forgotten"
    words = (
        f"{jobs} that ended more than {age} days ago {did}; files stay, and so does what is "
        "unfinished, not saved, or of this month"
    )
    print(folded(words))
