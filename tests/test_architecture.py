"""Who may import whom, read from the source; what an import loads, asked of a fresh interpreter."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import s3_retriever

PACKAGE = "s3_retriever"
FOLDER = Path(s3_retriever.__file__).parent
INTEGRATIONS = ("llama_index.retrievers.s3", "langchain_s3_retriever")

# A room is a folder of the package, or a module beside the folders. Of each: the rooms that it may import.
# A new room needs a line here.
BOTTOM = {
    "checks",
    "compiled",
    "disk",
    "documents",
    "durable",
    "errors",
    "json_form",
    "locks",
    "memory",
    "names",
    "notebook",
    "shown",
    "terminal",
    "workplace",
}
RUN_TIME = BOTTOM | {
    "host",
    "encode",
    "structure",
    "index",
    "search",
    "config",
    "indexing",
    "saved",
    "asking",
    "store",
    "cluster",
    "opening",
    "retriever",
}
MAY_IMPORT = {
    "errors": set(),
    "memory": set(),
    "names": set(),
    "notebook": {"shown"},
    "shown": set(),
    "terminal": set(),
    "compiled": set(),
    "locks": {"errors"},
    "json_form": set(),
    "checks": {"errors"},
    "documents": {"checks", "disk", "errors", "names", "notebook"},
    "durable": {"errors"},
    "workplace": {"durable"},
    "disk": {"durable", "errors", "workplace"},
    "host": BOTTOM,
    "encode": BOTTOM | {"host"},
    "structure": BOTTOM,
    "index": BOTTOM | {"structure"},
    "search": BOTTOM | {"index", "structure"},
    "config": BOTTOM | {"host", "search"},
    "saved": BOTTOM | {"config", "encode", "index"},
    "indexing": BOTTOM | {"host", "encode", "index"},
    "asking": BOTTOM | {"host", "encode", "index", "search"},
    "store": BOTTOM | {"config", "encode", "index", "saved"},
    "cluster": RUN_TIME - {"retriever", "opening"} | {"sources"},
    "opening": RUN_TIME - {"retriever", "opening"},
    "retriever": RUN_TIME - {"retriever"},
    "wire": BOTTOM | {"index", "search"},
    "client": BOTTOM | {"index", "search", "wire"},
    "syncing": RUN_TIME | {"sources"},
    "": RUN_TIME | {"client", "sources", "syncing"},  # s3_retriever/__init__.py
    "integration": RUN_TIME,
    "sources": BOTTOM,
    "training": BOTTOM | {"sources", "host", "encode", "structure", "index", "search"},
    "evaluation": RUN_TIME | {"sources", "training", "client", ""},
    "analysis": RUN_TIME | {"sources", "training", ""},
    "server": RUN_TIME | {"wire", ""},
    "cli": RUN_TIME
    | {"sources", "syncing", "training", "evaluation", "analysis", "wire", "server", "cluster", ""},
    "__main__": {"cli"},
}
# Under TYPE_CHECKING the same holds, except for the types of what is handed in.
MAY_NAME = {"search": {"encode"}, "notebook": {"documents", "search"}, "shown": {"documents"}}
# Of libraries, and of those whose names begin so: the rooms, or modules in them, that may import them.
USERS = {
    "torch": ("host", "encode.question", "training", "evaluation", "analysis"),
    "transformers": ("host", "evaluation"),
    "ray": (
        "cluster",
        "opening",
        "server.on_ray",
        "cli.cluster",
        "cli.serve",
        "evaluation.benchmark.cluster",
    ),
    "pyarrow": ("cluster",),
    "llama_index": (),
    "langchain": (),
    "starlette": ("server", "cli.serve"),
    "uvicorn": ("server",),
    "prometheus_client": ("server",),
    "mcp": ("server",),
    "httpx": ("client",),
}
LOADS_NEITHER = (PACKAGE, "s3_retriever.index", "s3_retriever.search", "s3_retriever.cli")
PARTS = {"KeyCodec", "LexicalIndex", "Segment", "Snapshot"}
PUBLIC_UNDERSCORES = {"_asdict", "_replace", "_fields"}  # of a NamedTuple
# Of transformers and torch: no public names exist.
NOT_OURS = {"_attn_implementation", "_linear_pointwise", "_reorder_linear_weight"}


@dataclass(frozen=True)
class Import:
    """An import of a module, or of a name in it, and when it runs: "at once", "in a function", "never"."""

    source: str
    target: str
    name: str | None
    runs: str


@cache
def sources(package: str) -> dict[str, Path]:
    """Return the modules of a package, by their dotted names."""
    found = importlib.util.find_spec(package)
    assert found is not None and found.submodule_search_locations is not None
    (folder,) = map(Path, found.submodule_search_locations)
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        modules[".".join((package, *parts)).removesuffix(".__init__")] = path
    return modules


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def walk(node: ast.AST, runs: str = "at once") -> Iterator[tuple[ast.AST, str]]:
    """Yield every node, and when it runs: never under TYPE_CHECKING."""
    yield node, runs
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        runs = "never"
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        runs = "in a function"
    for child in ast.iter_child_nodes(node):
        yield from walk(child, runs)


@cache
def imports(package: str) -> tuple[Import, ...]:
    """Return every import of a package's modules."""
    found = []
    modules = sources(package)
    for source, path in modules.items():
        for node, runs in walk(tree(path)):
            if isinstance(node, ast.Import):
                found += [Import(source, alias.name, None, runs) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level and node.module, f"{source} has a relative import, line {node.lineno}"
                for alias in node.names:
                    submodule = f"{node.module}.{alias.name}"
                    is_module = submodule in modules
                    target, name = (submodule, None) if is_module else (node.module, alias.name)
                    found.append(Import(source, target, name, runs))
    return tuple(found)


def room(module: str) -> str:
    """Return the room of a module of the core; that of ``s3_retriever/__init__.py`` is ""."""
    return module.removeprefix(PACKAGE).removeprefix(".").partition(".")[0]


def is_ours(module: str) -> bool:
    return module == PACKAGE or module.startswith(f"{PACKAGE}.")


def test_every_room_has_its_place() -> None:
    assert {room(module) for module in sources(PACKAGE)} | {"integration"} == set(MAY_IMPORT)


@pytest.mark.long
def test_imports_follow_the_directions() -> None:
    wrong = []
    for one in imports(PACKAGE):
        source, target = room(one.source), room(one.target)
        if is_ours(one.target) and source != target:
            allowed = MAY_IMPORT.get(source, set())
            if one.runs == "never":
                allowed = allowed | MAY_NAME.get(source, set())
            if target not in allowed:
                wrong.append(f"{one.source} imports {one.target}")
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_in_the_end() -> None:
    graph: dict[str, set[str]] = {}
    for one in imports(PACKAGE):
        if is_ours(one.target) and one.runs == "at once":
            graph.setdefault(one.source, set()).add(one.target)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def test_libraries_are_imported_where_they_belong() -> None:
    wrong = []
    for one in imports(PACKAGE):
        library = one.target.partition(".")[0]
        for name, users in USERS.items():
            if library == name or library.startswith(f"{name}_"):
                source = f"{one.source}.".removeprefix(f"{PACKAGE}.")
                if not source.startswith(tuple(f"{user}." for user in users)):
                    wrong.append(f"{one.source} imports {one.target}")
    assert not wrong, "\n".join(wrong)


def test_kernels_are_compiled_by_our_decorator() -> None:
    """Numba's own fails at import where no folder can be written."""
    wrong = [
        f"{module}, line {node.lineno}"
        for module, path in sources(PACKAGE).items()
        if room(module) != "compiled"
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Attribute) and ast.unparse(node) in ("numba.njit", "numba.jit"))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "numba"
            and {"jit", "njit"} & {alias.name for alias in node.names}
        )
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.long
def test_what_stays_light_loads_neither_torch_nor_transformers() -> None:
    code = "import importlib, sys\n"
    for module in LOADS_NEITHER:
        code += f"importlib.import_module({module!r})\n"
        code += f"print({module!r}, *({{'torch', 'transformers'}} & set(sys.modules)))\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.split() == list(LOADS_NEITHER)


@pytest.mark.parametrize("package", [PACKAGE, *INTEGRATIONS])
def test_no_private_name_of_the_core_is_imported(package: str) -> None:
    wrong = []
    for one in imports(package):
        parts = [*one.target.split("."), *([one.name] if one.name else [])]
        if is_ours(one.target) and one.source != one.target and any(map(is_private, parts)):
            wrong.append(f"{one.source} imports {'.'.join(parts)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.long
def test_private_attributes_are_used_where_they_are_defined() -> None:
    """And in evaluation and analysis, which measure the rest as its users see it, of ``self`` only."""
    wrong = []
    for module, path in sources(PACKAGE).items():
        known = PUBLIC_UNDERSCORES | NOT_OURS
        if room(module) not in ("evaluation", "analysis"):
            known |= defined(tree(path))
        wrong += [
            f"{module}, line {node.lineno}: {ast.unparse(node)}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in known
            if not is_own(node)
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.long
@pytest.mark.parametrize("package", INTEGRATIONS)
def test_integrations_use_no_private_attribute_of_the_core(package: str) -> None:
    own = set[str]().union(*(defined(tree(path)) for path in sources(package).values()))
    core = set[str]().union(*(defined(tree(path)) for path in sources(PACKAGE).values()))
    wrong = [
        f"{module}, line {node.lineno}: {ast.unparse(node)}"
        for module, path in sources(package).items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr in core - own
        if not is_own(node)
    ]
    assert not wrong, "\n".join(wrong)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def is_own(attribute: ast.Attribute) -> bool:
    return ast.unparse(attribute.value) in ("self", "cls", "super()")


def defined(module: ast.Module) -> set[str]:
    """Return the names that a module gives to functions, classes, variables and attributes of its own."""
    names = set()
    for node in ast.walk(module):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node):
            names.add(node.attr)
    return names


def test_nothing_above_the_run_time_overrides_a_private_method() -> None:
    wrong = []
    for module in sources(PACKAGE):
        if room(module) in ("training", "evaluation", "analysis", "cli") and not module.endswith("__main__"):
            for _, found in inspect.getmembers(importlib.import_module(module), inspect.isclass):
                wrong += [
                    f"{found.__qualname__}.{name} of {module} overrides that of {base.__module__}"
                    for base in found.__mro__[1:]
                    if found.__module__ == module and is_ours(base.__module__) and base.__module__ != module
                    for name in vars(found).keys() & vars(base).keys()
                    if is_private(name) and inspect.isfunction(vars(base)[name])
                ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", INTEGRATIONS)
def test_integrations_import_what_is_offered(package: str) -> None:
    offers = {
        module: set(importlib.import_module(module).__all__)
        for module in (PACKAGE, "s3_retriever.integration")
    }
    wrong = [
        f"{one.source} imports {one.name or 'all'} from {one.target}"
        for one in imports(package)
        if is_ours(one.target) and one.name not in offers.get(one.target, ())
    ]
    assert not wrong, "\n".join(wrong)


def takes(thing: type) -> set[str]:
    """Return the names in the annotations of what a class's constructor and public methods take."""
    methods = [
        value
        for name, value in inspect.getmembers(thing)
        if (inspect.isfunction(value) or inspect.ismethod(value)) and (name == "__init__" or name[0] != "_")
    ]
    return {
        name
        for method in methods
        for parameter in inspect.signature(method).parameters.values()
        for name in re.findall(r"\w+", str(parameter.annotation))
    }


def test_errors_are_reached_through_the_package() -> None:
    program = "import s3_retriever; print(s3_retriever.errors.StorageError.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stdout == "StorageError\n", done.stderr


@pytest.mark.long
def test_what_public_signatures_take_is_offered() -> None:
    public = {name: getattr(s3_retriever, name) for name in s3_retriever.__all__}
    # What the parts are made of in turn is offered by their folders.
    whole = [value for name, value in public.items() if inspect.isclass(value) and name not in PARTS]
    ours = {
        node.name
        for path in sources(PACKAGE).values()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and not is_private(node.name)
    } | {"Fuse", "Filter", "Mode", "ScoringName", "BM25Name"}
    assert {"Ranker", "Scoring", "Tap", "Segment"} <= set().union(*map(takes, whole))  # it finds them
    missing = {value.__name__: (takes(value) & ours) - public.keys() for value in whole}
    assert not {name: wanted for name, wanted in missing.items() if wanted}


def test_no_module_is_long() -> None:
    lengths = {module: len(path.read_bytes().splitlines()) for module, path in sources(PACKAGE).items()}
    assert not {module: lines for module, lines in lengths.items() if lines > 400}


def test_every_module_begins_with_a_sentence() -> None:
    first = {
        module: (ast.get_docstring(tree(path)) or "").partition("\n")[0]
        for module, path in sources(PACKAGE).items()
    }
    assert not {module: line for module, line in first.items() if not line.endswith(".")}


def test_commands_stand_in_their_folder_and_features_is_gone() -> None:
    rooms = {room(module) for module in sources(PACKAGE)}
    assert {one for one in rooms if one.startswith(("cli", "features"))} == {"cli", "client"}
    assert (FOLDER / "cli" / "main.py").is_file()
