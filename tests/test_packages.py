"""What the three distributions promise; ``make package`` tests them as they are installed."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it there
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
INTEGRATIONS = ("llama_index", "langchain")

WITHOUT_FRAMEWORKS = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith(("llama_index", "langchain")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import s3_retriever
names = [found.name for found in pkgutil.walk_packages(s3_retriever.__path__, "s3_retriever.")]
for name in names:
    if not name.endswith(".__main__"):
        importlib.import_module(name)
print(len(names))
"""


def read(folder: Path) -> dict[str, Any]:
    with (folder / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


@pytest.mark.slow  # test_architecture.py reads the same from the source
def test_the_core_needs_no_framework() -> None:
    command = [sys.executable, "-c", WITHOUT_FRAMEWORKS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
    core = read(ROOT)["project"]
    assert not [one for one in core["dependencies"] if one.startswith(("llama", "langchain"))]


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_integrations_ask_for_ranges(name: str) -> None:
    project = read(ROOT / "integrations" / name)["project"]
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+(,<[\d.]+)?", one) for one in project["dependencies"])
    (framework,) = (one for one in project["dependencies"] if re.match(r"(llama-index|langchain)-core", one))
    assert ",<" in framework  # the frameworks break their interfaces between such versions
    assert any(one.startswith("s3-retriever>=") for one in project["dependencies"])


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_integrations_are_published_like_the_core(name: str) -> None:
    core, project = read(ROOT)["project"], read(ROOT / "integrations" / name)["project"]
    for key in ("version", "requires-python", "license", "license-files", "readme"):
        assert project[key] == core[key]
    (licence,) = core["license-files"]
    assert "Apache License" in (ROOT / licence).read_text(encoding="utf-8")
    assert (ROOT / "integrations" / name / licence).read_bytes() == (ROOT / licence).read_bytes()
    assert "Typing :: Typed" in project["classifiers"]
    package_data = read(ROOT / "integrations" / name)["tool"]["setuptools"]["package-data"]
    assert all("py.typed" in files for files in package_data.values())


def test_llamahub_finds_the_retriever() -> None:
    hub = read(ROOT / "integrations" / "llama_index")["tool"]["llamahub"]
    module = importlib.import_module(hub["import_path"])
    assert hub["class_authors"]
    assert set(hub["class_authors"]) <= set(module.__all__)
