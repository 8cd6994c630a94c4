"""As in the container: another user, without a home, nothing can be written but temporary files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from server.conftest import DOCUMENTS

from s3_retriever import Client, ReadOnlyError, S3Retriever
from s3_retriever.cli.main import _parser
from s3_retriever.encode import Artifact

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
TOKEN = "a token for this test"  # noqa: S105

# In a mount namespace of its own nothing can be written, and the interpreter can be reached, which may lie in
# a folder that is closed to others. $1 is that folder or empty, $2 the interpreter's.
LOCKED = """
set -e
if [ -n "$1" ]; then
    mount --rbind "$2" /mnt
    mount -t tmpfs -o mode=755 none "$1"
    mkdir -p "$2"
    mount --rbind /mnt "$2"
fi
for place in / /tmp /dev/shm /var/tmp "$1" "$3"; do
    [ -n "$place" ] && mountpoint -q "$place" && mount -o remount,bind,ro "$place"
done
mount -t tmpfs -o mode=1777 none /dev/shm  # stands for --tmpfs /tmp
shift 3
exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all \\
    --no-new-privs "$@"
"""


def namespaces() -> bool:
    if os.name == "nt" or os.geteuid() or not all(map(shutil.which, ("unshare", "setpriv", "mountpoint"))):
        return False
    return subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0  # noqa: S607


def closed(path: Path) -> str:
    """Return the first folder on the way to a path that others may not enter."""
    return next((str(one) for one in [*reversed(path.parents), path] if not one.stat().st_mode & 1), "")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others may enter; those of pytest are closed to them."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.mark.slow  # all kernels are compiled
@pytest.mark.skipif(not namespaces(), reason="needs root and mount namespaces")
def test_it_serves_where_nothing_can_be_written(
    open_folder: Path, tiny_folder: Path, tiny_artifact: Artifact
) -> None:
    index, host = open_folder / "index", open_folder / "host"
    shutil.copytree(tiny_folder, host)
    made = S3Retriever.from_documents(DOCUMENTS, host=str(host), artifact=tiny_artifact)
    made.save(index)
    subprocess.run(["chmod", "-R", "a+rX,a-w", str(open_folder)], check=True)  # noqa: S603, S607
    base = Path(sys.base_prefix)
    command = ["unshare", "--mount", "sh", "-c", LOCKED, "sh", closed(base), str(base), str(open_folder)]
    command += [
        "env",
        "-i",
        f"S3_RETRIEVER_TOKEN={TOKEN}",
        "HF_HUB_OFFLINE=1",
        f"PYTHONPATH={ROOT}",
        "TMPDIR=/dev/shm",
    ]
    command += [sys.executable, "-m", "s3_retriever", *served_by_default(str(index))]
    command += ["--port", "0", "--host", str(host)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd="/") as process:  # noqa: S603
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "for reading only" in line:
                break
        assert "for reading only" in lines[-1], "".join(lines)
        try:
            port = re.search(r":(\d+)\s*$", lines[-1])
            assert port is not None
            client = Client(f"http://127.0.0.1:{port[1]}", token=TOKEN)
            question = "Where is the oil?"
            assert client.retrieve(question) == S3Retriever.load(index, host=str(tiny_folder)).retrieve(
                question
            )
            with pytest.raises(ReadOnlyError):
                client.add(["x"])
        finally:
            process.terminate()
        assert process.wait(60) == 0


def served_by_default(index: str) -> list[str]:
    """Return the arguments that the image gives the command, for another folder."""
    (command,) = re.findall(r"^CMD \[(.*)\]$", DOCKERFILE, re.MULTILINE)
    return [index if one == "/index" else one for one in re.findall(r'"([^"]+)"', command)]


def test_the_image_is_built_of_what_is_here() -> None:
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
    assert re.search(r"^USER 65532:65532$", DOCKERFILE, re.MULTILINE)
    arguments = _parser().parse_args(served_by_default("my-index"))
    assert arguments.read_only
    assert arguments.bind == "0.0.0.0"  # noqa: S104
