#!/usr/bin/env bash
# boot.sh [--systemd] TREE KERNEL COMMAND: boots the kernel of the unpacked linux-image package KERNEL in QEMU, without KVM, on
# the distribution in TREE (`/`: this one), and runs COMMAND there as root, on cgroup v2 alone. TREE is not changed: what the
# guest writes is in memory, or on DISK (a file, made when it is not there), which a second boot finds again: then COMMAND may restart
# the guest, and is begun anew. With --systemd that is process 1; otherwise COMMAND is all that runs.
# MEMORY (MiB, 3072), CPUS (2) and TIME_LIMIT (seconds, 1800) change the guest; its exit code is that of COMMAND.
set -euo pipefail
init=shell
[ "${1:-}" != --systemd ] || { init=systemd; shift; }
[ $# -ge 3 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
tree=$(realpath "$1")
kernel=$(realpath "$2")
shift 2
version=$(ls "$kernel/boot" | sed -n 's/^vmlinuz-//p')
if [ -d "$kernel/usr/lib/modules" ]; then modules=$kernel/usr/lib/modules/$version; else modules=$kernel/lib/modules/$version; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The initial root: busybox, the modules that reach TREE, and `init`.
depmod -b "${modules%/lib/modules/*}" "$version"
mkdir -p "$work"/root/{bin,modules,proc,sys,dev,lower,written,newroot}
cp "$(command -v busybox)" "$work/root/bin/busybox"
load=''
for module in virtio_pci 9pnet_virtio 9p overlay ${DISK:+virtio_blk ext4}; do
  for file in $(modprobe -d "${modules%/lib/modules/*}" -S "$version" --show-depends "$module" | awk '/^insmod/ { print $2 }'); do
    name=$(basename "${file%%.ko*}").ko
    [ ! -f "$work/root/modules/$name" ] || continue
    case $file in *.xz) xz -dc "$file" ;; *.zst) zstd -dcq "$file" ;; *) cat "$file" ;; esac >"$work/root/modules/$name"
    load="$load $name"
  done
done

cat >"$work/root/init" <<SCRIPT
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $load; do insmod /modules/\$module; done
options=trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288
mount -t 9p -o \$options tree /lower
$([ -n "${DISK:-}" ] && echo 'mount -t ext4 /dev/vda /written' || echo 'mount -t tmpfs -o size=60% written /written')
mkdir -p /written/upper /written/work /written/state
mount -t overlay -o lowerdir=/lower,upperdir=/written/upper,workdir=/written/work overlay /newroot
mkdir -p /newroot/usr/lib/modules/$version
mount -t 9p -o \$options modules /newroot/usr/lib/modules/$version
# Containers' file systems are overlays of their own, which cannot be written on an overlay.
for directory in tmp run var/lib/tsswarm var/lib/tsswarm-labs; do
  mkdir -p /newroot/\$directory
  mount -t tmpfs -o mode=755 tmpfs /newroot/\$directory
done
$([ -z "${DISK:-}" ] || echo 'umount /newroot/var/lib/tsswarm && mount --bind /written/state /newroot/var/lib/tsswarm')
chmod 1777 /newroot/tmp
cp /guest /command /newroot/run/
# A tree that was a container is none here.
rm -f /newroot/.dockerenv
umount /sys
mount --move /proc /newroot/proc
mount --move /dev /newroot/dev
mount -t sysfs sys /newroot/sys
exec switch_root /newroot $([ $init = systemd ] && echo /lib/systemd/systemd --unit=platform.service || echo /bin/bash /run/guest)
SCRIPT

# guest: what runs COMMAND and ends the guest.
cat >"$work/root/guest" <<'SCRIPT'
export HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [ $$ = 1 ]; then
  mkdir -p /dev/pts /dev/shm
  mount -t devpts devpts /dev/pts
  mount -t tmpfs shm /dev/shm
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  ip link set lo up
fi
bash /run/command
echo "guest exit: $?"
sync
echo 1 >/proc/sys/kernel/sysrq
echo o >/proc/sysrq-trigger
while :; do :; done
SCRIPT
printf '%s\n' "$*" >"$work/root/command"

if [ $init = systemd ]; then
  # The unit is made by init, below the /run that systemd finds mounted; nothing but it and basic.target is started.
  sed -i 's#^cp /guest.*#&\nmkdir -p /newroot/run/systemd/system\ncp /platform.service /newroot/run/systemd/system/#' "$work/root/init"
  cat >"$work/root/platform.service" <<'UNIT'
[Unit]
Description=the command of boot.sh
[Service]
Type=exec
ExecStart=/bin/bash /run/guest
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
UNIT
fi
chmod +x "$work/root/init"
(cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >"$work/initrd")

disk=()
reboots=(-no-reboot)
if [ -n "${DISK:-}" ]; then
  if [ ! -f "$DISK" ]; then truncate -s 8G "$DISK" && mkfs.ext4 -q "$DISK"; fi
  disk=(-drive "file=$DISK,format=raw,if=virtio,cache=writeback")
  reboots=()
fi

share() { echo "local,path=$1,mount_tag=$2,security_model=none,readonly=on,multidevs=remap"; }
timeout "${TIME_LIMIT:-1800}" qemu-system-x86_64 -M q35 -accel tcg,thread=multi,tb-size=512 -cpu max -smp "${CPUS:-2}" -m "${MEMORY:-3072}" \
  -nographic "${reboots[@]}" -nic none -kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initrd" \
  -append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off cgroup_no_v1=all systemd.show_status=no" \
  -virtfs "$(share "$tree" tree)" -virtfs "$(share "$modules" modules)" "${disk[@]}" </dev/null | tee "$work/output"
code=$(tr -d '\r' <"$work/output" | sed -n 's/^.*guest exit: //p' | tail -1)
exit "${code:-1}"
