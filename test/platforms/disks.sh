#!/usr/bin/env bash
# disks.sh: limits of disks and a volume on NFS, on this very host, which it changes: meant for the guest of boot.sh. The limits
# are seen in the control group and felt by a container that writes; the NFS server is this host's own (nfs-kernel-server).
set -uo pipefail
cd "$(dirname "$0")/../.."
. test/platforms/checks.sh
swarm() { node dist/tsswarm.js "$@"; }

ip link add wire type dummy
ip addr add 192.0.2.1/24 dev wire
ip link set wire up
modprobe loop
truncate -s 96M /tmp/disk
disk=$(losetup -f --show /tmp/disk)
mkfs.ext4 -q "$disk"
mkdir -p /srv/disk
mount "$disk" /srv/disk
mkdir /srv/disk/{limited,free,export}

image_archive /tmp/image
node dist/tsswarm.js daemon --group root >/tmp/daemon.log 2>&1 &
serves() { swarm info >/dev/null 2>&1; }
check 'the daemon serves' in_time serves
[ "$failures" = 0 ] || tail -20 /tmp/daemon.log
[ "$failures" = 0 ] || finish
check 'image load' swarm image load -i /tmp/image/image.tar
check 'swarm init' swarm swarm init --advertise-addr 192.0.2.1
check 'slower heartbeats' in_time swarm swarm update --dispatcher-heartbeat 30s

# writes NAME OPTION...: a service that writes 4 MB to /data and the seconds that took to /data/seconds.
writes() {
  local name=$1
  shift
  swarm service create --name "$name" --detach --restart-condition none --mount "type=bind,source=/srv/disk/$name,target=/data" "$@" \
    busybox sh -c 'began=$(date +%s); dd if=/dev/zero of=/data/zeros bs=64k count=64 conv=fsync; echo $(($(date +%s) - began)) >/data/seconds; sleep 10000'
}
id_of() { swarm service ps --no-trunc --filter desired-state=running -q "$1" | head -1; }
check 'a service without limits' in_time writes free
check 'writes' in_time test -s /srv/disk/free/seconds
check 'a service with limits of a disk' writes limited --device-write-bps "$disk:1m" --device-read-iops "$disk:100" --blkio-weight 300
check 'writes' in_time test -s /srv/disk/limited/seconds
id=$(id_of limited)
numbers=$(lsblk -no MAJ:MIN "$disk" | tr -d ' ')
for directory in $(cgroups_of "$id"); do grep -H . "$directory"/io.max "$directory"/io.weight "$directory"/io.bfq.weight 2>/dev/null; done
has_limits() { cat $(cgroups_of "$id" | sed 's|$|/io.max|') | grep -qx "$numbers rbps=max wbps=1048576 riops=100 wiops=max"; }
check 'io.max of its cgroup holds them' has_limits
echo "4 MB: $(cat /srv/disk/free/seconds) s without, $(cat /srv/disk/limited/seconds) s with 1 MB a second"
check 'it is slower for it' test "$(cat /srv/disk/limited/seconds)" -ge 3

if command -v exportfs >/dev/null; then
  modprobe -a nfsd nfsv4
  mount -t nfsd nfsd /proc/fs/nfsd
  echo 10 >/proc/fs/nfsd/nfsv4leasetime
  echo 10 >/proc/fs/nfsd/nfsv4gracetime
  mkdir -p /var/lib/nfs/{v4recovery,rpc_pipefs}
  touch /var/lib/nfs/{etab,rmtab,xtab}
  check 'an NFS server exports' exportfs -o rw,no_root_squash,insecure,fsid=0,no_subtree_check '*:/srv/disk/export'
  rpc.mountd -N 2 -N 3
  check 'and serves' rpc.nfsd -N 3 -H 192.0.2.1 2
  check 'a service on a volume of type nfs4' swarm service create --name shared --detach \
    --mount 'type=volume,source=shared,target=/data,volume-opt=type=nfs4,volume-opt=device=:/,"volume-opt=o=addr=192.0.2.1,rw,vers=4.2"' \
    busybox sh -c 'grep " /data " /proc/mounts >/data/mounts; echo hello >/data/hello; trap exit TERM; while :; do sleep 1; done'
  said() { [ "$(cat /srv/disk/export/hello 2>/dev/null)" = hello ]; }
  check 'what it writes is on the server' in_time said
  cat /srv/disk/export/mounts
  check 'through NFS' grep -q '/data nfs4 .*vers=4.2' /srv/disk/export/mounts
  check 'the host sees nothing of the mount' bash -c '! grep -q " nfs4 " /proc/mounts'
  is_gone() { [ -z "$(cgroups_of "$shared")" ]; }
  shared=$(id_of shared)
  check 'service rm' swarm service rm shared
  check 'its container goes' in_time is_gone
  [ "$failures" = 0 ] || { swarm service ps --no-trunc shared; dmesg | tail -5; }
else
  echo 'FAIL  no NFS server: apt-get install nfs-kernel-server' && failures=$((failures + 1))
fi
[ "$failures" = 0 ] || tail -5 /tmp/daemon.log
finish
