"""Writes models in every format and setting, loads each with every program that claims the format, and compares.

Prints the table that docs/format.md shows. A program that gives other probabilities than ours is wrong, whoever is to blame, and
so is one that goes on without some of the weights.
"""

import argparse
import json
import os
import queue
import re
import shutil
import struct
import subprocess
import sys
import threading
from datetime import date

from families import FAMILIES, GGUF_ONLY

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
TEXT = os.path.join(ROOT, "examples/text/demo-evaluation.txt")
CALIBRATION = os.path.join(ROOT, "examples/text/demo-calibration.txt")
TINY = os.path.join(ROOT, "examples/tiny")
LENGTH = 128
WINDOWS = 2
PATIENCE = 900

# Root mean square of the differences of tokens' losses, as a part of their spread. llama.cpp rounds activations to 8 bits and
# vLLM runs in bfloat16: 0.1 to 3 %. Other weights give 30 % and more.
NEAR = 0.1

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
    ("4 bits, symmetric", "gptq,compressed-tensors,awq,mlx,gguf", "--bits 4 --group-size 32"),
    ("4 bits, symmetric, groups of 128", "gptq,compressed-tensors", "--bits 4"),
    ("4 bits, asymmetric", "gptq_v2,compressed-tensors,awq,mlx,gguf", "--bits 4 --group-size 32 --asym"),
    ("8 bits, symmetric", "gptq,compressed-tensors,mlx,gguf", "--bits 8 --group-size 32"),
    ("8 bits, asymmetric", "gptq_v2,compressed-tensors,mlx", "--bits 8 --group-size 32 --asym"),
    ("3 bits, symmetric", "gptq,compressed-tensors,mlx,gguf", "--bits 3 --group-size 32"),
    ("3 bits, asymmetric", "gptq_v2,mlx,gguf", "--bits 3 --group-size 32 --asym"),
    ("2 bits, symmetric", "gptq,compressed-tensors,mlx,gguf", "--bits 2 --group-size 32"),
    ("whole rows", "gptq,compressed-tensors,mlx,gguf", "--bits 4 --group-size -1"),
    ("act-order, static groups", "gptq,compressed-tensors", "--group-size 32 --method gptq --act-order"),
    ("act-order, scattered groups", "gptq", "--group-size 32 --method gptq --act-order --no-static-groups"),
    ("attention of a block left out", "gptq,compressed-tensors,mlx,gguf", "--group-size 32 --exclude layers\\.0\\.self_attn"),
    ("q_proj of a block left out", "gptq,compressed-tensors", "--group-size 32 --exclude layers\\.0\\.self_attn\\.q_proj"),
    (
        "mixed settings",
        "gptq,compressed-tensors,mlx,gguf",
        "--group-size 64 --method gptq --include layers\\.[01]\\. --observe 2",
    ),
    ("Q4_K_M", "gguf", "--type Q4_K_M"),
    ("Q3_K_M", "gguf", "--type Q3_K_M"),
    ("Q2_K", "gguf", "--type Q2_K"),
    ("Q5_K_M", "gguf", "--type Q5_K_M"),
    ("Q6_K", "gguf", "--type Q6_K"),
]

# What is run of a family: its modules are the same in all settings.
FAMILY_SETTINGS = [("4 bits, symmetric", "gptq,compressed-tensors,mlx,gguf", "--bits 4 --group-size 32")]
MIXTURE_SETTINGS = [
    ("4 bits, asymmetric", "compressed-tensors,awq", "--bits 4 --group-size 32 --asym"),
    ("experts of a block left out", "gptq,compressed-tensors", "--group-size 32 --exclude layers\\.1\\..*experts"),
]


# What is run of some families as well, or alone.
SIGHT_SETTING = ("Q4_K_M", "gguf", "--type Q4_K_M")
MXFP4_SETTING = ("8 bits but for experts in MXFP4", "gguf", "--bits 8 --group-size 32 --exclude experts")


def settings_of(family):
    """What is run of a family."""
    if family.endswith("mxfp4"):
        return [MXFP4_SETTING]
    settings = FAMILY_SETTINGS + (MIXTURE_SETTINGS if "moe" in family or family == "mixtral" else [])
    if family in GGUF_ONLY:
        settings = [(setting, "gguf", words) for setting, formats, words in settings if "gguf" in formats]
    return settings + ([SIGHT_SETTING] if "-vl" in family else [])


class Refused(Exception):
    """What our own program says where it does not write something."""


def gptq(*words):
    command = os.environ.get("INTEROP_GPTQ", os.path.join(ROOT, "gptq"))
    done = subprocess.run([command, *words], capture_output=True, text=True)
    if done.returncode:
        raise Refused(re.sub(r"^gptq: ", "", done.stderr.strip().splitlines()[-1]))
    return done


def written(model, output, formats, words):
    """The folder of each format that can hold it, and what we say of those that cannot."""
    shutil.rmtree(output, ignore_errors=True)
    words = words.split()
    if "--method" not in words and "--type" not in words:
        words += ["--method", "rtn"]
    if "rtn" not in words:
        words += ["--calibration", CALIBRATION, "--samples", "4", "--seq-len", "64", "--quality", "fast"]
    folders, refused = {}, {}
    try:
        gptq("quantize", "--model", model, "--output", output, "--format", formats, *words)
        names = formats.split(",")
        folders = {name: output if len(names) == 1 else os.path.join(output, name) for name in names}
    except Refused:
        for name in formats.split(","):
            place = output + "-" + name
            shutil.rmtree(place, ignore_errors=True)
            try:
                gptq("quantize", "--model", model, "--output", place, "--format", name, *words)
                folders[name] = place
            except Refused as e:
                refused[name] = str(e)
    return folders, refused


def losses(folder, windows, work):
    """Of every token but the first of each window, by us."""
    import numpy as np

    files = [name for name in os.listdir(folder) if name.endswith(".gguf")]
    model = os.path.join(folder, files[0]) if files else folder
    out = os.path.join(work, "logits.safetensors")
    gptq("logits", "--model", model, "--tokens", os.path.join(work, "windows.safetensors"), "--output", out)
    with open(out, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        shape = json.loads(file.read(size))["logits"]["shape"]
        scores = np.frombuffer(file.read(), dtype="<f4").reshape(shape)[:, :-1].astype(np.float64)
    top = scores.max(2)
    logs = top + np.log(np.exp(scores - top[..., None]).sum(2))
    ids = np.array(windows)[:, 1:, None]
    return (logs - np.take_along_axis(scores, ids, 2)[..., 0]).ravel()


def windows(work):
    """Tokens of the text, which all models here have in common, as a list and as a file for us."""
    import numpy as np
    from tokenizers import Tokenizer

    with open(TEXT, encoding="utf-8") as text:
        ids = Tokenizer.from_file(os.path.join(TINY, "tokenizer.json")).encode(text.read(), add_special_tokens=False).ids
    made = [ids[LENGTH * i : LENGTH * (i + 1)] for i in range(WINDOWS)]
    with open(os.path.join(work, "windows.json"), "w", encoding="utf-8") as out:
        json.dump(made, out)
    data = np.array(made, dtype="<i4").tobytes()
    head = json.dumps(
        {"input_ids": {"dtype": "I32", "shape": [WINDOWS, LENGTH], "data_offsets": [0, len(data)]}}
    ).encode()
    head += b" " * (-len(head) % 8)
    with open(os.path.join(work, "windows.safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(head)) + head + data)
    return made


class Program:
    """A process that loads one model after the other; another where it ends."""

    def __init__(self, name, python, work):
        self.name, self.python, self.work, self.process, self.version = name, python, work, None, None

    def start(self):
        self.log = os.path.join(self.work, re.sub(r"\W", "", self.name) + ".log")
        self.process = subprocess.Popen(
            [self.python, os.path.join(HERE, "load.py"), self.name, os.path.join(self.work, "windows.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(self.log, "a"),
            text=True,
        )
        self.answers = queue.Queue()
        threading.Thread(target=self.read, args=(self.process.stdout,), daemon=True).start()
        hello = self.answer()
        self.version = hello.get("version")
        return hello

    def read(self, stream):
        answers = self.answers
        for line in stream:
            answers.put(json.loads(line))
        answers.put(None)

    def answer(self):
        try:
            said = self.answers.get(timeout=PATIENCE)
        except queue.Empty:
            said = None
            self.process.kill()
        if said is None:
            self.process.wait()
            status, self.process = self.process.returncode, None
            return {"refuses": f"ends with status {status}"}
        return said

    def load(self, folder):
        if self.process is None:
            hello = self.start()
            if "refuses" in hello:
                return hello
        self.process.stdin.write(folder + "\n")
        self.process.stdin.flush()
        return self.answer()


def verdict(answer, expected):
    """What a program makes of a model, and whether it is wrong."""
    import numpy as np

    if "lacks" in answer:
        return "not seen", f"has no kernel {answer['lacks']} for this processor", False
    if "refuses" in answer:
        return "refuses", answer["refuses"][:150], False
    if "incomplete" in answer:
        return "WRONG", "goes on without some weights, " + answer["incomplete"], True
    off = np.concatenate([np.ravel(part) for part in answer["losses"]]) - expected
    part = float(np.sqrt(np.mean(off**2)) / np.std(expected))
    if part < NEAR:
        return f"loads, {100 * part:.1f} %", None, False
    return "WRONG", f"off by {100 * part:.0f} % of the losses' spread", True


def check(model, settings, programs, work, tokens, notes):
    """Rows of a table, and how many of them are wrong."""
    wrong = 0
    for setting, formats, words in settings:
        formats = ",".join(name for name in formats.split(",") if any(p in programs for p in PROGRAMS[name]))
        if not formats:
            continue
        folders, refused = written(model, os.path.join(work, "model"), formats, words)
        expected = None
        for format in formats.split(","):
            cells = []
            if format in refused:
                cells = [f"not written[^{note(notes, refused[format])}]"]
            else:
                if expected is None:
                    expected = losses(folders[format], tokens, work)
                for name in PROGRAMS[format]:
                    if name in programs:
                        said, why, bad = verdict(programs[name].load(folders[format]), expected)
                        wrong += bad
                        cells.append(f"{name} {said}" + (f"[^{note(notes, why)}]" if why else ""))
            print(f"| {os.path.basename(model)} | {setting} | {format} | {'; '.join(cells)} |", flush=True)
    return wrong


def note(notes, words):
    words = " ".join(re.sub(r"/[\w./-]+/", "", words).split())
    if words not in notes:
        notes.append(words)
    return notes.index(words) + 1


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--work", required=True)
    arguments.add_argument("--vllm")
    arguments.add_argument("--only", default="")
    arguments.add_argument("--models", default="")
    arguments.add_argument("--families", default="")
    arguments.add_argument("--settings", default="")
    arguments.add_argument("--part", default="1/1")
    asked = arguments.parse_args()
    work = os.path.abspath(asked.work)
    os.makedirs(work, exist_ok=True)
    only = [name for name in asked.only.split(",") if name]
    names = dict.fromkeys(name for list in PROGRAMS.values() for name in list)
    programs = {
        name: Program(name, asked.vllm if name == "vLLM" else sys.executable, work)
        for name in names
        if (not only or name in only) and (name != "vLLM" or asked.vllm)
    }
    tokens = windows(work)
    print("| model | setting | format | what programs do |\n|---|---|---|---|", flush=True)
    wrong, notes = 0, []
    models = [name for name in asked.models.split(",") if name] or [TINY]
    items = [(model, setting) for model in models for setting in SETTINGS if re.search(asked.settings, setting[0])]
    families = os.path.join(work, "families")
    for name in FAMILIES if asked.families != "none" else ():
        if re.search(asked.families, name):
            items += [(os.path.join(families, name), setting) for setting in settings_of(name)]
    part, parts = map(int, asked.part.split("/"))
    items = items[part - 1 :: parts]
    made = {os.path.basename(model) for model, _ in items if os.path.dirname(model) == families}
    if made:
        regex = "^(" + "|".join(map(re.escape, sorted(made))) + ")$"
        subprocess.run([sys.executable, os.path.join(HERE, "families.py"), families, regex], check=True)
    try:
        for model, setting in items:
            wrong += check(model, [setting], programs, work, tokens, notes)
    finally:
        # Also of what was seen until somebody ended it.
        print()
        for number, words in enumerate(notes, 1):
            print(f"[^{number}]: {words}")
        print(f"\n{date.today()}: " + ", ".join(f"{p.name} {p.version}" for p in programs.values() if p.version), flush=True)
    sys.exit(1 if wrong else 0)


main()
