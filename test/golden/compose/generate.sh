#!/usr/bin/env bash
# Makes the expected files anew with the docker client of this machine: `bash test/golden/compose/generate.sh`, see README.md.
# The cases are copied to /srv/compose, so that paths in the output do not depend on the checkout.
set -euo pipefail
cd "$(dirname "$0")"
place=/srv/compose
[ ! -e "$place" ] || { echo "$place exists: move it away first" >&2; exit 1; }
trap 'rm -rf "$place"' EXIT
for folder in */; do
  name=${folder%/}
  mkdir -p "$place"
  cp -r "$name" "$place/$name"
  rm -f "$name/expected.yml" "$name/expected-error.txt"
  variables=()
  [ ! -f "$name/environment" ] || mapfile -t variables <"$name/environment"
  arguments='-c compose.yml'
  [ ! -f "$name/arguments" ] || arguments=$(<"$name/arguments")
  # shellcheck disable=SC2086
  if (cd "$place/$name" && env -i PATH="$PATH" HOME=/home/user "${variables[@]}" docker stack config $arguments) \
    >"$place/out" 2>"$place/err"; then
    cp "$place/out" "$name/expected.yml"
  else
    cp "$place/err" "$name/expected-error.txt"
  fi
done
docker --version
