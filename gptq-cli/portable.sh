#!/bin/sh
# Makes a folder that runs where there is no JDK and no network, such as a GPU machine of a cluster:
#   gptq-cli/portable.sh FOLDER [DISTRIBUTION]
# FOLDER is made and holds the distribution, a Java runtime and the completion of a shell; bin/gptq in it
# starts. It runs on machines with the operating system and the processor of this one, and takes CUDA's
# libraries from there. The release workflow packs such folders, made on each system, into its archives.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd -P)
folder=${1:?the folder to make}
distribution=${2:-}
if [ -z "$distribution" ]; then
  "$root/gptq" --version >&2 # builds what is not built
  distribution=$root/gptq-cli/target/distribution
fi
if [ ! -d "$distribution/lib" ]; then
  echo "portable: $distribution is no distribution; build one with ./gptq --version" >&2
  exit 65
fi
if [ -e "$folder" ]; then
  echo "portable: $folder exists; give another folder" >&2
  exit 65
fi

jlink=
for jdk in "${GPTQ_JAVA_HOME:-}" "${JAVA_HOME:-}" /usr/lib/jvm/* \
  "${SDKMAN_DIR:-${HOME:-}/.sdkman}"/candidates/java/* "${HOME:-}"/.jdks/*; do
  if [ -x "$jdk/bin/jlink" ] && grep -q '^JAVA_VERSION="25[."]' "$jdk/release" 2>/dev/null; then
    jlink=$jdk/bin/jlink
    break
  fi
done
if [ -z "$jlink" ]; then
  echo "portable: found no JDK 25 with jlink; set GPTQ_JAVA_HOME to the folder of one" >&2
  exit 78
fi

mkdir -p "$folder"
cp -pR "$distribution/." "$folder"
rm -f "$folder/config/classes.jsa"
mkdir -p "$folder/bin"
mv "$folder/gptq" "$folder/gptq.cmd" "$folder/bin"
# java.desktop draws the plots; jdk.jfr profiles; jdk.unsupported is for Guava and the tokenizer.
"$jlink" --output "$folder/jre" --compress zip-6 --no-header-files --no-man-pages --generate-cds-archive \
  --add-modules java.base,java.desktop,java.logging,java.management,java.net.http,java.xml \
  --add-modules jdk.incubator.vector,jdk.jfr,jdk.management,jdk.unsupported,jdk.zipfs

# Where bash-completion looks for it, and what it is sourced from otherwise.
completions=$folder/share/bash-completion/completions
mkdir -p "$completions"
case $(uname -s) in
  MINGW* | MSYS* | CYGWIN*) gptq=$folder/bin/gptq.cmd ;;
  *) gptq=$folder/bin/gptq ;;
esac
GPTQ_JAVA_HOME='' "$gptq" generate-completion >"$completions/gptq"
# The command script of Windows starts without it.
if [ "$gptq" = "$folder/bin/gptq" ]; then
  GPTQ_JAVA_HOME='' "$root/gptq-cli/class-archive.sh" "$folder"
fi

cuda=$(ls "$folder"/lib/gptq-cuda-*.jar 2>/dev/null || true)
if [ -n "$cuda" ] && ! "${jlink%jlink}jar" tf "$cuda" | grep -q '\.fatbin$'; then
  echo "portable: this build had no nvcc, so the GPU machine must have libnvrtc for the kernels" >&2
fi
echo "made $folder ($(du -sh "$folder" | cut -f1)); copy it to the other machine and run ${gptq#"$folder/"} there"
