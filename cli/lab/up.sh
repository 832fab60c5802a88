#!/usr/bin/env bash
# npm run up: from a fresh checkout to an answering service. Installs what is missing, builds, makes the lab "default"
# (3 managers, 2 workers), creates the service of cluster-examples/hello and shows it. A second run reuses what there is.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo 'npm run up makes network namespaces and runs containers: run it as root' >&2; exit 1; }
bash .ci/setup
npm run -s build
tsswarm() { node dist/tsswarm.js "$@"; }
show() { printf '\n$ tsswarm %s\n' "$*"; tsswarm lab exec m1 -- tsswarm "$@"; }

if tsswarm lab exec m1 -- tsswarm node ls >/dev/null 2>&1; then
  echo 'lab default is running: using it (remove it with `node dist/tsswarm.js lab down`)'
else
  # What an earlier lab left, after a reboot for example.
  tsswarm lab down >/dev/null
  tsswarm lab up
fi
if ! tsswarm lab exec m1 -- tsswarm service inspect hello >/dev/null 2>&1; then
  printf '\n$ cluster-examples/hello/create.sh\n'
  tsswarm lab exec m1 -- sh cluster-examples/hello/create.sh
fi
show node ls
show service ps hello

# An answer from every node that runs a replica.
tsswarm lab exec m1 -- tsswarm service ps --filter desired-state=running --format '{{.Node}}' hello | sort -u |
  while read -r node; do
    address=$(tsswarm lab ls | awk -v host="$node" '$1 == "default" && $2 == host { print $3 }')
    printf '\nhttp://%s:8080 answers:\n' "$address"
    node -e 'fetch(process.argv[1], { signal: AbortSignal.timeout(10_000) }).then((answer) => answer.text()).then((text) => process.stdout.write(text))' "http://$address:8080"
  done
printf '\nThe lab is running. Try: node dist/tsswarm.js lab exec m1 -- tsswarm --help\nRemove it with: node dist/tsswarm.js lab down\n'
