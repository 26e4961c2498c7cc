#!/bin/sh
# Loads what this project writes with the programs that people load it with, and compares perplexities.
#   interop/check.sh [--work DIR] [--only PROGRAM,...] [--models FOLDER,...] [--settings REGEX] [--families REGEX|none] [--without-vllm]
# Exit status: 0 if nothing is wrong, 1 if a program loads something as another model, 75 if a registry does not answer.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
work=${INTEROP_WORK:-$here/.work}
vllm=yes
left=$#
while [ "$left" -gt 0 ]; do
  word=$1
  shift
  left=$((left - 1))
  case $word in
    --work) work=$1; shift; left=$((left - 1)) ;;
    --without-vllm) vllm=no ;;
    *) set -- "$@" "$word" ;;
  esac
done
mkdir -p "$work"

# Makes a virtual environment of a requirements file, once; what a second file names is installed without what it asks for.
environment() {
  if [ -f "$work/$1/complete" ] && cat "$here/$2" ${3:+"$here/$3"} | cmp -s - "$work/$1/complete"; then
    return
  fi
  rm -rf "${work:?}/$1"
  python3 -m venv "$work/$1"
  # llama.cpp without its part for pictures, which takes a third of the time.
  export CMAKE_ARGS="${CMAKE_ARGS:--DLLAVA_BUILD=OFF}"
  pip="$work/$1/bin/pip install --quiet --disable-pip-version-check"
  if ! $pip -r "$here/$2" || { [ -n "${3:-}" ] && ! $pip --no-deps -r "$here/$3"; }; then
    echo "the packages of $2 could not be installed; nothing was checked" >&2
    exit 75
  fi
  cat "$here/$2" ${3:+"$here/$3"} >"$work/$1/complete"
}

python=${INTEROP_PYTHON:-}
if [ -z "$python" ]; then
  environment programs requirements.txt
  python=$work/programs/bin/python
fi
if [ "$vllm" = yes ]; then
  environment vllm requirements-vllm.txt requirements-vllm-itself.txt
  set -- --vllm "$work/vllm/bin/python" "$@"
fi
exec "$python" "$here/check.py" --work "$work/models" "$@"
