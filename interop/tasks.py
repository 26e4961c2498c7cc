"""What lm-evaluation-harness makes of the small sets in examples/tasks with the bundled model, as float32:
log-likelihoods of all requests, what is written, and all metrics. TaskEvaluationTest holds this program against it.

    pip install 'lm-eval[hf]==0.4.13'
    python interop/tasks.py
"""

import json
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
SETS = ROOT / "examples/tasks"
RECORD = ROOT / "gptq-models/src/test/resources/dev/gptq/models/tasks/harness.json"
SHOTS = {"gsm8k": [0, 2], "mmlu_anatomy": [0, 2], "mmlu_abstract_algebra": [0]}


def definition(manager, name):
    """The harness' own definition with our files in place of its data set."""
    entry = manager.task_index[name]
    config = load_yaml(entry.yaml_path, resolve_func=True)
    files = {f.stem: str(f) for f in sorted((SETS / name).glob("*.jsonl"))}
    for key in ("training_split", "validation_split", "test_split"):
        if config.get(key) and config[key] not in files:
            config[key] = None
    config.update(task=name, dataset_path="json", dataset_name=None, dataset_kwargs={"data_files": files})
    config.pop("tag", None)
    return config


def main():
    model = HFLM(pretrained=str(ROOT / "examples/tiny"), dtype="float32", device="cpu", batch_size=4)
    manager = TaskManager(include_defaults=True)
    found = []
    for folder in sorted(p for p in SETS.iterdir() if p.is_dir()):
        for shots in SHOTS.get(folder.name, [0]):
            results = lm_eval.simple_evaluate(
                model, tasks=[definition(manager, folder.name)], task_manager=manager, num_fewshot=shots, log_samples=True,
                bootstrap_iters=100)
            samples = results["samples"][folder.name]
            entry = {"task": folder.name, "shots": shots, "metrics": {}, "requests": []}
            for key, value in results["results"][folder.name].items():
                if isinstance(value, (int, float)) and "," in key:
                    entry["metrics"][key] = value
            seen = set()
            for sample in sorted(samples, key=lambda s: s["doc_id"]):
                if sample["doc_id"] in seen:
                    continue
                seen.add(sample["doc_id"])
                if isinstance(sample["resps"][0][0], str):
                    entry["requests"].append(
                        {"prompt": sample["arguments"][0][0] if isinstance(sample["arguments"], list)
                         else sample["arguments"]["gen_args_0"]["arg_0"], "written": sample["resps"][0][0]})
                    continue
                arguments = sample["arguments"]
                pairs = ([(a[0], a[1]) for a in arguments] if isinstance(arguments, list)
                         else [(a["arg_0"], a["arg_1"]) for a in arguments.values()])
                for (context, continuation), response in zip(pairs, sample["resps"]):
                    entry["requests"].append({"context": context, "continuation": continuation,
                                              "ll": float(response[0][0]), "greedy": bool(response[0][1])})
            found.append(entry)
    RECORD.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
