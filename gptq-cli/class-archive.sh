#!/bin/sh
# Keeps the classes that a start loads as the JVM has them in memory, which starts half a second sooner:
#   gptq-cli/class-archive.sh DISTRIBUTION
# makes config/classes.jsa in it, of what two short runs of its launcher load. It is for that JDK and those jars; with
# others the JVM starts without it.
set -eu

cd "${1:?the distribution}"
gptq=./gptq
if [ ! -f $gptq ]; then
  gptq=bin/gptq
fi
rm -f config/classes.jsa
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Writes which classes a command loads, with quiet warnings about those that no archive can hold.
list() {
  GPTQ_JAVA_OPTS="-XX:DumpLoadedClassList=$work/$1.list -Xlog:all=off" $gptq "$@" >/dev/null
}
list generate --backend simd --model examples/tiny --prompt "The captain looked at" --max-tokens 8
quantize() {
  list quantize --model examples/tiny --output "$work/quantized" --overwrite --progress none --quality fast \
    --calibration examples/text/demo-calibration.txt --samples 1 --seq-len 16 "$@"
}
# On a GPU, whose backend has classes of its own, unless others leave it no room.
quantize || quantize --backend simd

# Each list numbers its classes, and only those of other class loaders, which are left out, need that.
cat "$work"/*.list | grep -v ' super: ' | sed 's/ id: [0-9]*$//' | awk '!seen[$0]++' >"$work/classes"
GPTQ_JAVA_OPTS="-Xshare:dump -XX:SharedClassListFile=$work/classes -XX:SharedArchiveFile=config/classes.jsa -Xlog:all=off" \
  $gptq >/dev/null
