#!/bin/sh
# Decodes what this project writes with programs of others that are small enough for every change: decode.sh [FOLDER]
# Exit status: 0 if all formats hold the same matrices, 1 if not, 75 if the packages cannot be had.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
work=${1:-$here/.work}
gptq=${INTEROP_GPTQ:-$here/../gptq}
mkdir -p "$work"
if [ -z "${INTEROP_PYTHON:-}" ]; then
  INTEROP_PYTHON=$work/decode/bin/python
  if [ ! -x "$INTEROP_PYTHON" ] || ! "$INTEROP_PYTHON" -c 'import gguf, numpy' 2>/dev/null; then
    if ! timeout 60 python3 -m venv "$work/decode" ||
      ! timeout 60 "$work/decode/bin/pip" install --quiet --disable-pip-version-check --retries 0 gguf==0.19.0 numpy==2.3.5; then
      echo "interop: gguf and numpy could not be installed: what we write was NOT decoded by others in this run"
      exit 75
    fi
  fi
fi
"$gptq" quantize --model "$here/../examples/tiny" --output "$work/decoded" --method rtn --group-size 32 --overwrite --progress none \
  --include 'layers\.1\.' --format gptq,compressed-tensors,awq,mlx,gguf >/dev/null
"$INTEROP_PYTHON" "$here/decode.py" "$work/decoded"
