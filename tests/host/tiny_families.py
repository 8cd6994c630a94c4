"""A tiny random model of every causal decoder that this version of transformers lists."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

LISTED = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
MOST_PARAMETERS = 8_000_000

COMMON = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "initializer_range": 0.2,
    # experts
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "shared_experts_intermediate_size": 16,
    "n_group": 1,
    "topk_group": 1,
    # latent attention, and what chooses its keys
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 6,
    "index_head_dim": 8,
    "index_n_heads": 2,
    # linear attention
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_head_dim": 8,
    "linear_num_heads": 4,
    # the same by older names
    "n_embd": 32,
    "n_layer": 4,
    "n_head": 4,
    "n_inner": 48,
    "n_positions": 256,
    "d_model": 32,
    "d_ff": 48,
    "d_inner": 48,
    "dff": 48,
    "n_layers": 4,
    "n_heads": 4,
    "num_layers": 4,
    "num_heads": 4,
    "ffn_dim": 48,
    "emb_dim": 32,
    "decoder_layers": 4,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 48,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    # of images and sounds, where a model takes them too
    "depth": 1,
    "image_size": 28,
    "patch_size": 14,
    "out_hidden_size": 32,
    "num_position_embeddings": 16,
    "adapter_in_dim": 32,
    "adapter_out_dim": 32,
}
"""Settings by the names that configurations give them; a configuration gets those that it has."""

LATENT = {"num_key_value_heads": 4}
PADDED = {"pad_token_id": 1}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8}

SPECIAL: dict[str, dict[str, Any]] = {
    "axk1": LATENT,
    "axk2": LATENT,
    "deepseek_v2": LATENT,
    "deepseek_v3": LATENT,
    "deepseek_v32": LATENT,
    "glm4_moe_lite": LATENT,
    "glm_moe_dsa": LATENT,
    "minicpm3": LATENT,
    "sarvam_mla": LATENT,
    "youtu": LATENT,
    "camembert": PADDED,
    "data2vec-text": PADDED,
    "roberta": PADDED,
    "roberta-prelayernorm": PADDED,
    "xlm-roberta": PADDED,
    "xlm-roberta-xl": PADDED,
    "bailing_hybrid": {
        "num_key_value_heads": 4,
        "layer_types": ["linear_attention", "full_attention", "linear_attention", "full_attention"],
    },
    "bamba": {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "attn_layer_indices": [1, 3]},
    "codegen": {"rotary_dim": 4},
    "cwm": {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
    "dots1": {"n_shared_experts": 1, "first_k_dense_replace": 1, "norm_topk_prob": True},
    "ernie4_5_moe": {"moe_k": 2, "moe_num_experts": 4},
    "gemma3n_text": {
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        "vocab_size_per_layer_input": 400,
        "hidden_size_per_layer_input": 8,
        "activation_sparsity_pattern": [0.0, 0.0, 0.0, 0.0],
        "laurel_rank": 4,
    },
    "gemma4_text": {
        "vocab_size_per_layer_input": 400,
        "hidden_size_per_layer_input": 8,
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
        "global_head_dim": 16,
    },
    "gemma4_unified_text": {"global_head_dim": 16},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "num_layers": 4},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "layer_types": ["mamba", "attention", "mamba", "attention"],
    },
    "inkling2_loop_text": {"unpadded_vocab_size": 400},
    "inkling2_text": {"unpadded_vocab_size": 400},
    "jamba": {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 4,
        "use_mamba_kernels": False,
    },
    "jetmoe": {"kv_channels": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    "lfm2": {"layer_types": ["full_attention", "conv", "full_attention", "conv"]},
    "lfm2_moe": {"layer_types": ["full_attention", "conv", "full_attention", "conv"], "num_dense_layers": 1},
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8},
    "modernbert-decoder": {
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "cls_token_id": 1,
        "sep_token_id": 2,
    },
    "mpt": {"attn_config": {"clip_qkv": 0.5}, "max_seq_len": 256, "expansion_ratio": 2},
    "olmo": {"clip_qkv": 0.5},
    "olmoe": {"clip_qkv": 0.5},
    "prophetnet": {"pad_token_id": 0},
    "roc_bert": {"pronunciation_vocab_size": 20, "shape_vocab_size": 20},
    "xlm": {"emb_dim": 32},
    "xmod": {"default_language": "en_XX", "pad_token_id": 1},
    "zamba": {
        "num_hidden_layers": 8,
        "layers_block_type": ["mamba", "mamba", "hybrid", "mamba", "mamba", "mamba", "hybrid", "mamba"],
        "attn_layer_period": 4,
        "attn_layer_offset": 2,
        "mamba_d_state": 4,
        "n_mamba_heads": 2,
        "use_mamba_kernels": False,
        "attention_head_dim": 16,
    },
    "zamba2": {
        "mamba_d_state": 8,
        "n_mamba_heads": 4,
        "mamba_headdim": 16,
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
        "layer_types": ["mamba", "hybrid", "mamba", "hybrid"],
        "hybrid_layer_ids": [1, 3],
        "num_mem_blocks": 1,
        "adapter_rank": 4,
        "attention_head_dim": 16,
        "chunk_size": 16,
    },
    "zaya": {"num_experts_per_tok": 1},
    "emu3_text_model": {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
    "mllama_text_model": {
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "cross_attention_layers": [1],
    },
    "reformer": {
        "is_decoder": True,
        "axial_pos_embds": False,
        "attention_head_size": 8,
        "feed_forward_size": 48,
        "attn_layers": ["local", "lsh", "local", "lsh"],
        "num_buckets": 4,
    },
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 0.5, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 16, "moe_num_experts": 4, "moe_top_k": 2},
        "max_seq_len": 256,
    },
    "cohere_compass_text": {
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        }
    },
    "blt": {"encoder_hash_byte_group_vocab": 100},
    "qwen4_exp_text": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 8,
        "indexer_compress_ratio": 2,
        "hc_count": 2,
        "hc_lowrank": 8,
        "ple_embed_dim": 16,
        "ngram_vocab_size_base": 128,
        "make_ngram_vocab_size_divisible_by": 8,
        "split_ngram_parts": 2,
        "heads_per_ngram": 2,
    },
    "kimi_linear": {"num_key_value_heads": 4, "layer_types": ["linear_attention", "full_attention"] * 2},
    "longcat_flash": {
        **LATENT,
        "num_layers": 2,
        "ffn_hidden_size": 16,
        "expert_ffn_hidden_size": 16,
        "zero_expert_num": 1,
        "head_dim": 4,
        "moe_topk": 2,
    },
    "cpmant": {"dim_head": 8, "dim_ff": 48},
    "dots3_note_text": {**LATENT, "per_layer_config": {}, "head_dim": 12},
    "falcon_h1": {**MAMBA, "mamba_d_ssm": 64, "mamba_chunk_size": 16},
    "nemotron_h": {
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "ssm_state_size": 8,
        "n_groups": 2,
        "chunk_size": 16,
    },
}
"""What some families need besides or instead."""


def build(name: str) -> PreTrainedModel:
    """Build a family's tiny model; norms and biases are random too, since ones and zeros would hide mistakes.

    Raises:
        LookupError: It would be large: a setting of its size is not known here.
    """
    kind = CONFIG_MAPPING[name]
    config = kind(**_settings(kind, SPECIAL.get(name, {})))
    with torch.device("meta"):
        sizes = AutoModelForCausalLM.from_config(copy.deepcopy(config)).named_parameters()
        largest = sorted(((value.numel(), path) for path, value in sizes), reverse=True)
    if sum(size for size, _ in largest) > MOST_PARAMETERS:
        msg = f"{name} would be large: {largest[:4]}"
        raise LookupError(msg)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter += 0.4 * torch.randn_like(parameter)
    return model


def _settings(kind: type[PretrainedConfig], special: dict[str, Any]) -> dict[str, Any]:
    names = {"vocab_size", *inspect.signature(kind.__init__).parameters}
    for base in kind.__mro__:
        names.update(getattr(base, "__annotations__", {}))
    settings = {name: value for name, value in COMMON.items() if name in names}
    parts = getattr(kind, "sub_configs", {}) or {}
    if parts:
        usual = kind()
        for part in parts:
            own = getattr(usual, part, None)
            if isinstance(own, PretrainedConfig):
                model_type = type(own).model_type
                settings[part] = {
                    **_settings(type(own), SPECIAL.get(model_type, {})),
                    "model_type": model_type,
                }
    return {**settings, **special}
