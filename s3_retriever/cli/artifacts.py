"""The commands that make artifacts and what goes into them: ``pairs``, ``calibrate``, ``train``, ``fit``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.cli.shared import (
    Command,
    OldName,
    common,
    count,
    required,
    say,
    say_written,
    settings,
    shows_progress,
)
from s3_retriever.disk import new_file
from s3_retriever.errors import InvalidInputError

if TYPE_CHECKING:
    from s3_retriever.documents import Document
    from s3_retriever.encode.artifact import Artifact
    from s3_retriever.encode.calibration import Calibration
    from s3_retriever.host.model import Host
    from s3_retriever.host.taps import Tap
    from s3_retriever.training.pairs import Pair
    from s3_retriever.training.sae_training import Epoch, TrainConfig

_HEADS = {
    "--heads L.H,L.H,...": "query heads as layer.head; chosen by a survey if omitted",
    "--max-layer N": "deepest layer to choose heads from (default: the first third of the layers)",
    "--taps N": "most key heads to choose (default: 5)",
    "--query-heads N": "most query heads to choose (default: 8)",
    "--heat-map FILE.png": "draw what each head finds (needs matplotlib)",
}
_SAES = {
    "--features N": "features per tap (default: 2048)",
    "-k N": "active features per key (default: 7)",
    "--steps N": "most training steps (default: 1500)",
}
_PAIRS = "a question per line: {question, doc_id, evidence: [[start, end], ...]}, beside the shipped ones"


def _pairs(args: argparse.Namespace) -> None:
    from s3_retriever.cli.heads import distinct_texts
    from s3_retriever.training.pairs import make_pairs

    if args.out.resolve() == args.text.resolve():
        msg = f"--out would replace the documents in {args.text}; choose another file"
        raise InvalidInputError(msg)
    documents = list(distinct_texts(args.text).values())
    made = make_pairs(documents, max_pairs=args.max_pairs, seed=args.seed)
    with new_file(args.out, follow=True) as file:
        for pair in made:
            line = {"question": pair.question, "doc_id": pair.doc_id, "evidence": pair.evidence}
            file.write(f"{json.dumps(line)}\n")
    say(f"wrote {len(made)} pairs from {len({pair.doc_id for pair in made})} documents to {args.out}")


PAIRS = Command(
    "pairs",
    "make questions from documents, to calibrate on where nobody has written any",
    ("pairs text.jsonl --out pairs.jsonl",),
    {
        "text TEXT.jsonl": "a document per line: {_id, text}",
        "--out PAIRS.jsonl": required(
            "where to write lines {question, doc_id, evidence}, for 'calibrate' and 'fit'"
        ),
        "--max-pairs N": count("most pairs to make (default: %(default)s)", default=500),
        **common("--seed"),
    },
    _pairs,
)


def _calibrate(args: argparse.Namespace) -> None:
    from s3_retriever.cli import heads
    from s3_retriever.encode.artifact import Artifact
    from s3_retriever.encode.calibration import Calibration

    started = time.perf_counter()
    is_artifact = _is_artifact(args.target)
    is_calibration = not is_artifact and Calibration.folder_format.holds(Path(args.target))
    is_host = not (is_artifact or is_calibration or args.host)
    kind = Calibration if is_calibration or is_host else Artifact
    kind.folder_format.check_target(args.out)  # fails now rather than after the calibration
    made: Artifact | Calibration
    if is_host:
        made = heads.calibrate_host(args)
    elif is_calibration:
        made = heads.calibrate_again(args, Calibration.load(args.target))
    else:
        made = heads.calibrate_again(args, Artifact.load(args.target))
    made.save(args.out)
    say_written(args.out, started)


CALIBRATE = Command(
    "calibrate",
    "choose heads and learn how they ask, from questions with known evidence",
    (
        "calibrate my-model --out my-calibration",
        "calibrate my-artifact --pairs pairs.jsonl --text text.jsonl --out better",
    ),
    {
        "target HOST_OR_ARTIFACT": "a host (hub name or folder): choose its heads and write a calibration "
        "for 'train'; the folder of a calibration, or an artifact (tiny, fast, best, or a folder): keep its "
        "heads and autoencoders, and learn again how the heads ask",
        "--out DIR": required("folder for what is made"),
        "--host NAME_OR_PATH": "host of the artifact or calibration, if not where its name says",
        **common("--name"),
        "--pairs PAIRS.jsonl": _PAIRS,
        "--text TEXT.jsonl": "documents of the pairs, one per line: {_id, text}",
        **_HEADS,
        "--max-pairs N": count("with a host: most pairs to use (default: 1000)"),
        **common("--epochs", "--seed", "--no-progress"),
    },
    _calibrate,
)


def _train(args: argparse.Namespace) -> None:
    from s3_retriever import Artifact, Host
    from s3_retriever.cli.heads import read_choice, survey_heads
    from s3_retriever.training.fit import SAEOptions, train_artifact, train_calibration
    from s3_retriever.training.pairs import read_texts, shipped_pairs
    from s3_retriever.training.resume import TrainingFolder

    started = time.perf_counter()
    config = _read_sae_settings(args)
    heads, survey_config = read_choice(args)
    Artifact.folder_format.check_target(args.out)  # fails now rather than after the training
    name, made = args.name or args.out.name, _provenance(args, config)
    next(read_texts(args.text), None)  # fails now rather than after the survey
    file = args.text.stat()
    options = SAEOptions(
        config=config,
        max_tokens=args.tokens,
        folder=args.checkpoints,
        source=f"{args.text.resolve()}, {file.st_size} bytes of {file.st_mtime_ns}",
        on_epoch=_say_epoch,
        show_progress=shows_progress(args),
    )
    calibration = _load_calibration(args.calibration) if args.calibration else None
    if calibration and heads:
        msg = "--calibration brings its heads: leave --heads out"
        raise InvalidInputError(msg)
    if calibration and args.host is None:
        host = Host.recorded(calibration.host.get("name"), f"the calibration {args.calibration}")
    else:
        host = Host.load(args.host)
    documents, pairs = shipped_pairs()
    questions, texts = [pair.question for pair in pairs], read_texts(args.text)
    if calibration:
        artifact = train_calibration(host, name, calibration, texts, questions, options, provenance=made)
    else:
        heads = heads or survey_heads(args, host, documents, pairs, survey_config)[0]
        artifact = train_artifact(host, name, heads, texts, questions, options, provenance=made)
    if args.lookup_features is not None:
        artifact = replace(artifact, scoring={**artifact.scoring, "n_features": args.lookup_features})
    _save(args, artifact, started)
    if args.checkpoints is not None:
        TrainingFolder(args.checkpoints, artifact.taps, 0, 0).remove()


TRAIN = Command(
    "train",
    "choose heads of a host and train their sparse autoencoders",
    ("train --text text.jsonl --out my-artifact",),
    {
        **common("--text"),
        "--out DIR": required("folder for the artifact"),
        **common("--host", "--name"),
        "--calibration NAME_OR_PATH": "what 'calibrate' wrote, a calibration or an artifact: heads, and how "
        "they ask",
        **_HEADS,
        **_SAES,
        "--query-metric": "count errors by how much they change the scores that questions give, as the heads "
        "ask now",
        "--checkpoints DIR": "keep keys and the state of each autoencoder here until all is done; run again "
        "to go on from there",
        "--tokens N": count("tokens to train on (default: %(default)s)", default=500_000),
        "--lookup-features N": count(
            "features that each query head looks up per question token (default: 96, or as calibrated)"
        ),
        "--asked --lookup-features": count(argparse.SUPPRESS, action=OldName, dest="lookup_features"),
        **common("--seed", "--no-progress"),
    },
    _train,
)


def _fit(args: argparse.Namespace) -> None:
    from s3_retriever import Artifact, Host
    from s3_retriever.cli.heads import calibration_set, distinct_texts, learn, read_choice, read_learning
    from s3_retriever.training.fit import SAEOptions, check_enough, train_corpus
    from s3_retriever.training.pairs import draw_texts, limit

    started = time.perf_counter()
    config = replace(_read_sae_settings(args), query_metric=True)
    heads, survey_config = read_choice(args)
    learning = read_learning(args)
    Artifact.folder_format.check_target(args.out)
    documents, pairs = calibration_set(args.pairs, args.text if args.pairs else None)
    texts = distinct_texts(args.text)
    host = Host.load(args.host)
    if args.pairs is None:
        passages, made = _made_pairs(args, host, texts.values())
        documents, pairs = [*documents, *passages], [*pairs, *made]
    documents, pairs = limit(
        documents,
        pairs,
        max_pairs=args.max_pairs,
        max_tokens=args.tokens,
        count=host.count_tokens,
        seed=args.seed,
    )
    n_tokens = sum(host.count_tokens(document.text) for document in documents)
    documents += draw_texts(
        texts.values(),
        max_tokens=args.tokens - n_tokens,
        count=host.count_tokens,
        seed=args.seed,
        taken={document.id for document in documents},
    )
    check_enough(sum(host.count_tokens(document.text) for document in documents), config)
    calibration, corpus = learn(args, host, heads, documents, pairs, survey_config, learning)
    artifact = train_corpus(
        args.name or args.out.name,
        calibration,
        corpus,
        SAEOptions(config, on_epoch=_say_epoch, show_progress=shows_progress(args)),
        provenance={**_provenance(args, config), "report": calibration.report},
    )
    _save(args, artifact, started)


def _made_pairs(
    args: argparse.Namespace, host: Host, texts: Iterable[Document]
) -> tuple[list[Document], list[Pair]]:
    """Make questions from passages of a quarter of the tokens, where the text allows any."""
    from s3_retriever.training.pairs import draw_texts, make_pairs

    passages = draw_texts(texts, max_tokens=args.tokens // 4, count=host.count_tokens, seed=args.seed)
    try:
        made = make_pairs(passages, seed=args.seed)
    except InvalidInputError as error:
        say(f"no questions made from {args.text}, only those shipped are asked: {error}")
        return [], []
    say(f"{len(made)} questions made from {args.text}")
    return passages, made


FIT = Command(
    "fit",
    "choose a host's heads, learn how they ask and train their sparse autoencoders, all in one",
    ("fit my-model --text text.jsonl --pairs pairs.jsonl --out my-artifact",),
    {
        **common("host", "--text"),
        "--out DIR": required("folder for the artifact"),
        **common("--name"),
        "--pairs PAIRS.jsonl": f"{_PAIRS}; if omitted, questions are made from the text, as 'pairs' does",
        **_HEADS,
        "--max-pairs N": count("most pairs to use (default: %(default)s)", default=1500),
        **common("--epochs"),
        **_SAES,
        "--tokens N": count("tokens to read (default: %(default)s)", default=800_000),
        **common("--seed", "--no-progress"),
    },
    _fit,
)


def _is_artifact(source: str) -> bool:
    """Whether this names an artifact in the package, or the folder of one."""
    from s3_retriever.encode.artifact import Artifact, shipped

    return Artifact.folder_format.holds(Path(source)) or any(
        source in (name, name.rpartition("/")[2]) for name in shipped()
    )


def _load_calibration(source: str) -> Calibration:
    """Load a calibration, or what an artifact holds of one."""
    from s3_retriever import Artifact
    from s3_retriever.encode.calibration import Calibration

    return Calibration.of(Artifact.load(source)) if _is_artifact(source) else Calibration.load(source)


def _read_sae_settings(args: argparse.Namespace) -> TrainConfig:
    from s3_retriever.training.sae_training import TrainConfig

    names = ("steps", "query_metric", "seed")
    return settings(TrainConfig, args, names=names, n_features="--features", k="-k")


def _provenance(args: argparse.Namespace, config: TrainConfig) -> dict[str, Any]:
    return {"train": {**asdict(config), "tokens": args.tokens, "text": args.text.name}}


def _say_epoch(tap: Tap, epoch: Epoch) -> None:
    kept = "" if epoch.recall_kept is None else f", recall kept {epoch.recall_kept:.3f}"
    say(
        f"tap {tap}, step {epoch.step}: fvu {epoch.fvu:.3f}, l0 {epoch.l0:.1f}, "
        f"dead {epoch.dead_fraction:.3f}{kept}, {epoch.seconds:.0f} s"
    )


def _save(args: argparse.Namespace, artifact: Artifact, started: float) -> None:
    artifact.save(args.out)
    for codec in artifact.codecs:
        quality = codec.quality
        say(f"tap {codec.tap}: fvu {quality.fvu:.3f}, l0 {quality.l0:.1f}, dead {quality.dead_fraction:.3f}")
    say_written(args.out, started)
