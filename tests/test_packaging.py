"""What is shipped: one roof in the wheel, and a server that starts from it anywhere."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.raw import speak

CHECKOUT = Path(__file__).parent.parent
ROOMS = ("catalog", "prompts", "server", "tools")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, CHECKOUT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_one_roof_and_every_room_file_under_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"falkit"}
    shipped = {name.removeprefix("falkit/") for name in names if name.startswith("falkit/")}
    ours = {
        file.relative_to(CHECKOUT).as_posix()
        for room in ROOMS
        for file in (CHECKOUT / room).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
    }
    assert shipped == ours | {"__init__.py", "__main__.py"}
    assert any(name.startswith("catalog/snapshot/") for name in shipped)
    assert any(name.startswith("prompts/") and name.endswith(".md") for name in shipped)


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        said = message_from_bytes(archive.read(metadata))
        entries = archive.read(metadata.replace("METADATA", "entry_points.txt")).decode()
        assert metadata.replace("METADATA", "licenses/LICENSE") in archive.namelist()
    assert said["Name"] == "falkit"
    assert said["License-Expression"] == "Apache-2.0"
    assert said["Requires-Python"] == ">=3.11"
    assert str(said.get_payload()).startswith("# falkit")
    assert entries.split("\n", 1)[1].strip() == "falkit = falkit.__main__:main"


def test_an_installed_wheel_serves_from_a_folder_with_rooms_of_its_own(
    wheel: Path, tmp_path: Path
) -> None:
    place = tmp_path / "venv"
    venv.create(place, symlinks=True)
    ours = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", place, "install", "--quiet", "--no-deps"),
            *("--no-index", "--disable-pip-version-check", "--no-compile", wheel),
        ],
        timeout=60,
        check=True,
    )
    # What falkit stands on comes from here, except falkit itself: a folder that is only named in a
    # `.pth` brings no `.pth` of its own into force, so the checkout stays out of reach.
    (ours / "below.pth").write_text(sysconfig.get_path("purelib") + "\n")
    hostile = tmp_path / "hostile"
    for stranger in ("tools", "server", "catalog"):
        (hostile / stranger).mkdir(parents=True)
        (hostile / stranger / "__init__.py").write_text("raise SystemExit('a stranger')\n")
    where = subprocess.run(
        [place / "bin" / "python", "-P", "-c", "import falkit; print(falkit.__file__)"],
        cwd=hostile,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(place)

    spoken = speak([place / "bin" / "falkit", "serve"], ("tools/list", {}), cwd=hostile)

    assert spoken.results[0]["serverInfo"]["name"] == "falkit"
    assert spoken.results[1]["tools"][0]["name"] == "search_models"
    assert (spoken.code, spoken.errors) == (0, "")
