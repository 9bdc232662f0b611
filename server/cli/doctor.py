"""`falkit doctor`: one screen that says what works, what does not, and what to do."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile

from catalog.errors import ActionableError
from server.cli import interrupting
from server.cli.folding import folded
from server.cli.install import HOSTS, entry_of
from server.cli.speaking import print_json
from server.introduced import introduced_in
from server.rooms import OpenRooms, open_rooms
from server.settings import Settings
from server.volumes import unsafe_place
from tools.ports import JobQuery, JobState, SpendingQuery
from tools.spending import left_words, money

LEAST_FREE = 500 * 2**20
ASKED_WITHIN = 8.0
# Jobs that are not over, and what a person reads of them.
OPEN: Mapping[JobState, str] = {
    "queued": "queued",
    "running": "running",
    "held": "held for your word",
    "unconfirmed": "unconfirmed",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the screen; *todo* is empty where there is nothing to do.

    Where something only *waits* for a person's word, nothing is wrong.
    """

    name: str
    words: str
    todo: str = ""
    places: tuple[str, ...] = ()  # paths in the words
    waits: bool = False

    @property
    def is_wrong(self) -> bool:
        return bool(self.todo) and not self.waits


def examine(*, as_json: bool = False) -> bool:
    """Print the screen, as JSON where nobody reads along, and return whether all is well."""
    findings = interrupting.run(_findings)
    well = not any(finding.is_wrong for finding in findings)
    if as_json or not sys.stdout.isatty():
        print_json({"ok": well, "findings": [_told(finding) for finding in findings]})
        return well
    wide = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark = "!!" if finding.is_wrong else "ok"
        lines = [f"{mark}  {finding.name:<{wide}} {finding.words}"]
        if finding.todo:
            lines.append(f"    {'':<{wide}} {finding.todo}")
        for line in lines:
            hang = wide + 5 - (len(line) - len(line.lstrip()))
            print(folded(line, whole=finding.places, hang=hang))
    return well


def _told(finding: Finding) -> dict[str, str]:
    return {"name": finding.name, "words": finding.words, "todo": finding.todo}


async def _findings() -> list[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    found = [Finding("falkit", f"{version('falkit')} on Python {python}, {sys.platform}")]
    try:
        settings = Settings.read(os.environ)
    except ActionableError as problem:
        wrong = Finding("settings", problem.message, problem.hint or "correct it")
        return [*found, wrong, *_hosts(Path.home())]
    home = _folder("home", settings.home, "FALKIT_HOME")
    found += [_key(settings), home, *place_of(settings.home)]
    if not (home.todo and settings.media_folder.is_relative_to(settings.home)):
        found.append(_folder("media", settings.media_folder, "FALKIT_MEDIA"))
    found += [*_files(settings), *_stores(settings.home)]
    async with open_rooms(settings) as rooms:
        found.append(_catalog(rooms))
        found.append(await _journal(rooms))
        found.append(await _budget(rooms))
    if settings.backend == "cloud":
        found.append(await _reach(settings))
    return [*found, *_hosts(Path.home()), *_served(settings.home)]


def _key(settings: Settings) -> Finding:
    if settings.key is None:
        words = f"none ({settings.key_note})" if settings.key_note else "none"
        todo = "correct it, or unset it" if settings.key_note else ""
        return Finding("key", f"{words}: the embedded emulator is used", todo)
    key_id = settings.key.get_secret_value().partition(":")[0]
    return Finding("key", f"{key_id[:4]}…{key_id[-2:]}; runs go to {settings.backend}")


def _folder(name: str, folder: Path, setting: str) -> Finding:
    """Return whether files can be written into *folder*, by writing one where it would be made."""
    todo = f"set {setting} to a folder of your own, or let your account write into this one"
    places = (str(folder),)
    try:
        standing = next(path for path in (folder, *folder.parents) if path.exists())
        if not standing.is_dir():
            return Finding(name, f"{folder} cannot be: {standing} is a file", todo, places)
        with TemporaryFile(dir=standing):
            free = shutil.disk_usage(standing).free
    except StopIteration:  # of a drive that is not there
        return Finding(name, f"{folder} is on no disk of this machine", todo, places)
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        return Finding(name, f"{folder} cannot be written: {reason}", todo, places)
    words = f"{folder}, {free / 2**30:.1f} GB free"
    full = "make room: results may not fit" if free < LEAST_FREE else ""
    return Finding(name, words, full, places)


def _files(settings: Settings) -> Iterator[Finding]:
    """Yield which file that a setting names says nothing that can be used."""
    from server.deploy.caps import read_caps
    from server.deploy.prices import read_prices

    for setting, read, path in (
        ("FALKIT_DEPLOY_CAPS", read_caps, settings.deploy_caps),
        ("FALKIT_DEPLOY_PRICES", read_prices, settings.deploy_prices),
    ):
        try:
            read(path)
        except ActionableError as problem:
            yield Finding("settings", problem.message, problem.hint or f"correct {setting}")


def _stores(home: Path) -> Iterator[Finding]:
    """Yield which database beside the journal is damaged; the journal has a line of its own."""
    lost = {
        "emulator": "move this folder away; what the emulator made is gone, files in media stay",
        "deploy": "move this file away, and deploy the apps of this machine again",
    }
    for room, todo in lost.items():
        for path in sorted((home / room).glob("*.db")):
            try:
                with closing(
                    sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
                ) as store:
                    store.execute("PRAGMA schema_version").fetchone()
            except sqlite3.Error as problem:
                yield Finding(room, f"{path} cannot be read: {problem}", todo, (str(path),))


def _catalog(rooms: OpenRooms) -> Finding:
    days = (datetime.now().astimezone().date() - date.fromisoformat(rooms.catalog.as_of)).days
    words = f"{len(rooms.catalog.ids)} models as of {rooms.catalog.as_of}, {days} days old"
    return Finding("catalog", f"{words} (`falkit catalog refresh` asks fal, with a key)")


def place_of(home: Path) -> Iterator[Finding]:
    """Yield what is wrong with the disk of *home*, if anything is."""
    if words := unsafe_place(home):
        todo = "set FALKIT_HOME to a folder on a disk of this machine, or the journal may break"
        yield Finding("place", words, todo)


async def _journal(rooms: OpenRooms) -> Finding:
    try:
        pages = [await rooms.jobs.list(JobQuery(state=state, limit=50)) for state in OPEN]
    except ActionableError as problem:
        return Finding("journal", problem.message, problem.hint or "see the message")
    counts = [
        f"{len(page.jobs)}{' or more' if page.next_cursor else ''} {said}"
        for page, said in zip(pages, OPEN.values(), strict=True)
        if page.jobs
    ]
    todo = ""
    if held := pages[2].jobs:
        todo = f"`falkit approve {held[0].job_id}` shows it and asks you; `falkit jobs` has all"
    if pages[3].jobs:
        todo = "`falkit jobs --state unconfirmed`: they may have been charged"
    words = ", ".join(counts) or "nothing unfinished"
    return Finding("journal", words, todo, waits=not pages[3].jobs)


async def _budget(rooms: OpenRooms) -> Finding:
    try:
        told = await rooms.jobs.spending(SpendingQuery())
    except ActionableError:
        return Finding("budget", "not known without the journal", "as for the journal")
    words = left_words(told)
    if "job" in told.limits:
        words.append(f"at most {money(told.limits['job'])} a job")
    if "approve_above" in told.limits:
        words.append(f"you are asked about a job above {money(told.limits['approve_above'])}")
    spent = [name for name, amount in told.left.items() if amount <= 0]
    todo = ""
    if spent:
        todo = (
            f"nothing more runs for this {' and '.join(spent)}: wait for the next, or raise the "
            "limit in its setting; `falkit jobs --state held` shows what sets money aside"
        )
    return Finding("budget", "; ".join(words) or "no limit", todo)


async def _reach(settings: Settings) -> Finding:
    """Ask fal for one model with the key: the cheapest read that needs one."""
    import httpx

    assert settings.key is not None  # noqa: S101  # a cloud backend has one
    headers = {"authorization": f"Key {settings.key.get_secret_value()}"}
    url = f"{settings.hosts.api}/models?limit=1"
    try:
        async with httpx.AsyncClient(timeout=ASKED_WITHIN) as http:
            status = (await http.get(url, headers=headers)).status_code
    except httpx.HTTPError as problem:
        name = type(problem).__name__
        todo = "check the network, or FALKIT_API_URL if you set it"
        return Finding("reach", f"{settings.hosts.api} does not answer ({name})", todo)
    if status in (401, 403):
        return Finding("reach", f"fal refuses the key ({status})", "make a new key on fal's site")
    todo = "" if status < 400 else "try again later; status.fal.ai may say more"
    return Finding("reach", f"{settings.hosts.api} answers {status}", todo)


def _served(home: Path) -> Iterator[Finding]:
    """Yield what the hosts that came declared, the last one first."""
    for number, host in enumerate(introduced_in(home)):
        can = ", ".join(host.declared) or "nothing more"
        at = f"{datetime.fromisoformat(host.seen).astimezone():%Y-%m-%d %H:%M}"
        words = f"{host.name} {host.version}, MCP {host.protocol}, declared {can}; {at}"
        asks = "" if "elicitation" in host.declared else " (asks nobody: `falkit approve JOB` does)"
        yield Finding("last host" if number == 0 else "before", words + asks)


def _hosts(person: Path) -> Iterator[Finding]:
    for host in HOSTS.values():
        path = host.file(person)
        if not path.exists():
            continue
        try:
            entry = entry_of(host, path)
        except ActionableError as problem:
            yield Finding(host.name, problem.message, problem.hint or "correct the file")
            continue
        command = str(entry.get("command", ""))
        if not entry:
            yield Finding(host.name, f"does not have falkit (`falkit install {host.name}`)")
        elif shutil.which(command) is None:
            todo = f"`falkit install {host.name}` writes the right one"
            yield Finding(host.name, f"starts {command!r}, which is not there", todo)
        else:
            yield Finding(host.name, f"starts falkit ({path})", places=(str(path),))
