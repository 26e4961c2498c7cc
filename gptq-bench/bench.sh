#!/usr/bin/env bash
# Measures the CPU backend against OpenBLAS in alternating slices, from built jars:
#   mvn -q -DskipTests package dependency:copy-dependencies -pl gptq-bench -am
#   mkdir bench-lib && cp gptq-bench/target/dependency/*.jar gptq-bench/target/gptq-bench-*.jar bench-lib
#   gptq-bench/bench.sh bench-lib results.json [SIZE] [THREADS…]
# Refuses while others use the processors. On a large machine choose some: taskset -c 2,3 bench.sh …
# Compare two recorded runs: java -cp 'bench-lib/*' dev.gptq.bench.Compare before.json after.json
# A single benchmark with JMH: java -cp 'bench-lib/*' org.openjdk.jmh.Main GemmBenchmark -p backend=simd
set -euo pipefail

lib=${1:?folder of jars}
results=${2:?file of results}
size=${3:-4096}
shift $(($# < 3 ? $# : 3))
# The best kernels for the processor; OpenBLAS' own choice is not always that.
if grep -qm1 avx512f /proc/cpuinfo; then kernels=SkylakeX; else kernels=Haswell; fi

exec java --add-modules=jdk.incubator.vector --enable-native-access=ALL-UNNAMED -XX:+UseParallelGC \
  -XX:+UseTransparentHugePages -cp "$lib/*" dev.gptq.bench.Reach \
  "$results" "$size" "${OPENBLAS_CORETYPE:-$kernels}" "${@:-$(nproc)}"
