#!/bin/sh
# Makes an archive that one unpacks and runs, without a JDK, and its SHA-256 beside it:
#   gptq-cli/archive.sh NAME [DISTRIBUTION]
# NAME names the folder in the archive, such as gptq-0.1.0-linux-x64; both are made in the folder one is in. The
# archive is for the operating system and the processor of this machine, on which it is tried before it is packed.
# Manual pages are in it if the distribution was built with mvn -Pmanual package.
set -eu

name=${1:?the name of the archive, without .tar.gz or .zip}
"$(dirname "$0")/portable.sh" "$@"

case $(uname -s) in
  MINGW* | MSYS* | CYGWIN*) windows=yes gptq=$name/bin/gptq.cmd ;;
  *) windows=no gptq=$name/bin/gptq ;;
esac

# On its own: no java, and nothing of a JDK.
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT
cat >"$trial/java" <<'END'
#!/bin/sh
echo "the archive started the java of the PATH" >&2
exit 1
END
chmod +x "$trial/java"
for arguments in --version "quantize --model $name/examples/tiny --output $trial/w8 --bits 8 --samples 1 --seq-len 32"; do
  # shellcheck disable=SC2086
  env -u JAVA_HOME -u GPTQ_JAVA_HOME PATH="$trial:$PATH" "$gptq" $arguments
done

sha256() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum "$1"
  else
    shasum -a 256 "$1"
  fi
}

if [ $windows = yes ]; then
  # The tar of Windows writes zip files.
  archive=$name.zip
  "${SYSTEMROOT:?}/System32/tar.exe" -a -c -f "$archive" "$name"
else
  archive=$name.tar.gz
  tar -czf "$archive" "$name"
fi
sha256 "$archive" >"$archive.sha256"
echo "made $archive ($(du -h "$archive" | cut -f1))"
