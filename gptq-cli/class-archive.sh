#!/bin/sh
# Keeps the classes that a start loads as the JVM has them in memory, which starts half a second sooner:
#   gptq-cli/class-archive.sh DISTRIBUTION
# makes config/classes.jsa in it, by a short run of its launcher. It is for that JDK and those jars; with others the
# JVM starts without it.
set -eu

cd "${1:?the distribution}"
gptq=./gptq
if [ ! -f $gptq ]; then
  gptq=bin/gptq
fi
rm -f config/classes.jsa
GPTQ_JAVA_OPTS="-XX:ArchiveClassesAtExit=config/classes.jsa -Xlog:all=off" $gptq generate --backend simd \
  --model examples/tiny --prompt "The captain looked at" --max-tokens 8 >/dev/null
