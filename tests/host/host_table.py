"""What becomes of every family that transformers lists; run as a program, it writes the table."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import transformers
from packaging.version import Version
from tiny_families import LISTED, build
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from s3_retriever.errors import UnsupportedHostError
from s3_retriever.host import Host

TABLE = Path(__file__).parents[2] / "docs/hosts.md"
WRITTEN_WITH = Version("5.24.0")
BY_HAND, FAMILIES = "## With an older transformers", "## Families"
"""Headings in the table's page: what stands between them is written by hand."""

NOT_TOKENS = "does not read tokens"
DRAFTS = f"{NOT_TOKENS}: drafts from the hidden states of another model"
SOUND = f"{NOT_TOKENS}: reads codes of several codebooks"
NOT_BUILT = {
    "blt": f"{NOT_TOKENS}: attends to patches of several bytes",
    "dots3_note": "not built small here: its settings name layers by number; its text part is "
    "`dots3_note_text`",
    "gemma3n": "needs code from elsewhere (timm) for images; its text part is `gemma3n_text`",
    "gemma4_assistant": DRAFTS,
    "gemma4_unified_assistant": DRAFTS,
    "xlm-prophetnet": "predicts several tokens at once, with queries of its own for each",
    "musicgen": SOUND,
    "musicgen_melody": SOUND,
}
"""Families of which no small model is built, and why."""

NO_SOFTMAX = "no attention by softmax"
ENCODER = "an encoder: tokens see those that follow"
UNSEEN = {
    "cpmant": "puts tokens of its own before each text",
    "prophetnet": "predicts several tokens at once, with queries of its own for each",
    "reformer": "its queries are its keys, which are hashed",
    "xlnet": "attends to tokens in a permuted order",
}
"""Families that attend in another way than to the tokens before."""
MIXED = {
    "inkling2_loop_text": "its keys are sums over several tokens, by a convolution that is no module",
    "inkling2_text": "its keys are sums over several tokens, by a convolution that is no module",
    "jetmoe": "its queries come out of experts, a few of them for each token",
    "zaya": "its keys are sums over several tokens, by a convolution and a residual",
}
"""Families whose attention gets what no module gives."""


def outcome(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> tuple[Host | None, str]:
    """Load a model as a host; else return why it is none, a reason of this table or the error's words."""
    try:
        return Host.load((model, tokenizer)), ""
    except UnsupportedHostError as error:
        message = str(error)
    if "no attention by softmax" in message:
        return None, UNSEEN.get(name, NO_SOFTMAX)
    if "encoder-only" in message or "tokens see those that follow" in message:
        return None, ENCODER
    if "what its attention gets was not found" in message or "gets other keys in a sequence" in message:
        return None, MIXED.get(name, message)
    return None, message


def row(name: str, host: Host | None, reason: str) -> str:
    """Return a family's line of the table."""
    if host is None:
        return f"| `{name}` | no | {reason} |"
    kinds = []
    for layer in host.places.heads.values():
        text = f"queries {layer.queries}, keys {layer.keys}".replace(f"{layer.attention}.", "")
        kinds.append(re.sub(r"(^|\.)\d+(?=\.)", r"\1*", re.sub(r", turn \d+", ", each turn", text)))
    turns = any(part.turn for layer in host.places.heads.values() for part in layer.keys.parts)
    several = "several turns; " if turns else ""
    some = "" if len(host.attention_layers) == host.n_layers else "some layers; "
    return f"| `{name}` | yes | {some}{several}{' / '.join(dict.fromkeys(kinds))} |"


def rows() -> Mapping[str, str]:
    """Return the lines of the table as it is written, by family."""
    lines = TABLE.read_text(encoding="utf-8").partition(f"\n{FAMILIES}\n")[2].splitlines()
    return {line.split("`")[1]: line for line in lines if line.startswith("| `")}


def counts(lines: Mapping[str, str]) -> str:
    """Say how many families are supported, of those that attend by softmax to the tokens before."""
    supported = sum("| yes |" in line for line in lines.values())
    others = sum(any(sign in line for sign in (NO_SOFTMAX, ENCODER, NOT_TOKENS)) for line in lines.values())
    among = len(lines) - others
    return (
        f"Of {len(lines)} families, {others} have no attention by softmax, are encoders or do not read "
        f"tokens. Of the other {among}, {supported} are supported ({100 * supported / among:.0f} %)."
    )


def outcomes() -> dict[str, str]:
    """Return the lines of the table with the version of transformers that is installed."""
    from conftest import make_tokenizer

    transformers.logging.set_verbosity_error()
    tokenizer = make_tokenizer()
    lines = {}
    for name in sorted(LISTED):
        try:
            model = None if name in NOT_BUILT else build(name)
        except Exception:
            if Version(transformers.__version__) >= WRITTEN_WITH:
                raise
            lines[name] = row(name, None, "not built small here: this version wants other settings")
            continue
        if model is None:
            lines[name] = row(name, None, NOT_BUILT[name])
        else:
            lines[name] = row(name, *outcome(name, model, tokenizer))
        sys.stderr.write(f"{lines[name]}\n")
    return lines


def main() -> None:
    """Write the table; with an older version of transformers, say only what becomes of its families."""
    lines = outcomes()
    if Version(transformers.__version__) < WRITTEN_WITH:
        sys.stdout.write(f"transformers {transformers.__version__}: {counts(lines)}\n")
        return
    by_hand = TABLE.read_text(encoding="utf-8").partition(BY_HAND)[2].partition(f"\n{FAMILIES}\n")[0]
    TABLE.write_text(
        f"""# Families of hosts

Every family that `AutoModelForCausalLM` of transformers {transformers.__version__} lists, each loaded as a
small random model. What is read was found by running it, and is equal to what its attention gets.
{counts(lines)}
`python tests/host/host_table.py` writes this page; a test compares it.

{BY_HAND}{by_hand}
{FAMILIES}

`q_norm(q_proj)` is the output of a projection after its norm; `a[8] + b[4]` is 8 channels of one projection
and 4 of another; paths are from the attention.

| family | a host | what is read, as heads x width, or why not |
| --- | --- | --- |
"""
        + "".join(f"{line}\n" for line in lines.values()),
        encoding="utf-8",
    )


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    main()
