"""Files beside an app's source: falkit sends those of the confirmed copy, and no others."""

from hashlib import sha256
from pathlib import Path

import pytest

from server.deploy.cloud.failures import CloudError
from server.deploy.cloud.files import PART_BYTES
from tests.cloud_ends import SOURCE, fal_at

pytestmark = pytest.mark.proof


def taking(*paths: str, more: str = "") -> str:
    """Return the app that takes files along."""
    lines = f"    app_files = {list(paths)!r}\n{more}"
    return SOURCE.replace("    max_concurrency", f"{lines}    max_concurrency")


async def test_files_are_there_before_the_build_and_once_only(tmp_path: Path) -> None:
    large = bytes(range(256)) * (PART_BYTES // 256) + b"and a little more"
    async with fal_at(tmp_path) as fal:
        release = fal.release(taking("words.txt", "data"))
        (release.folder / "data" / "deep").mkdir(parents=True)
        contents = {"words.txt": b"hello", "data/large.bin": large, "data/deep/empty": b""}
        for name, content in contents.items():
            (release.folder / name).write_bytes(content)
        (release.folder / "not-taken.txt").write_text("stays here", "utf-8")

        await fal.target.release(release, fal.tell)

        assert any(words.startswith("sending 3 files (10.5 MB)") for words in fal.told)
        sent = fal.request("RegisterApplication")["files"]
        assert {file["relative_path"] for file in sent} == contents.keys()
        assert {file["hash"] for file in sent} == fal.shelf.files.keys()
        assert sorted(fal.shelf.files.values()) == sorted(contents.values())
        mode = str((release.folder / "words.txt").stat().st_mode).encode()
        assert sha256(b"hello" + mode).hexdigest() in fal.shelf.files

        fal.shelf.parts.clear()
        (release.folder / "words.txt").write_bytes(b"changed")
        again = fal.release(taking("words.txt", "data"), plan="plan-2222222222")
        await fal.target.release(again, fal.tell)
        assert list(fal.shelf.parts.values()) == [[b"changed"]]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param(taking("missing.txt"), "'missing.txt' is no part of the source", id="missing"),
        pytest.param(
            taking("passwd", more='    app_files_context_dir = "/etc"\n'),
            "file 'passwd' is not of the confirmed source",
            id="of the machine",
        ),
    ],
)
async def test_other_files_do_not_leave_the_machine(
    tmp_path: Path, source: str, words: str
) -> None:
    async with fal_at(tmp_path) as fal:
        with pytest.raises(CloudError) as refused:
            await fal.target.release(fal.release(source), fal.tell)

        assert words in str(refused.value)
        assert fal.shelf.parts == {}
        assert fal.names() == []


async def test_files_that_fal_does_not_take_stop_the_deploy(tmp_path: Path) -> None:
    async with fal_at(tmp_path) as fal:
        release = fal.release(taking("words.txt"))
        (release.folder / "words.txt").write_bytes(b"hello")

        async def tell(share: float, words: str) -> None:
            fal.shelf.down = True

        with pytest.raises(CloudError) as refused:
            await fal.target.release(release, tell)

        assert refused.value.error_type == "files_not_sent"
        assert "its files could not be sent" in str(refused.value)
        assert fal.names() == []
