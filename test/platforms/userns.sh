#!/usr/bin/env bash
# userns.sh: containers with users of their own, on this very host, which it changes: meant for the guest of boot.sh. The folders of
# containers are put on a disk of ext4, as those of hosts are: the guest's own tmpfs shifts owners only from Linux 6.3 on, and its
# root never does. What is tried is test/e2e/executor-userns.test.ts.
set -uo pipefail
cd "$(dirname "$0")/../.."
. test/platforms/checks.sh

uname -r
modprobe -a loop overlay
truncate -s 512M /tmp/disk
check 'a disk of ext4' mkfs.ext4 -q /tmp/disk
mkdir -p /var/tmp
check 'is mounted' mount -o loop /tmp/disk /var/tmp
check 'containers on it' node build/test/e2e/executor-userns.test.js
finish
