"""A home on a network or in a synchronised folder is noticed and said once."""

import logging
from pathlib import Path

import pytest

from server.cli.doctor import place_of
from server.jobs.journal import open_journal
from server.volumes import unsafe_place

MOUNTS = r"""
/dev/sda1 / ext4 rw 0 0
server:/export /mnt/net nfs4 rw 0 0
//nas/share /mnt/My\040Share cifs rw 0 0
me@there: /home/me/there fuse.sshfs rw 0 0
tmpfs /mnt/net/local tmpfs rw 0 0
C:\134 /mnt/c 9p rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("/home/me/.falkit", ""),
        ("/mnt/network/falkit", ""),
        ("/mnt/net/falkit", "network drive (nfs4)"),
        ("/mnt/My Share/a/b", "network drive (cifs)"),
        ("/home/me/there", "network drive (fuse.sshfs)"),
        ("/mnt/net/local/falkit", ""),
        ("/mnt/c/Users/me/falkit", "network drive (9p)"),
        ("/home/me/Dropbox/falkit", "kept in step by Dropbox"),
        ("/home/me/Dropbox (Personal)/falkit", "kept in step by Dropbox"),
        ("/home/me/OneDrive - Contoso/falkit", "kept in step by OneDrive"),
        ("/Users/me/Library/Mobile Documents/x", "kept in step by iCloud Drive"),
        ("/Users/me/Library/CloudStorage/GoogleDrive-me@x.org/y", "kept in step by a cloud"),
        ("/home/me/Google Drive/falkit", "kept in step by Google Drive"),
        ("/home/me/my-dropbox-notes/falkit", ""),
    ],
)
def test_a_folder_that_is_not_of_this_machine_alone_is_named(
    tmp_path: Path, folder: str, said: str
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.lstrip())
    told = unsafe_place(Path(folder), mounts)

    assert said in told
    assert bool(told) == bool(said)


def test_a_link_into_a_synchronised_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "OneDrive").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "OneDrive", target_is_directory=True)

    assert "OneDrive" in unsafe_place(tmp_path / "home")
    assert unsafe_place(tmp_path / "home", tmp_path / "no mounts")
    assert not unsafe_place(tmp_path)


async def test_the_log_says_it_once_and_the_doctor_says_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "Dropbox" / "falkit"
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            async with open_journal(home / "journal.db"):
                pass
    (line,) = [record.getMessage() for record in caplog.records]
    (found,) = place_of(home)

    assert "is kept in step by Dropbox" in line
    assert "FALKIT_HOME" in line
    assert (found.name, "FALKIT_HOME" in found.todo) == ("place", True)
    assert not list(place_of(tmp_path))
