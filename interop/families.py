"""Makes a small random model of each family that the programs and we both know: families.py FOLDER [REGEX]

Each has the tokens of examples/tiny, heads of 32 and rows of a multiple of 256, so that vLLM on CPUs and llama.cpp's blocks of 256
take it, and weights large enough for its predictions to differ from token to token.
"""

import json
import os
import re
import shutil
import sys

TINY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples/tiny")
COMMON = dict(
    vocab_size=4096,
    hidden_size=256,
    intermediate_size=512,
    num_hidden_layers=2,
    num_attention_heads=8,
    num_key_value_heads=4,
    head_dim=32,
    max_position_embeddings=512,
    tie_word_embeddings=False,
    initializer_range=0.06,
    bos_token_id=0,
    eos_token_id=0,
    pad_token_id=None,
)
EXPERTS = dict(num_experts_per_tok=2, moe_intermediate_size=256, decoder_sparse_step=1)
# Behind rounded activations one token in ten would choose another two of four experts, which differ by more than all else.
ALL_TAKEN = {**EXPERTS, "num_experts_per_tok": 4}
NORMS = dict(layer_types=["sliding_attention", "full_attention"], sliding_window=64)
LATENT = dict(
    num_key_value_heads=8,
    kv_lora_rank=256,
    qk_nope_head_dim=32,
    qk_rope_head_dim=32,
    v_head_dim=32,
    n_routed_experts=4,
    n_shared_experts=1,
    n_group=1,
    topk_group=1,
    first_k_dense_replace=1,
    routed_scaling_factor=1.5,
    **EXPERTS,
)
INDEXED = {**LATENT, **ALL_TAKEN, "index_n_heads": 4, "index_head_dim": 64, "index_topk": 512}
GEMMA4 = dict(
    num_hidden_layers=4,
    layer_types=["sliding_attention", "full_attention"] * 2,
    sliding_window=64,
    global_head_dim=64,
    tie_word_embeddings=True,
    final_logit_softcapping=30.0,
)
LONG_ROPE = dict(
    rope_type="longrope",
    rope_theta=1e4,
    original_max_position_embeddings=64,
    short_factor=[1.0 + i / 16 for i in range(16)],
    long_factor=[1.0 + i / 4 for i in range(16)],
)
LATENT_YARN = dict(
    rope_type="yarn",
    rope_theta=1e4,
    factor=8.0,
    original_max_position_embeddings=64,
    beta_fast=32.0,
    beta_slow=1.0,
    mscale=1.0,
    mscale_all_dim=1.0,
)
GRANITE = dict(attention_multiplier=0.2, embedding_multiplier=3.0, residual_multiplier=0.5, logits_scaling=2.0)
MAMBA = dict(mamba_n_heads=16, mamba_d_head=32, mamba_d_state=32, mamba_n_groups=2, mamba_d_conv=4)
NEMOTRON = dict(
    kind="NemotronHConfig", num_hidden_layers=4, mamba_num_heads=16, mamba_head_dim=32, ssm_state_size=32, n_groups=2, conv_kernel=4
)
DELTA = dict(
    num_hidden_layers=4, linear_num_key_heads=4, linear_num_value_heads=8, linear_key_head_dim=32, linear_value_head_dim=32
)
SHARED_EXPERT = dict(num_experts=4, shared_expert_intermediate_size=256, **ALL_TAKEN)
YARN = dict(
    full_attention=dict(rope_type="yarn", rope_theta=5e5, factor=8.0, original_max_position_embeddings=64),
    sliding_attention=dict(rope_type="default", rope_theta=5e5),
)

# What sees is of no interest, and small.
SIGHT = dict(
    depth=1, hidden_size=32, embed_dim=32, num_heads=2, intermediate_size=32, out_hidden_size=256, patch_size=4, num_position_embeddings=4
)


def seeing(kind, deep=(), **more):
    """A model that sees, whose text model has the common shape."""
    rope = dict(rope_type="default", rope_theta=1e4, mrope_section=[6, 5, 5])
    text = {**COMMON, "rope_parameters": rope, **more}
    return dict(kind=kind, text_config=text, vision_config={**SIGHT, "deepstack_visual_indexes": list(deep)})


# Written_as is the model_type of one whose class in transformers has another, made_by a class that no type leads to. Of what all have in common, ... leaves something out: programs ask any configuration for heads of keys. Some keys of published
# models are read by vLLM only.
FAMILIES = {
    "llama": dict(kind="LlamaConfig"),
    "mistral": dict(kind="MistralConfig", sliding_window=64),
    "qwen2": dict(kind="Qwen2Config"),
    "qwen3": dict(kind="Qwen3Config"),
    "gemma2": dict(kind="Gemma2Config", query_pre_attn_scalar=32, tie_word_embeddings=True, **NORMS),
    "gemma3": dict(kind="Gemma3TextConfig", query_pre_attn_scalar=32, tie_word_embeddings=True, **NORMS),
    # Of models that are called phi3 or phi-3 llama.cpp expects their tokens.
    "phi_3": dict(kind="Phi3Config"),
    "phi_3-longrope": dict(kind="Phi3Config", original_max_position_embeddings=64, rope_parameters=LONG_ROPE),
    "apertus": dict(kind="ApertusConfig"),
    "minicpm3": dict(
        kind="MiniCPM3Config",
        q_lora_rank=128,
        kv_lora_rank=256,
        qk_nope_head_dim=32,
        qk_rope_head_dim=32,
        v_head_dim=32,
        num_key_value_heads=8,
        scale_emb=12,
        scale_depth=1.4,
        dim_model_base=256,
        rope_parameters=LONG_ROPE,
    ),
    "glm": dict(kind="GlmConfig", partial_rotary_factor=0.5),
    "glm4": dict(kind="Glm4Config", partial_rotary_factor=0.5),
    "smollm3": dict(kind="SmolLM3Config"),
    "granite": dict(kind="GraniteConfig"),
    "olmo2": dict(kind="Olmo2Config"),
    "olmo3": dict(kind="Olmo3Config", num_hidden_layers=4, sliding_window=64),
    "olmo3-yarn": dict(kind="Olmo3Config", num_hidden_layers=4, sliding_window=64, rope_parameters=YARN),
    "stablelm": dict(kind="StableLmConfig"),
    "stablelm-heads": dict(kind="StableLmConfig", qk_layernorm=True, use_parallel_residual=True),
    "starcoder2": dict(kind="Starcoder2Config"),
    "cohere": dict(kind="CohereConfig", tie_word_embeddings=True, logit_scale=1.0),
    "cohere2": dict(
        kind="Cohere2Config", num_hidden_layers=4, tie_word_embeddings=True, logit_scale=1.0, sliding_window=64
    ),
    "exaone4": dict(kind="Exaone4Config", **NORMS),
    "exaone4-full": dict(kind="Exaone4Config", sliding_window=None, layer_types=["full_attention"] * 2),
    "seed-oss": dict(kind="SeedOssConfig"),
    "ernie4.5": dict(kind="Ernie4_5Config"),
    "gpt-neox": dict(kind="GPTNeoXConfig", intermediate_size=1024, num_key_value_heads=...),
    "arcee": dict(kind="ArceeConfig"),
    "internlm3": dict(kind="InternLM3Config"),
    "exaone3": dict(kind="ExaoneConfig"),
    "ministral": dict(kind="MinistralConfig", sliding_window=512),
    "hunyuan": dict(kind="HunYuanDenseV1Config"),
    "olmo": dict(kind="OlmoConfig", clip_qkv=0.5),
    "phi": dict(kind="PhiConfig"),
    "gpt2": dict(kind="GPT2Config", tie_word_embeddings=True, num_key_value_heads=..., n_ctx=512),
    "nemotron": dict(kind="NemotronConfig"),
    "gemma": dict(kind="GemmaConfig", tie_word_embeddings=True),
    "falcon": dict(
        kind="FalconConfig", new_decoder_architecture=False, tie_word_embeddings=True, head_dim=..., num_key_value_heads=...
    ),
    "falcon-new": dict(kind="FalconConfig", new_decoder_architecture=True, num_kv_heads=4, head_dim=...),
    "bloom": dict(kind="BloomConfig", tie_word_embeddings=True, num_key_value_heads=...),
    "opt": dict(kind="OPTConfig", ffn_dim=512, word_embed_proj_dim=256, num_key_value_heads=...),
    "mixtral": dict(kind="MixtralConfig", num_local_experts=4, num_experts_per_tok=2, sliding_window=None),
    "qwen2-moe": dict(kind="Qwen2MoeConfig", num_experts=4, shared_expert_intermediate_size=256, **EXPERTS),
    "qwen3-moe": dict(kind="Qwen3MoeConfig", num_experts=4, **EXPERTS),
    "glm4-moe": dict(
        kind="Glm4MoeConfig", n_routed_experts=4, n_group=1, topk_group=1, first_k_dense_replace=1, **EXPERTS
    ),
    "gpt-oss": dict(kind="GptOssConfig", num_local_experts=4, **EXPERTS, **NORMS),
    "gpt-oss-mxfp4": dict(kind="GptOssConfig", num_local_experts=4, **ALL_TAKEN, **NORMS),
    "deepseek-v2": dict(kind="DeepseekV2Config", topk_method="greedy", q_lora_rank=128, **LATENT),
    "deepseek-v3": dict(kind="DeepseekV3Config", q_lora_rank=128, **LATENT),
    "olmo-moe": dict(
        kind="OlmoeConfig", num_experts=4, num_experts_per_tok=2, intermediate_size=256, num_key_value_heads=8
    ),
    "granite-moe": dict(
        kind="GraniteMoeConfig",
        num_local_experts=4,
        num_experts_per_tok=2,
        intermediate_size=256,
        **GRANITE,
    ),
    "granite-shared-moe": dict(
        kind="GraniteMoeSharedConfig",
        num_local_experts=4,
        num_experts_per_tok=2,
        intermediate_size=256,
        shared_intermediate_size=256,
        **GRANITE,
    ),
    "granite-hybrid": dict(
        kind="GraniteMoeHybridConfig",
        layer_types=["mamba", "attention"],
        num_local_experts=0,
        shared_intermediate_size=512,
        **GRANITE,
        **MAMBA,
    ),
    "granite-hybrid-moe": dict(
        kind="GraniteMoeHybridConfig",
        layer_types=["mamba", "attention"],
        position_embedding_type="rope",
        num_local_experts=4,
        num_experts_per_tok=2,
        intermediate_size=256,
        shared_intermediate_size=256,
        **GRANITE,
        **MAMBA,
    ),
    "falcon-h1": dict(
        kind="FalconH1Config",
        mamba_d_ssm=512,
        mamba_rms_norm=True,
        mamba_norm_before_gate=False,
        attention_in_multiplier=0.9,
        attention_out_multiplier=0.8,
        ssm_in_multiplier=1.25,
        ssm_out_multiplier=0.7,
        key_multiplier=0.6,
        embedding_multiplier=2.5,
        lm_head_multiplier=0.3,
        mlp_multipliers=[0.9, 0.6],
        ssm_multipliers=[0.35, 0.5, 0.7, 0.5, 0.9],
        **MAMBA,
    ),
    "qwen3-next-moe": dict(kind="Qwen3NextConfig", **DELTA, **SHARED_EXPERT),
    "qwen3.5": dict(kind="Qwen3_5TextConfig", **DELTA),
    "qwen3.5-moe": dict(kind="Qwen3_5MoeTextConfig", **DELTA, **SHARED_EXPERT),
    "nemotron-h": dict(layers_block_type=["mamba", "mlp", "attention", "mlp"], **NEMOTRON),
    "nemotron-h-moe": dict(
        layers_block_type=["mamba", "moe", "attention", "moe"],
        n_routed_experts=4,
        num_experts_per_tok=4,
        moe_intermediate_size=256,
        moe_shared_expert_intermediate_size=256,
        routed_scaling_factor=2.5,
        **NEMOTRON,
    ),
    "ernie4.5-moe": dict(
        kind="Ernie4_5_MoeConfig",
        intermediate_size=1024,
        moe_num_experts=4,
        moe_k=2,
        moe_intermediate_size=256,
        moe_num_shared_experts=1,
        moe_layer_start_index=1,
    ),
    "dots1-moe": dict(
        kind="Dots1Config", num_key_value_heads=8, n_routed_experts=4, n_shared_experts=1, n_group=1, topk_group=1, first_k_dense_replace=1, **EXPERTS
    ),
    "minimax-m2-moe": dict(
        kind="MiniMaxM2Config", num_local_experts=4, num_experts_per_tok=2, rotary_dim=16, scoring_func="sigmoid"
    ),
    "afmoe": dict(
        kind="AfmoeConfig",
        num_experts=4,
        num_local_experts=4,
        num_shared_experts=1,
        num_dense_layers=1,
        num_hidden_layers=4,
        sliding_window=64,
        route_scale=1.5,
        mup_enabled=True,
        score_func="sigmoid",
        **EXPERTS,
    ),
    "llama4": dict(
        kind="Llama4TextConfig",
        num_hidden_layers=4,
        num_local_experts=4,
        num_experts_per_tok=1,
        interleave_moe_layer_step=2,
        intermediate_size=256,
        intermediate_size_mlp=512,
    ),
    "gemma4": dict(kind="Gemma4TextConfig", hidden_size_per_layer_input=0, **GEMMA4),
    "gemma4-embedded": dict(
        kind="Gemma4TextConfig",
        hidden_size_per_layer_input=32,
        vocab_size_per_layer_input=4096,
        num_kv_shared_layers=2,
        use_double_wide_mlp=True,
        **GEMMA4,
    ),
    "gemma4-moe": dict(
        kind="Gemma4TextConfig",
        hidden_size_per_layer_input=0,
        enable_moe_block=True,
        num_experts=4,
        top_k_experts=4,
        moe_intermediate_size=256,
        attention_k_eq_v=True,
        num_global_key_value_heads=2,
        **GEMMA4,
    ),
    "ministral3": dict(kind="Ministral3Config", rope_parameters=dict(LATENT_YARN, llama_4_scaling_beta=0.3)),
    "hunyuan-moe": dict(
        kind="HunYuanMoEV1Config", num_experts=4, moe_topk=2, num_shared_expert=1, intermediate_size=256
    ),
    "exaone-moe": dict(
        kind="ExaoneMoeConfig",
        num_hidden_layers=4,
        num_experts=4,
        num_shared_experts=1,
        sliding_window=64,
        layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
        mlp_layer_types=["dense", "sparse", "sparse", "sparse"],
        n_group=1,
        topk_group=1,
        **ALL_TAKEN,
    ),
    "cohere2-moe": dict(
        kind="Cohere2MoeConfig",
        num_hidden_layers=4,
        num_experts=4,
        num_shared_experts=1,
        intermediate_size=256,
        first_k_dense_replace=1,
        prefix_dense_intermediate_size=512,
        expert_selection_fn="sigmoid",
        sliding_window=64,
        logit_scale=1.0,
        tie_word_embeddings=True,
        num_experts_per_tok=2,
    ),
    "glm4-moe-lite": dict(kind="Glm4MoeLiteConfig", q_lora_rank=128, **LATENT),
    "youtu": dict(kind="YoutuConfig", q_lora_rank=128, **{k: v for k, v in LATENT.items() if "expert" not in k and "first" not in k}),
    "solar-open": dict(kind="SolarOpenConfig", n_routed_experts=4, n_shared_experts=1, n_group=1, topk_group=1, **EXPERTS),
    "deepseek-v2-lite": dict(
        kind="DeepseekV2Config",
        topk_method="greedy",
        num_hidden_layers=26,
        q_lora_rank=None,
        rope_parameters=dict(LATENT_YARN, mscale=0.707, mscale_all_dim=0.707),
        **{**LATENT, **ALL_TAKEN},
    ),
    "kimi-k2": dict(kind="DeepseekV3Config", written_as="kimi_k2", q_lora_rank=128, **{**LATENT, **ALL_TAKEN}),
    "mistral4": dict(
        kind="Mistral4Config",
        made_by="Mistral4ForCausalLM",
        q_lora_rank=128,
        rope_parameters=dict(LATENT_YARN, llama_4_scaling_beta=0.3),
        **{**LATENT, **ALL_TAKEN, "first_k_dense_replace": 0},
    ),
    "deepseek-v32": dict(kind="DeepseekV32Config", q_lora_rank=128, **INDEXED),
    "glm-dsa": dict(
        kind="GlmMoeDsaConfig", num_hidden_layers=4, indexer_types=["full", "shared", "full", "shared"], q_lora_rank=128, **INDEXED
    ),
    "deepseek-v3-groups": dict(
        kind="DeepseekV3Config",
        q_lora_rank=128,
        rope_parameters=LATENT_YARN,
        **{**LATENT, "n_routed_experts": 16, "n_group": 4, "topk_group": 2},
    ),
    "qwen2-vl": seeing("Qwen2VLConfig"),
    "qwen2.5-vl": seeing("Qwen2_5_VLConfig"),
    "qwen3-vl": seeing("Qwen3VLConfig", deep=[0]),
    "qwen3-vl-moe": seeing("Qwen3VLMoeConfig", deep=[0], num_experts=4, **{**ALL_TAKEN, "moe_intermediate_size": 512}),
    "lfm2": dict(kind="Lfm2Config", layer_types=["conv", "full_attention"], conv_dim=256),
    "lfm2-moe": dict(
        kind="Lfm2MoeConfig", tie_word_embeddings=True, layer_types=["conv", "full_attention"], num_experts=4, num_dense_layers=1, **EXPERTS
    ),
}

# Families that are only compared with llama.cpp: what other programs make of their experts, sinks, latents and windows was not looked at.
GGUF_ONLY = [
    "exaone3",
    "glm",
    "olmo3",
    "olmo3-yarn",
    "gpt-oss",
    "gpt-oss-mxfp4",
    "deepseek-v2",
    "deepseek-v3",
    "olmo-moe",
    "granite-moe",
    "granite-shared-moe",
    "granite-hybrid",
    "granite-hybrid-moe",
    "falcon-h1",
    "qwen3-next-moe",
    "qwen3.5",
    "qwen3.5-moe",
    "nemotron-h",
    "nemotron-h-moe",
    "ernie4.5-moe",
    "dots1-moe",
    "minimax-m2-moe",
    "afmoe",
    "lfm2",
    "lfm2-moe",
    "qwen2-vl",
    "qwen2.5-vl",
    "qwen3-vl",
    "qwen3-vl-moe",
    "stablelm-heads",
    "phi_3-longrope",
    "apertus",
    "minicpm3",
    "llama4",
    "gemma4",
    "gemma4-embedded",
    "gemma4-moe",
    "ministral3",
    "hunyuan-moe",
    "exaone-moe",
    "cohere2-moe",
    "glm4-moe-lite",
    "youtu",
    "solar-open",
    "deepseek-v2-lite",
    "deepseek-v3-groups",
    "deepseek-v32",
    "glm-dsa",
    "kimi-k2",
    "mistral4",
]


def spread(model):
    """Norms and biases begin as ones and zeros, of which a wrong one would not show."""
    import torch

    with torch.no_grad():
        for _, value in [*model.named_parameters(), *model.named_buffers()]:
            if value.numel() == value.shape[-1:].numel() and value.is_floating_point():
                value.add_(torch.randn_like(value) * 0.1)


def mxfp4(weights):
    """Blocks of 32 numbers of 4 bits, two a byte, and their exponents, of matrices of input × output."""
    import torch

    steps = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    blocks = weights.float().transpose(1, 2).unflatten(-1, (-1, 32))
    exponents = blocks.abs().amax(-1).clamp_min(1e-30).log2().floor() - 2
    scaled = blocks / exponents.exp2().unsqueeze(-1)
    codes = (scaled.abs().unsqueeze(-1) - steps).abs().argmin(-1) + 8 * (scaled < 0)
    return (codes[..., ::2] + 16 * codes[..., 1::2]).to(torch.uint8), (exponents + 127).to(torch.uint8)


def as_published(folder, changes, fours):
    """Rewrites a checkpoint's configuration, and its experts in MXFP4."""
    from safetensors.torch import load_file, save_file

    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config.update(changes)
    if fours:
        config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["self_attn", "router", "embed_tokens", "lm_head"]}
        weights = os.path.join(folder, "model.safetensors")
        stored = {}
        for name, tensor in load_file(weights).items():
            if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
                stored[name + "_blocks"], stored[name + "_scales"] = mxfp4(tensor)
            else:
                stored[name] = tensor
        save_file(stored, weights, {"format": "pt"})
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)


def main():
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import torch
    import transformers

    folder, wanted = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    shutil.rmtree(folder, ignore_errors=True)
    for name, more in FAMILIES.items():
        if not re.search(wanted, name):
            continue
        torch.manual_seed(0)
        more = dict(more)
        kind = getattr(transformers, more.pop("kind"))
        written_as, made_by = more.pop("written_as", None), more.pop("made_by", None)
        sees = "vision_config" in more
        settings = more if sees else {**COMMON, **more}
        config = kind(**{key: value for key, value in settings.items() if value is not ...})
        if made_by:
            model = getattr(transformers, made_by)(config)
        else:
            auto = transformers.AutoModelForImageTextToText if sees else transformers.AutoModelForCausalLM
            model = auto.from_config(config, dtype=torch.float32)
        spread(model)
        model.to(torch.bfloat16).save_pretrained(os.path.join(folder, name))
        fours = name.endswith("mxfp4")
        if written_as or fours:
            as_published(os.path.join(folder, name), {"model_type": written_as} if written_as else {}, fours)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(os.path.join(TINY, file), os.path.join(folder, name, file))


if __name__ == "__main__":
    main()
