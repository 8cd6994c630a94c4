"""Our SAEs in SAELens, and those of SAELens and sparsify in ours, computed by both sides.

The two bring some fifty packages that nothing else here needs, so ``make interchange`` runs this file in an
environment of its own, and ``make test`` does not collect it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sae_lens import SAE, TopKSAEConfig, TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens import TopKSAE as SAELensTopKSAE
from sparsify.config import SparseCoderConfig
from sparsify.sparse_coder import SparseCoder

from s3_retriever.encode import Artifact, Codes, center_and_normalize
from s3_retriever.errors import InvalidInputError
from s3_retriever.training.saelens import export_saelens, import_sae

Floats = npt.NDArray[np.float32]


def dense(codes: Codes, m: int) -> Floats:
    out = np.zeros((len(codes.features), m), np.float32)
    rows = np.arange(len(out))[:, None]
    np.add.at(out, (rows, codes.features), codes.weights)
    return out


def randomize(module: torch.nn.Module) -> None:
    """Fill all parameters; fresh biases are zero, which would hide a lost one."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random))


def vectors(d: int = 16) -> Floats:
    return np.random.default_rng(0).standard_normal((300, d)).astype(np.float32)


@pytest.mark.parametrize("name", ["fast", "best"])
def test_saelens_encodes_as_we_do(tmp_path: Path, name: str) -> None:
    artifact = Artifact.load(name)
    export_saelens(artifact, tmp_path / "saes")
    for t, codec in enumerate(artifact.codecs):
        theirs = SAE.load_from_disk(tmp_path / "saes" / str(codec.tap))
        keys = center_and_normalize(artifact.fingerprint.keys[:, t], codec.mean)
        with torch.no_grad():
            activations = theirs.encode(torch.from_numpy(keys))
            decoded = theirs.decode(activations)
        codes = codec.sae.encode(keys)
        assert (codes.weights > 0).any()
        np.testing.assert_allclose(dense(codes, codec.sae.n_features), activations.numpy(), atol=1e-5)
        np.testing.assert_allclose(codec.sae.decode(codes), decoded.numpy(), atol=1e-5)


def test_what_saelens_saves_is_what_we_exported(tmp_path: Path) -> None:
    artifact = Artifact.load("fast")
    export_saelens(artifact, tmp_path / "saes")
    own = tmp_path / "saes" / str(artifact.taps[0])
    SAE.load_from_disk(own).save_model(own)
    sae, again = artifact.codecs[0].sae, import_sae(own)
    assert again.k == sae.k
    assert all(
        np.array_equal(getattr(again, n), getattr(sae, n)) for n in ("W_enc", "b_enc", "W_dec", "b_dec")
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("subtracts", [True, False])
@pytest.mark.parametrize("rescales", [True, False])
def test_we_encode_as_saelens_does(tmp_path: Path, dtype: str, subtracts: bool, rescales: bool) -> None:
    settings: dict[str, Any] = {"apply_b_dec_to_input": subtracts, "rescale_acts_by_decoder_norm": rescales}
    theirs = SAELensTopKSAE(TopKSAEConfig(d_in=16, d_sae=40, k=5, dtype=dtype, **settings))
    randomize(theirs)
    theirs.save_model(tmp_path)
    sae = import_sae(tmp_path)
    codes = sae.encode(vectors())
    with torch.no_grad():
        # In float32, for bfloat16 would also round what is computed from the weights.
        activations = theirs.to(torch.float32).encode(torch.from_numpy(vectors()))
        decoded = theirs.decode(activations)
    np.testing.assert_allclose(dense(codes, 40), activations.numpy(), atol=1e-4)
    np.testing.assert_allclose(sae.decode(codes), decoded.numpy(), atol=1e-4)


def test_saes_trained_with_saelens_are_read(tmp_path: Path) -> None:
    trained = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=16, d_sae=40, k=5))
    randomize(trained)
    trained.save_inference_model(tmp_path)
    with torch.no_grad():
        activations = SAE.load_from_disk(tmp_path).encode(torch.from_numpy(vectors()))
    np.testing.assert_allclose(
        dense(import_sae(tmp_path).encode(vectors()), 40), activations.numpy(), atol=1e-4
    )


@pytest.mark.parametrize("settings", [{"num_latents": 40}, {"expansion_factor": 3}])
def test_we_encode_as_sparsify_does(tmp_path: Path, settings: dict[str, int]) -> None:
    theirs = SparseCoder(16, SparseCoderConfig(k=5, **settings))
    randomize(theirs)
    theirs.set_decoder_norm_to_unit_norm()
    theirs.save_to_disk(tmp_path)
    sae = import_sae(tmp_path)
    codes = sae.encode(vectors())
    with torch.no_grad():
        out = theirs(torch.from_numpy(vectors()))
    expected = torch.zeros(300, theirs.num_latents).scatter_add_(1, out.latent_indices, out.latent_acts)
    np.testing.assert_allclose(dense(codes, sae.n_features), expected.numpy(), atol=1e-4)
    np.testing.assert_allclose(sae.decode(codes), out.sae_out.numpy(), atol=1e-4)


@pytest.mark.parametrize("name", ["skip_connection", "transcode"])
def test_transcoders_of_sparsify_are_refused(tmp_path: Path, name: str) -> None:
    SparseCoder(16, SparseCoderConfig(k=5, num_latents=40, **{name: True})).save_to_disk(tmp_path)
    with pytest.raises(InvalidInputError, match=f"{name} must be one of False, not True"):
        import_sae(tmp_path)
