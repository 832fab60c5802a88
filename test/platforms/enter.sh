#!/usr/bin/env bash
# enter.sh TREE COMMAND...: runs COMMAND as root in the distribution unpacked in TREE, on this machine's kernel.
# Mounts, processes, network and cgroups are its own, so that nothing it does or leaves meets this machine; the way out
# is a veth pair and a masquerade of this machine, both gone afterwards. TREE is changed.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo 'enter.sh makes namespaces: run it as root' >&2; exit 1; }
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || { echo 'enter.sh needs forwarding: sysctl -w net.ipv4.ip_forward=1' >&2; exit 1; }
tree=$(realpath "$1")
shift
name=tsplat$$
number=$(($$ % 250))
groups=()

# into_cgroup DIRECTORY: this shell moves there.
into_cgroup() {
  mkdir "$1"
  groups+=("$1")
  for file in cpuset.cpus cpuset.mems; do
    [ ! -f "$1/$file" ] || cat "${1%/*}/$file" >"$1/$file" 2>/dev/null || true
  done
  echo $$ >"$1/cgroup.procs"
}

# gone GROUP: removes it; its last processes may still be on their way out.
gone() {
  for _ in $(seq 50); do
    [ -d "$1" ] || return 0
    find "$1" -depth -type d -exec rmdir {} \; 2>/dev/null || sleep 0.1
  done
  [ ! -d "$1" ]
}

clean() {
  trap '' TERM INT HUP
  [ -z "${guest:-}" ] || kill -KILL "$guest" 2>/dev/null || true
  nft delete table ip "$name" 2>/dev/null || true
  for group in "${groups[@]}"; do echo $$ >"${group%/*}/cgroup.procs"; done
  for group in "${groups[@]}"; do gone "$group" || echo "left behind: $group" >&2; done
}
trap clean EXIT
trap 'exit 143' TERM INT HUP

# Below the own cgroup of each hierarchy of version 1, at the top of version 2.
hierarchies=''
while read -r _ point kind options _; do
  case $kind in
    cgroup)
      controller=$(tr ',' '\n' <<<"$options" | grep -vxE 'rw|ro|nosuid|nodev|noexec|relatime|xattr|clone_children|release_agent=.*' | paste -sd,)
      path=$(awk -F: -v controller="$controller" '$2 == controller { print $3 }' /proc/self/cgroup)
      into_cgroup "$point${path%/}/$name"
      hierarchies="$hierarchies $kind:$controller:$point"
      ;;
    cgroup2)
      into_cgroup "$point/$name"
      hierarchies="$hierarchies $kind::$point"
      ;;
  esac
done </proc/mounts

nft -f - <<RULES
table ip $name { chain out { type nat hook postrouting priority srcnat; ip saddr 172.31.$number.2 masquerade; }; }
RULES

# inside: makes the mounts and becomes COMMAND. network: makes the way out and enters the other namespaces.
export tree name number hierarchies outer=$$
inside='
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"
mount -t sysfs sys "$tree/sys"
mount --rbind /dev "$tree/dev"
mount -t tmpfs shm "$tree/dev/shm"
mount -t tmpfs tmp "$tree/tmp"
mount -t tmpfs run "$tree/run"
mkdir -p "$tree/run/lock"
case $hierarchies in *" cgroup:"*) mount -t tmpfs cgroup "$tree/sys/fs/cgroup" ;; esac
for hierarchy in $hierarchies; do
  IFS=: read -r kind controller point <<<"$hierarchy"
  mkdir -p "$tree$point"
  mount -t "$kind" ${controller:+-o "$controller"} cgroup "$tree$point"
done
[ ! -f "$tree/sys/fs/cgroup/cgroup.controllers" ] || { mkdir "$tree/sys/fs/cgroup/shell"; echo 0 >"$tree/sys/fs/cgroup/shell/cgroup.procs"; }
cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
printf "127.0.0.1 localhost\n" >"$tree/etc/hosts"
exec env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  ${NODE_EXTRA_CA_CERTS:+NODE_EXTRA_CA_CERTS="$NODE_EXTRA_CA_CERTS"} nice -n 10 chroot "$tree" "$@"
'
network='
ip link set lo up
ip link add eth0 type veth peer name "$name" netns "$outer"
ip addr add 172.31.$number.2/30 dev eth0
ip link set eth0 up
nsenter --net=/proc/$outer/ns/net ip addr add 172.31.$number.1/30 dev "$name"
nsenter --net=/proc/$outer/ns/net ip link set "$name" up
ip route add default via 172.31.$number.1
exec unshare --mount --propagation private --pid --fork --kill-child=KILL --ipc --uts --cgroup -- bash -euc "$0" inside "$@"
'
# In the background, so that a signal is met at once; `exec` on the way makes its number that of the outermost unshare.
unshare --net -- bash -euc "$network" "$inside" "$@" <&0 &
guest=$!
code=0
wait "$guest" || code=$?
guest=''
exit "$code"
