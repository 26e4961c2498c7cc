#!/usr/bin/env bash
# Measures the CPU backend against OpenBLAS, in turns, from built jars:
#   mvn -q -DskipTests package dependency:copy-dependencies -pl gptq-bench -am
#   gptq-bench/bench.sh LIB RESULTS [ROUNDS]
# LIB is a folder with all jars. Refuses to record while others use the machine.
# Compare two recorded runs: java -cp 'LIB/*' dev.gptq.bench.Compare BEFORE.json AFTER.json
set -euo pipefail

lib=${1:?folder of jars}
results=${2:?folder of results}
rounds=${3:-3}
threads=${THREADS:-$(nproc)}
size=${SIZE:-2048}
# The best kernels for the processor; OpenBLAS' own choice is not always that.
if [ -z "${OPENBLAS_CORETYPE:-}" ]; then
  if grep -qm1 avx512f /proc/cpuinfo; then OPENBLAS_CORETYPE=SkylakeX; else OPENBLAS_CORETYPE=Haswell; fi
fi
export OPENBLAS_CORETYPE OPENBLAS_NUM_THREADS=$threads

load() { cut -d' ' -f1 /proc/loadavg; }
if awk -v load="$(load)" -v cores="$(nproc)" 'BEGIN { exit !(load > cores / 2) }'; then
  echo "the load is $(load) on $(nproc) processors: not recording" >&2
  exit 1
fi

mkdir -p "$results"
jmh() { java -cp "$lib/*" org.openjdk.jmh.Main -f 1 -p "n=$size" -rf json "$@"; }
for round in $(seq "$rounds"); do
  echo "round $round, load $(load), $threads threads, $OPENBLAS_CORETYPE"
  jmh -rff "$results/simd-$round.json" -p backend=simd -p "threads=$threads" \
    'dev.gptq.bench.(GemmBenchmark|GramBenchmark|CholeskyBenchmark)'
  jmh -rff "$results/openblas-$round.json" 'dev.gptq.bench.OpenBlasBenchmark'
done
java -cp "$lib/*" dev.gptq.bench.Ratios "$results"
echo "load $(load)"
