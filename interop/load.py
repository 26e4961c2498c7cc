"""Loads a model with one program and prints its perplexity: load.py PROGRAM MODEL WINDOWS.json

One process a model, since a program that refuses one may end with it. The last line is a JSON object.
"""

import json
import math
import os
import sys

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def loss(scores, window):
    """Sum of the losses of all tokens but the first; scores is (tokens, vocabulary) of numpy."""
    import numpy as np

    scores = np.asarray(scores, dtype=np.float64)[:-1]
    top = scores.max(1)
    logs = top + np.log(np.exp(scores - top[:, None]).sum(1))
    return float((logs - scores[np.arange(len(window) - 1), window[1:]]).sum())


def transformers(model, windows):
    import torch
    from transformers import AutoModelForCausalLM

    loaded, info = AutoModelForCausalLM.from_pretrained(
        model, dtype=torch.float32, device_map="cpu", output_loading_info=True
    )
    for kind in ("missing_keys", "mismatched_keys"):
        if info[kind]:
            raise SystemExit(f"loads with {kind}: {sorted(map(str, info[kind]))[0]}")
    with torch.no_grad():
        return [loss(loaded(torch.tensor([w])).logits[0].float().numpy(), w) for w in windows]


def gptqmodel(model, windows):
    import torch
    from gptqmodel import BACKEND, GPTQModel

    loaded = GPTQModel.load(model, device="cpu", backend=BACKEND.TORCH)
    with torch.no_grad():
        return [loss(loaded(torch.tensor([w])).logits[0].float().numpy(), w) for w in windows]


def mlx(model, windows):
    import mlx.core as mx
    import numpy as np
    from mlx_lm.utils import load_model
    from pathlib import Path

    loaded, _ = load_model(Path(model))
    return [
        loss(np.array(loaded(mx.array([w]))[0].astype(mx.float32)), w) for w in windows
    ]


def llama_cpp(model, windows):
    import llama_cpp
    import numpy as np

    loaded = llama_cpp.Llama(
        os.path.join(model, "model.gguf"),
        n_ctx=len(windows[0]),
        n_batch=len(windows[0]),
        logits_all=True,
        verbose=False,
    )
    losses = []
    for window in windows:
        loaded.reset()
        loaded.eval(window)
        losses.append(loss(np.array(loaded.scores[: len(window)]), window))
    return losses


def vllm(model, windows):
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt

    loaded = LLM(model, enforce_eager=True, max_model_len=len(windows[0]) + 1, max_num_seqs=4)
    settings = SamplingParams(max_tokens=1, prompt_logprobs=0)
    outputs = loaded.generate([TokensPrompt(prompt_token_ids=w) for w in windows], settings)
    return [
        -sum(p[t].logprob for p, t in zip(o.prompt_logprobs[1:], w[1:]))
        for o, w in zip(outputs, windows)
    ]


def main():
    program, model, windows = sys.argv[1:4]
    with open(windows, encoding="utf-8") as file:
        windows = json.load(file)
    programs = {
        "transformers": transformers,
        "GPTQModel": gptqmodel,
        "mlx-lm": mlx,
        "llama.cpp": llama_cpp,
        "vLLM": vllm,
    }
    losses = programs[program](model, windows)
    tokens = sum(len(w) - 1 for w in windows)
    print(json.dumps({"perplexity": math.exp(sum(losses) / tokens)}), flush=True)


main()
