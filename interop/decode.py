"""Holds the formats of one run against each other: decode.py FOLDER

GGUF is decoded by the package of its owners, the others from their descriptions.
"""

import glob
import json
import os
import struct
import sys

import gguf
import numpy as np

TYPES = {"I32": np.int32, "U32": np.uint32, "F16": np.float16, "F32": np.float32, "I64": np.int64}
HEADS = {"attn_q": 8, "attn_k": 4}
GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
# Which of eight outputs is in the fields of a word of AWQ, from the low end.
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def tensors(folder):
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        head = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    head.pop("__metadata__", None)
    found = {}
    for name, entry in head.items():
        begin, end = entry["data_offsets"]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(data[begin:end], np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(data[begin:end], TYPES[entry["dtype"]])
        found[name] = values.reshape(entry["shape"])
    return found


def fields(words):
    """Eight fields of 4 bits of each word, along a new last axis."""
    return (words.astype(np.int64)[..., None] >> np.arange(0, 32, 4)) & 15


def spread(values, width):
    return np.repeat(values.astype(np.float32), width // values.shape[1], 1)


def gptq(t, m):
    codes = fields(t[m + ".qweight"]).transpose(1, 0, 2)
    codes = codes.reshape(codes.shape[0], -1)
    zeros = fields(t[m + ".qzeros"]).reshape(t[m + ".qzeros"].shape[0], -1) + 1
    groups = t[m + ".g_idx"]
    return t[m + ".scales"].astype(np.float32).T[:, groups] * (codes - zeros.T[:, groups]).astype(np.float32)


def compressed(t, m):
    rows, columns = t[m + ".weight_shape"]
    codes = fields(t[m + ".weight_packed"]).reshape(rows, -1)[:, :columns] - 8
    return spread(t[m + ".weight_scale"], columns) * codes.astype(np.float32)


def awq(t, m):
    def unpacked(words):
        return fields(words)[..., np.argsort(AWQ_ORDER)].reshape(words.shape[0], -1).T

    codes = unpacked(t[m + ".qweight"])
    width = codes.shape[1]
    zeros = np.repeat(unpacked(t[m + ".qzeros"]), width // t[m + ".qzeros"].shape[0], 1)
    return spread(t[m + ".scales"].T, width) * (codes - zeros).astype(np.float32)


def mlx(t, m):
    codes = fields(t[m + ".weight"]).reshape(t[m + ".weight"].shape[0], -1)
    width = codes.shape[1]
    return spread(t[m + ".scales"], width) * codes.astype(np.float32) + spread(t[m + ".biases"], width)


def of_llama_cpp(file, m):
    layer, module = m.removeprefix("model.layers.").split(".", 1)
    name = GGUF_NAMES[module]
    tensor = next(t for t in file.tensors if t.name == f"blk.{layer}.{name}.weight")
    matrix = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    if name in HEADS:
        heads, width = HEADS[name], matrix.shape[1]
        matrix = matrix.reshape(heads, -1, 2, width).swapaxes(1, 2).reshape(-1, width)
    return matrix


def main():
    folder = sys.argv[1]
    stored = {name: tensors(os.path.join(folder, name)) for name in ("gptq", "compressed-tensors", "awq", "mlx")}
    file = gguf.GGUFReader(glob.glob(os.path.join(folder, "gguf", "*.gguf"))[0])
    modules = sorted(name.removesuffix(".qweight") for name in stored["gptq"] if name.endswith(".qweight"))
    if len(modules) != len(GGUF_NAMES):
        sys.exit(f"interop: {len(modules)} modules are quantized and not {len(GGUF_NAMES)}")
    for module in modules:
        expected = gptq(stored["gptq"], module)
        for name, found in {
            "compressed-tensors": compressed(stored["compressed-tensors"], module),
            "awq": awq(stored["awq"], module),
            "mlx": mlx(stored["mlx"], module),
            "gguf": of_llama_cpp(file, module),
        }.items():
            if not np.array_equal(expected, found):
                sys.exit(f"interop: {module} is another matrix in {name} than in gptq")
    print(f"interop: {len(modules)} matrices are the same in gptq, compressed-tensors, awq, mlx and, by its package, gguf")


main()
