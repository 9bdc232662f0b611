"""Where a folder really lies: on a disk of this machine, a network, or in a cloud's care."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")  # Linux; elsewhere only names tell
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|ncpfs|afs|ceph|lustre|beegfs|glusterfs|davfs\d?|9p|drvfs|"
    r"fuse\.(sshfs|rclone|s3fs|goofys|davfs\d?|gvfsd-fuse|glusterfs|cephfs|smbnetfs|.*drive.*)"
)
# Names that the clients give their folders, on Windows, macOS and Linux, as far as they are known;
# some add an account or a company.
_SYNCED = (
    (re.compile(r"dropbox( \(.*\))?", re.IGNORECASE), "Dropbox"),
    (re.compile(r"onedrive( ?- ?.*)?", re.IGNORECASE), "OneDrive"),
    (re.compile(r"mobile documents|icloud ?drive(~.*)?", re.IGNORECASE), "iCloud Drive"),
    (re.compile(r"google ?drive( ?-.*| \(.*\))?", re.IGNORECASE), "Google Drive"),
    (re.compile(r"cloudstorage", re.IGNORECASE), "a cloud"),  # macOS keeps all of them there
)


def unsafe_place(folder: Path, mounts: Path = MOUNTS) -> str:
    """Return in plain words why a database should not lie in *folder*; nothing where it may.

    SQLite's write-ahead log needs memory that processes share, which no network file system gives
    (sqlite.org/wal.html, read in autumn 2026), and a client that synchronises a folder copies a
    database in the midst of a write. *folder* need not exist; links are followed. Blocks.
    """
    real = folder.resolve()
    if str(real).startswith(("\\\\", "//")):
        return f"{str(folder)!r} lies on a network drive"
    for part in (*folder.parts, *real.parts):
        for pattern, name in _SYNCED:
            if pattern.fullmatch(part):
                return f"{str(folder)!r} is kept in step by {name}"
    kind = _file_system(real, mounts)
    if _NETWORK.fullmatch(kind):
        return f"{str(folder)!r} lies on a network drive ({kind})"
    return ""


def _file_system(real: Path, mounts: Path) -> str:
    """Return the type of the file system that holds *real*, nothing where it is not known."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    kind, depth = "", -1
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1]))
        # What is mounted later at the same place hides what was there.
        if len(point.parts) >= depth and real.is_relative_to(point):
            kind, depth = fields[2], len(point.parts)
    if depth == 1 and kind == "9p":
        return ""  # some containers have their own disk that way
    return kind
