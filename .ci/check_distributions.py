"""Check that wheels and sdists hold every file of their packages, and say what they must about themselves."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

PROJECTS = {
    "s3_retriever": Path("s3_retriever"),
    "llama_index_retrievers_s3": Path("integrations/llama_index/llama_index"),
    "langchain_s3_retriever": Path("integrations/langchain/langchain_s3_retriever"),
}


def tracked(package: Path) -> set[str]:
    """Return the package's files by their path in the distribution."""
    command = ["git", "ls-files", "-z", package.name]
    listed = subprocess.run(command, cwd=package.parent, check=True, capture_output=True, text=True)  # noqa: S603
    return set(listed.stdout.split("\0")) - {""}


def read_wheel(path: Path) -> tuple[set[str], Message]:
    """Return the names and the metadata of a wheel."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        return names, email.message_from_bytes(archive.read(metadata))


def read_sdist(path: Path) -> tuple[set[str], Message]:
    """Return the names, without the folder that holds all, and the metadata of an sdist."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        metadata = archive.extractfile(f"{path.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert metadata is not None  # noqa: S101 - it is a file, not a link
        return names, email.message_from_bytes(metadata.read())


def is_licence(name: str) -> bool:
    """Tell whether a wheel or an sdist keeps the licence under this name."""
    return name == "LICENSE" or name.endswith(".dist-info/licenses/LICENSE")


def problems(root: Path, dist: Path) -> list[str]:
    """Return what is wrong, one line each."""
    found = []
    for project, package in PROJECTS.items():
        expected = tracked(root / package)
        (wheel,) = dist.glob(f"{project}-*.whl")
        (sdist,) = dist.glob(f"{project}-*.tar.gz")
        for path, (names, metadata) in ((wheel, read_wheel(wheel)), (sdist, read_sdist(sdist))):
            found += [f"{path.name} lacks {name}" for name in sorted(expected - names)]
            if not any(name.endswith("py.typed") for name in names):
                found.append(f"{path.name} has no py.typed, so its types would not be seen")
            if metadata["License-Expression"] != "Apache-2.0":
                found.append(f"{path.name} names no licence, or another: {metadata['License-Expression']}")
            if metadata.get_all("License-File") != ["LICENSE"] or not any(map(is_licence, names)):
                found.append(f"{path.name} does not hold the text of its licence")
            if not metadata["Requires-Python"] or not metadata.get_payload():
                found.append(f"{path.name} lacks Requires-Python or a description")
        beyond = {name for name in read_wheel(wheel)[0] if ".dist-info/" not in name} - expected
        found += [f"{wheel.name} has {name}, which is not part of the package" for name in sorted(beyond)]
    return found


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: check_distributions.py REPOSITORY FOLDER_OF_DISTRIBUTIONS")
    sys.exit("\n".join(problems(Path(sys.argv[1]), Path(sys.argv[2]))) or None)
