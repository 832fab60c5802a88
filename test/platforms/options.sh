#!/usr/bin/env bash
# options.sh: what a container may be told, on this very host, which it changes: meant for the guest of boot.sh, whose kernel is a
# distribution's and has cgroup v2 alone. What is tried are the end-to-end tests of single containers, or those that TESTS names; on a disk
# of ext4, as hosts have: the guest's own tmpfs shifts owners only from Linux 6.3 on, and its root never does.
set -uo pipefail
cd "$(dirname "$0")/../.."
. test/platforms/checks.sh

uname -r
modprobe -a loop overlay
truncate -s 1G /tmp/disk
check 'a disk of ext4' mkfs.ext4 -q /tmp/disk
mkdir -p /var/tmp
check 'is mounted' mount -o loop /tmp/disk /var/tmp
for name in ${TESTS:-executor-options executor-security executor-runc executor-logs executor-streams executor}; do
  check "$name" node "build/test/e2e/$name.test.js"
done
finish
