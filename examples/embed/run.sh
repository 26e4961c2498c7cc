#!/bin/sh
# Puts the jars of this repository into a repository of artifacts of their own (target/artifacts), builds this project against
# them as anyone's, and runs it. Needs a JDK 25 in JAVA_HOME.
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd -P)
mkdir -p target
# Downloads are shared with other builds, what is installed here is not.
local=$root/target/artifacts
mvn -B -q -f "$root" -DskipTests "-Dmaven.repo.local=$local" "$@" install
mvn -B -q "-Dmaven.repo.local=$local" "$@" package

# A model and a text of one's own: as the project's family and codec want them.
rm -rf target/model target/w4 target/text.txt.zz
cp -R "$root/examples/tiny" target/model
sed 's/"model_type": *"[a-z0-9_]*"/"model_type": "example"/' "$root/examples/tiny/config.json" >target/model/config.json
python3 -c 'import sys, zlib; sys.stdout.buffer.write(zlib.compress(open(sys.argv[1], "rb").read()))' \
  "$root/examples/text/demo-calibration.txt" >target/text.txt.zz
"$JAVA_HOME/bin/java" --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED \
  -cp "target/classes:target/lib/*" example.Plugged target/model target/text.txt.zz target/w4
grep -q '"quant_method" *: *"plain"' target/w4/config.json
