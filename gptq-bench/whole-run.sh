#!/usr/bin/env bash
# Quantizes a checkpoint of a published model's shapes from disk to disk and says what it took:
#   gptq-bench/whole-run.sh LIB SHAPE FOLDER [OPTION...]
# LIB is a folder with all jars (see docs/development.md), SHAPE is llama-2-7b, llama-3-8b, -70b or -405b,
# qwen3-30b-a3b or opt-175b-block, with :N for another number of blocks.
# The checkpoint is written to FOLDER/SHAPE unless it is there, the result to FOLDER/SHAPE-w4 and
# deleted. OPTIONs go to the quantize command. GPTQ names another launcher, as a portable folder's,
# and CALIBRATION another text.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
lib=${1:?folder of jars}
shape=${2:?shape}
folder=${3:?folder for checkpoints}
shift 3
gptq=${GPTQ:-$root/gptq}
calibration=${CALIBRATION:-$root/examples/text/demo-calibration.txt}
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

if [ ! -d "$folder/$shape" ]; then
  mkdir -p "$folder"
  "$java" -cp "$lib/*" dev.gptq.bench.checkpoint.SyntheticCheckpoint \
    "$shape" "$folder/$shape" "$root/examples/tiny"
fi

# What other tools see of the GPU's memory, the driver's own part included.
gpu=$(mktemp)
watch=
if command -v nvidia-smi >/dev/null; then
  nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem --format=csv,noheader
  nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 100 >"$gpu" &
  watch=$!
fi
trap 'kill $watch 2>/dev/null || true; rm -f "$gpu"' EXIT

start=$(date +%s%N)
"$gptq" quantize --model "$folder/$shape" --output "$folder/$shape-w4" --overwrite --no-resume --json \
  --calibration "$calibration" --samples 128 --seq-len 2048 "$@"
end=$(date +%s%N)
echo "$(((end - start) / 1000000)) ms from start to exit"
if [ -s "$gpu" ]; then
  echo "$(sort -n "$gpu" | tail -n 1) MiB of the GPU's memory at most in use"
fi
rm -rf "$folder/$shape-w4"
