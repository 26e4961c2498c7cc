"""make.py FOLDER [--seed N] [--tokens N]: makes a checkpoint of FOLDER/config.json with random weights and what transformers computes from it.

Needs transformers, torch and safetensors, as interop/requirements.txt pins them. Weights are far from zero, so that every step shows.
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--seed", type=int, default=7)
parser.add_argument("--tokens", type=int, default=24)
asked = parser.parse_args()

torch.manual_seed(asked.seed)
settings = json.loads((asked.folder / "config.json").read_text())
config = AutoConfig.for_model(**settings)
model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
with torch.no_grad():
    for name, weight in model.state_dict().items():
        gain = weight.dim() == 1 and name.endswith("weight")
        # What keeps xIELU from zero is a constant.
        if weight.is_floating_point() and not name.endswith(".eps"):
            weight.normal_(1.0 if gain else 0.0, 0.2)
model.to(torch.bfloat16).save_pretrained(asked.folder)

model = AutoModelForCausalLM.from_pretrained(asked.folder, dtype=torch.float32, attn_implementation="eager").eval()
ids = torch.randint(3, config.get_text_config().vocab_size, (2, asked.tokens))
with torch.no_grad():
    seen = model(ids, output_hidden_states=True, use_cache=False)
expected = {"input_ids": ids, "logits": seen.logits}
expected |= {f"hidden_{i}": state for i, state in enumerate(seen.hidden_states)}
save_file({name: tensor.contiguous() for name, tensor in expected.items()}, asked.folder / "expected.safetensors")
for file in asked.folder.glob("*.safetensors"):
    file.chmod(0o644)
