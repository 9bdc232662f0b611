"""Which files may be read and which folders written to."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from server.media.roots import Roots
from server.settings import Settings
from tests.made_media import picture
from tools.errors import MediaError, OutOfBoundsError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine in a folder: a person, a project, a home of falkit, a temporary folder."""
    base = tmp_path.resolve()
    for name in ("person/Downloads", "person/project", "tmp", "elsewhere"):
        (base / name).mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(base / "tmp"))
    return base


def settings(place: Path, **more: str) -> Settings:
    return Settings.read({"FALKIT_HOME": str(place / "person" / "state"), **more})


def roots(place: Path, working: Path | None = None, **more: str) -> Roots:
    person = place / "person"
    return Roots(settings(place, **more), working or person / "project", person=person)


def test_by_default_the_working_media_temporary_and_own_folders_are_allowed(place: Path) -> None:
    person = place / "person"
    assert roots(place).allowed == (
        person / "project",
        person / "state" / "media",
        place / "tmp",
        *(person / name for name in ("Downloads", "Desktop", "Pictures", "Movies", "Videos")),
    )


@pytest.mark.parametrize("working", ["/", "/usr/lib", "/etc", "/home", "/proc", "person", "."])
def test_a_working_folder_that_says_nothing_is_not_allowed(place: Path, working: str) -> None:
    """Hosts start servers in the root, the home, or a system folder."""
    found = roots(place, (place / working).resolve())
    assert found.first == place / "person" / "state" / "media"
    with pytest.raises(OutOfBoundsError):
        found.check("/etc/hostname")
    with pytest.raises(OutOfBoundsError):
        found.check(place / "person" / "secret.png")


def test_a_setting_names_the_folders_and_the_media_folder_stays(place: Path) -> None:
    allowed = f"{place / 'elsewhere'}{os.pathsep}{place / 'person' / 'Downloads'}"
    found = roots(place, FALKIT_ROOTS=allowed)
    assert found.allowed == (
        place / "elsewhere",
        place / "person" / "Downloads",
        place / "person" / "state" / "media",
    )
    with pytest.raises(OutOfBoundsError):
        found.check(picture(place / "tmp" / "a.png"))


def test_relative_paths_are_taken_from_the_first_folder(place: Path) -> None:
    path = picture(place / "person" / "project" / "ein Bild mit Ü.png")
    assert roots(place).check("ein Bild mit Ü.png") == path
    assert roots(place).check("./x/../ein Bild mit Ü.png") == path


def test_a_tilde_is_the_home(place: Path) -> None:
    path = picture(place / "person" / "Downloads" / "a.png")
    assert roots(place).check("~/Downloads/a.png") == path
    with pytest.raises(MediaError, match="names no known home"):
        roots(place).check("~nobody-of-that-name/a.png")


@pytest.mark.parametrize(
    "uri",
    [
        "file://{}/ein%20Bild%20%C3%BC.png",
        "file://localhost{}/ein%20Bild%20%c3%bc.png",
        "file:{}/ein Bild ü.png",
        "FILE://{}/ein Bild%20ü.png",
        "file://{}/./ein%20Bild%20%C3%BC.png",
    ],
)
def test_file_uris_are_decoded(place: Path, uri: str) -> None:
    path = picture(place / "person" / "project" / "ein Bild ü.png")
    assert roots(place).check(uri.format(path.parent)) == path


def test_a_percent_sign_in_a_plain_path_is_a_percent_sign(place: Path) -> None:
    path = picture(place / "person" / "project" / "100%20.png")
    assert roots(place).check(str(path)) == path
    assert roots(place).check(f"file://{path.parent}/100%2520.png") == path


@pytest.mark.parametrize("form", ["file:///C:/Users/a.png", "file://C:/Users/a.png", "C:\\a.png"])
@pytest.mark.skipif(os.name == "nt", reason="there these are paths")
def test_windows_paths_are_told_apart_elsewhere(place: Path, form: str) -> None:
    with pytest.raises(MediaError, match="is a Windows path"):
        roots(place).check(form)


@pytest.mark.skipif(os.name == "nt", reason="there it is a share")
def test_a_file_on_another_machine_is_refused(place: Path) -> None:
    with pytest.raises(MediaError, match=r"on another machine \('server'\)"):
        roots(place).check("file://server/share/a.png")


def test_a_path_outside_names_the_allowed_folders_and_the_setting(place: Path) -> None:
    path = picture(place / "elsewhere" / "a.png")
    with pytest.raises(OutOfBoundsError) as refused:
        roots(place).check(str(path))
    assert str(refused.value) == (
        f"'{path}' lies outside the allowed folders: ~/project, ~/state/media, {place / 'tmp'}, "
        "~/Downloads and 4 more (move it into one of them, or add its folder to FALKIT_ROOTS)"
    )


def test_outside_it_is_not_told_whether_a_file_exists(place: Path) -> None:
    picture(place / "elsewhere" / "a.png")
    told: list[str] = []
    for name in ("a.png", "b.png"):
        with pytest.raises(OutOfBoundsError) as refused:
            roots(place).check(place / "elsewhere" / name)
        told.append(refused.value.message.replace(name, "?"))
    assert told[0] == told[1]


@pytest.mark.parametrize("escape", ["../../elsewhere/a.png", "inner/../../../elsewhere/a.png"])
def test_dots_do_not_lead_out(place: Path, escape: str) -> None:
    picture(place / "elsewhere" / "a.png")
    with pytest.raises(OutOfBoundsError):
        roots(place).check(escape)


def test_links_do_not_lead_out(place: Path) -> None:
    picture(place / "elsewhere" / "a.png")
    project = place / "person" / "project"
    (project / "link.png").symlink_to(place / "elsewhere" / "a.png")
    (project / "folder").symlink_to(place / "elsewhere")
    for name in ("link.png", "folder/a.png", "folder/../elsewhere/a.png"):
        with pytest.raises(OutOfBoundsError):
            roots(place).check(name)


def test_a_link_that_stays_inside_is_followed(place: Path) -> None:
    path = picture(place / "person" / "project" / "a.png")
    path.with_name("link.png").symlink_to(path)
    assert roots(place).check("link.png") == path


def test_a_root_that_is_a_link_is_its_target(place: Path) -> None:
    path = picture(place / "elsewhere" / "a.png")
    (place / "way").symlink_to(place / "elsewhere")
    assert roots(place, FALKIT_ROOTS=str(place / "way")).check(place / "way" / "a.png") == path


def test_the_home_of_falkit_is_closed_even_inside_a_root(place: Path) -> None:
    state = place / "person" / "state"
    for name in ("journal.db", "emulator/files/a.png", "media/ok.png", "inline/ok.png"):
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        picture(state / "x.png").rename(state / name)
    found = roots(place, FALKIT_ROOTS=str(place / "person"))
    for name in ("journal.db", "emulator/files/a.png", "media/../journal.db"):
        with pytest.raises(OutOfBoundsError, match="falkit's own home"):
            found.check(state / name)
    (place / "person" / "link.png").symlink_to(state / "journal.db")
    with pytest.raises(OutOfBoundsError, match="falkit's own home"):
        found.check("link.png")
    assert found.check(state / "media" / "ok.png")
    assert found.check(state / "inline" / "ok.png")


def test_a_media_folder_that_is_the_home_does_not_open_it(place: Path) -> None:
    state = place / "person" / "state"
    state.mkdir()
    (state / "journal.db").write_text("x")
    with pytest.raises(OutOfBoundsError):
        roots(place, FALKIT_MEDIA=str(state)).check(state / "journal.db")


@pytest.mark.parametrize("given", ["", "a\x00b.png", "\ud800.png"])
def test_what_cannot_be_a_path_is_refused(place: Path, given: str) -> None:
    with pytest.raises(MediaError, match="is not a path"):
        roots(place).check(given)


@pytest.mark.parametrize("given", ["x" * 300 + ".png", "a/" * 3000, "ü" * 200])
def test_a_name_that_is_too_long_is_refused_and_cut_in_the_message(place: Path, given: str) -> None:
    with pytest.raises(MediaError, match="is too long for a path") as refused:
        roots(place).check(given)
    assert len(str(refused.value)) < 400


def test_folders_pipes_sockets_and_devices_are_no_files(place: Path) -> None:
    project = place / "person" / "project"
    (project / "folder.png").mkdir()
    os.mkfifo(project / "pipe.png")
    with pytest.raises(MediaError, match=r"'folder.png' is a folder"):
        roots(place).check("folder.png")
    with pytest.raises(MediaError, match="a device or a pipe"):
        roots(place).check("pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(project / "s.png"))
        with pytest.raises(MediaError, match="a device or a pipe"):
            roots(place).check("s.png")
    with pytest.raises(MediaError, match="a device or a pipe"):
        roots(place, FALKIT_ROOTS="/dev").check("/dev/zero")


def test_a_missing_file_names_the_nearest(place: Path) -> None:
    picture(place / "person" / "project" / "holiday.png")
    with pytest.raises(MediaError, match=r"no file 'holidays.png' \(nearest: holiday.png\)"):
        roots(place).check("holidays.png")
    with pytest.raises(MediaError, match=r"no file 'x/y.png' \(folder ~/project/x is missing\)"):
        roots(place).check("x/y.png")
    with pytest.raises(MediaError, match="no file"):
        roots(place).check("holiday.png/inner.png")


def test_umlauts_and_narrow_blanks_are_found_however_they_are_stored(place: Path) -> None:
    project = place / "person" / "project"
    stored = picture(project / "u\u0308ber.png")
    assert roots(place).check("\u00fcber.png") == stored
    shot = picture(project / "Bild um 3.00\u202fPM.png")
    assert roots(place).check("Bild um 3.00 PM.png") == shot


def test_a_link_that_leads_to_itself_is_refused(place: Path) -> None:
    loop = place / "person" / "project" / "loop.png"
    loop.symlink_to(loop)
    with pytest.raises(MediaError):
        roots(place).check("loop.png")


@pytest.mark.parametrize("pattern", ["*/../../../../etc/pass*", "p*/**/*.png", "**/../*.png"])
def test_a_pattern_that_leads_upward_or_everywhere_is_refused_unwalked(
    place: Path, pattern: str
) -> None:
    with pytest.raises(MediaError, match="leads upward"):
        roots(place).matching(pattern)


def test_a_pattern_gives_its_files_sorted_and_stays_in_bounds(place: Path) -> None:
    project = place / "person" / "project"
    for name in ("b.png", "a.png", "c.jpg"):
        picture(project / name)
    (project / "folder.png").mkdir()
    assert roots(place).matching("*.png") == [project / "a.png", project / "b.png"]
    with pytest.raises(OutOfBoundsError):
        roots(place).matching("/etc/*.conf")
    with pytest.raises(OutOfBoundsError):
        roots(place).matching("../../*/*.png")
    with pytest.raises(MediaError, match="matches no file"):
        roots(place).matching("*.webp")


def test_a_folder_to_save_to_lies_in_bounds_and_is_not_made(place: Path) -> None:
    found = roots(place)
    assert found.folder("out/new") == place / "person" / "project" / "out" / "new"
    assert found.folder("~/Desktop") == place / "person" / "Desktop"
    assert not (place / "person" / "project" / "out").exists()
    for outside in ("/etc", "../../elsewhere", str(place / "person" / "state" / "emulator")):
        with pytest.raises(OutOfBoundsError):
            found.folder(outside)


def test_a_file_in_the_place_of_a_folder_is_refused(place: Path) -> None:
    (place / "person" / "project" / "taken").write_text("x")
    for name in ("taken", "taken/inner"):
        with pytest.raises(MediaError, match="is a file"):
            roots(place).folder(name)


def test_a_folder_behind_a_link_that_leads_out_is_refused(place: Path) -> None:
    (place / "person" / "project" / "out").symlink_to(place / "elsewhere")
    with pytest.raises(OutOfBoundsError):
        roots(place).folder("out/new")


def test_a_dot_is_the_working_folder_and_nothing_is_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    roots = Roots(Settings.read({"FALKIT_HOME": str(tmp_path)}))
    assert roots.named(".") == roots.named("./") == tmp_path
    with pytest.raises(MediaError, match="is not a path"):
        roots.named("")
