"""Writes models/tiny in every format and setting, loads each with every program that claims the format, and compares.

Prints the table that docs/format.md shows. A program that gives another perplexity than ours is wrong, whoever is to blame.
"""

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TEXT = os.path.join(ROOT, "examples/text/demo-evaluation.txt")
CALIBRATION = os.path.join(ROOT, "examples/text/demo-calibration.txt")
LENGTH = 256
WINDOWS = 4

# llama.cpp rounds activations to 8 bits, and vLLM may run in bfloat16.
NEAR = 0.02

PROGRAMS = {
    "gptq": ["transformers", "GPTQModel", "vLLM"],
    "gptq_v2": ["transformers", "GPTQModel", "vLLM"],
    "compressed-tensors": ["transformers", "vLLM"],
    "awq": ["transformers", "vLLM"],
    "mlx": ["mlx-lm"],
    "gguf": ["llama.cpp"],
}

# What is said of the setting, its formats, and what is given to quantize.
SETTINGS = [
    ("4 bits, symmetric", "gptq,compressed-tensors,mlx,gguf", "--bits 4 --group-size 32"),
    (
        "4 bits, asymmetric",
        "gptq_v2,compressed-tensors,awq,mlx,gguf",
        "--bits 4 --group-size 32 --asym",
    ),
    ("8 bits, symmetric", "gptq,compressed-tensors,mlx,gguf", "--bits 8 --group-size 32"),
    ("3 bits, symmetric", "gptq,compressed-tensors,mlx", "--bits 3 --group-size 32"),
    ("2 bits, symmetric", "gptq,compressed-tensors,mlx", "--bits 2 --group-size 32"),
    ("whole rows", "gptq,compressed-tensors", "--bits 4 --group-size -1"),
    ("act-order, static groups", "gptq,compressed-tensors", "--group-size 32 --act-order"),
    (
        "act-order, scattered groups",
        "gptq",
        "--group-size 32 --act-order --no-static-groups",
    ),
    ("attention of a block left out", "gptq,compressed-tensors", "--group-size 32 --exclude layers\\.0\\.self_attn"),
    ("mixed bits", "gptq,compressed-tensors", "--group-size 32 --target-bpw 5"),
    ("Q4_K_M", "gguf", "--type Q4_K_M"),
    ("Q3_K_M", "gguf", "--type Q3_K_M"),
    ("Q2_K", "gguf", "--type Q2_K"),
    ("Q5_K_M", "gguf", "--type Q5_K_M"),
    ("Q6_K", "gguf", "--type Q6_K"),
]


def gptq(*words):
    command = os.environ.get("INTEROP_GPTQ", os.path.join(ROOT, "gptq"))
    return subprocess.run([command, *words], capture_output=True, text=True)


def written(model, output, formats, words):
    """The folder of each format, or why there is none."""
    shutil.rmtree(output, ignore_errors=True)
    common = ["--calibration", CALIBRATION, "--samples", "8", "--seq-len", "128", "--quality", "fast"]
    done = gptq("quantize", "--model", model, "--output", output, "--format", formats, *common, *words.split())
    if done.returncode:
        sys.exit(f"quantize {words} --format {formats}: {done.stderr}")
    names = formats.split(",")
    return {name: output if len(names) == 1 else os.path.join(output, name) for name in names}


def ours(folder, format):
    """The perplexity that we measure."""
    model = os.path.join(folder, "model.gguf") if format == "gguf" else folder
    done = gptq("eval", "--model", model, "--text", TEXT, "--seq-len", str(LENGTH), "--windows", str(WINDOWS), "--json")
    if done.returncode:
        sys.exit(f"eval of {model}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])["perplexity"]


def windows(model, file):
    from tokenizers import Tokenizer

    with open(TEXT, encoding="utf-8") as text:
        ids = Tokenizer.from_file(os.path.join(model, "tokenizer.json")).encode(text.read(), add_special_tokens=False).ids
    with open(file, "w", encoding="utf-8") as out:
        json.dump([ids[LENGTH * i : LENGTH * (i + 1)] for i in range(WINDOWS)], out)


def verdict(program, python, folder, file, expected):
    """What a program makes of a folder: its words, and whether it is wrong."""
    load = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.py")
    try:
        done = subprocess.run([python, load, program, folder, file], capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        return "does not end in 15 minutes", True
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = [line for line in done.stderr.strip().splitlines() if line.strip()]
        return "refuses: " + (said[-1].strip()[:160] if said else f"status {done.returncode}"), False
    found = json.loads(lines[-1])["perplexity"]
    ratio = math.log(found / expected) if found > 0 else math.inf
    if abs(ratio) < NEAR:
        return f"loads ({100 * ratio:+.2f} %)", False
    return f"WRONG: {found:.2f} and not {expected:.2f}", True


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--work", required=True)
    arguments.add_argument("--vllm")
    arguments.add_argument("--only", default="")
    arguments.add_argument("--models", default=os.path.join(ROOT, "examples/tiny"))
    arguments.add_argument("--settings", default="")
    asked = arguments.parse_args()
    os.makedirs(asked.work, exist_ok=True)
    only = [name for name in asked.only.split(",") if name]
    wrong = 0
    for model in asked.models.split(","):
        file = os.path.join(asked.work, "windows.json")
        windows(model, file)
        print(f"{model}: ln of perplexity beside ours\n\n| setting | format | what it does |\n|---|---|---|", flush=True)
        for setting, formats, words in SETTINGS:
            if not re.search(asked.settings, setting):
                continue
            folders = written(model, os.path.join(asked.work, "model"), formats, words)
            for format, folder in folders.items():
                said = []
                expected = ours(folder, format)
                for program in PROGRAMS[format]:
                    python = asked.vllm if program == "vLLM" else sys.executable
                    if python is None or (only and program not in only):
                        continue
                    sentence, bad = verdict(program, python, folder, file, expected)
                    wrong += bad
                    said.append(f"{program} {sentence}".replace("|", "/"))
                if said:
                    print(f"| {setting} | {format} | {'; '.join(said)} |", flush=True)
    sys.exit(1 if wrong else 0)


main()
