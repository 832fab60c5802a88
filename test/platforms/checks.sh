# What the scripts that run inside a platform share. WAIT: how many seconds anything may take (60).
wait=${WAIT:-60}
failures=0
started=$SECONDS

# check WHAT COMMAND...: one line of the outcome: when, since the start, and how long it took.
check() {
  local what=$1 began=${EPOCHREALTIME/./} verdict=ok took
  shift
  "$@" || { verdict=FAIL && failures=$((failures + 1)); }
  took=$(((${EPOCHREALTIME/./} - began) / 100000))
  printf '%-5s %s s  %s (%s.%s s)\n' "$verdict" $((SECONDS - started)) "$what" $((took / 10)) $((took % 10))
}

# in_time COMMAND...: waits until COMMAND succeeds.
in_time() {
  local end=$((SECONDS + wait))
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.5
  done
}

same() { [ -n "$1" ] && [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; false; }; }

# Directories of the container's cgroup in every hierarchy.
cgroups_of() { find /sys/fs/cgroup -type d -path "*tsswarm*$1*" 2>/dev/null; }

# limited ID FILE2 VALUE2 FILE1 VALUE1: the file of version 2, or that of version 1, holds the value.
limited() {
  local directory
  for directory in $(cgroups_of "$1"); do
    [ "$(cat "$directory/$2" 2>/dev/null)" = "$3" ] && return 0
    [ "$(cat "$directory/$4" 2>/dev/null)" = "$5" ] && return 0
  done
  for directory in $(cgroups_of "$1"); do grep -H . "$directory/$2" "$directory/$4" 2>/dev/null; done
  return 1
}

# The first process of the container, which its shell is.
main_process_of() { cgroups_of "$1" | while read -r directory; do cat "$directory/cgroup.procs"; done | sort -n | head -1; }

# image_archive FOLDER: FOLDER/image.tar, busybox of this distribution as an image.
image_archive() {
  local work=$1
  mkdir -p "$work/root/bin"
  cp "$(command -v busybox)" "$work/root/bin/"
  chroot "$work/root" /bin/busybox --install -s /bin
  tar -C "$work/root" -cf "$work/layer.tar" .
  printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(sha256sum "$work/layer.tar" | cut -d' ' -f1)" >"$work/config.json"
  printf '[{"Config":"config.json","RepoTags":["busybox:latest"],"Layers":["layer.tar"]}]' >"$work/manifest.json"
  tar -C "$work" -cf "$work/image.tar" manifest.json config.json layer.tar
}

finish() {
  echo "$failures failures on $(. /etc/os-release; echo "$PRETTY_NAME"), kernel $(uname -r), node $(node --version)"
  [ "$failures" = 0 ] || exit 1
  exit 0
}
