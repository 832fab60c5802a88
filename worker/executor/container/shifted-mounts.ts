// Mounts with shifted owners, for containers with users of their own: the script that makes them, and a trial of it. Pure: whoever
// needs them runs them. util-linux mounts so from 2.39 on; Perl is on every Debian, and three of its four calls have the same
// numbers on all processors.
import { type IdMapping, ownRange } from './id-mapping.ts'

/** What a failure of it begins with. */
export const usernsComplaint = 'no user namespace: '

/** Number of unshare(2), the one call that each processor has under another. Source: the kernel's tables of system calls. */
export const unshareCalls: Readonly<Partial<Record<NodeJS.Architecture, number>>> = {
  x64: 272,
  arm64: 97,
  arm: 337,
  ppc64: 282,
  riscv64: 97,
  s390x: 303,
}

// Constants are those of linux/mount.h, linux/fcntl.h and linux/sched.h.
/** Mounts TSSWARM_LAYERS and each TSSWARM_VOLUME_n in the folder it is run in. */
export const mapper = `use strict;
my $asks = '${usernsComplaint}';
sub refuse { print STDERR "$asks@_\\n"; exit 1 }
my ($uid, $gid, $size) = split / /, $ENV{TSSWARM_MAPPING};
# Root of the host can make files there too (cp), for as long as it takes to give them their owner.
my $root = 4294967000;
# So that programs can open /dev/stdout; runc cannot do it from within.
-p $_ and chown $uid, $gid, $_ for *STDIN, *STDOUT, *STDERR;
pipe(my $told, my $tell) && pipe(my $held, my $hold) or refuse("no pipe: $!");
my $child = fork() // refuse("no process: $!");
if (!$child) {
  close $hold;
  my $made = syscall($ENV{TSSWARM_UNSHARE} + 0, 0x10000000) == 0;
  syswrite $tell, $made ? '+' : "$!";
  sysread $held, my $end, 1;
  exit 0;
}
close $tell; close $held;
sysread $told, my $word, 200;
$word eq '+' or refuse("the kernel makes none ($word): sysctl -w user.max_user_namespaces=15000");
for (['uid_map', $uid], ['gid_map', $gid]) {
  my ($name, $first) = @$_;
  open my $map, '>', "/proc/$child/$name" or refuse("$name: $!");
  defined syswrite $map, "0 $first $size\\n$root 0 1\\n" or refuse("$name: $!");
  close $map;
}
open my $users, '<', "/proc/$child/ns/user" or refuse("$!");
# open_tree with its mounts below, mount_setattr MOUNT_ATTR_IDMAP, move_mount
sub shifted {
  my ($source, $target) = @_;
  my $none = '';
  my $tree = syscall(428, -100, $source, 0x1 | 0x8000 | 0x80000);
  $tree >= 0 or refuse("$source cannot be mounted: $!");
  my $attributes = pack 'Q4', 0x100000, 0, 0, fileno $users;
  syscall(442, $tree, $none, 0x1000 | 0x8000, $attributes, 32) == 0
    or refuse("the file system of $source cannot shift owners ($!): use one that can (ext4, XFS, Btrfs; tmpfs from "
      . "Linux 6.3 on; NFS cannot)");
  syscall(429, $tree, $none, -100, $target, 0x4) == 0 or refuse("$source cannot be mounted: $!");
}
mkdir 'layers';
shifted($ENV{TSSWARM_LAYERS}, 'layers');
for my $number (0 .. $ENV{TSSWARM_VOLUMES} - 1) {
  my $source = $ENV{"TSSWARM_VOLUME_$number"};
  if (-d $source) { mkdir $number } else { open my $file, '>', $number or refuse("$!") }
  my $target = "$number";
  shifted($source, $target);
}
close $hold;
waitpid $child, 0;
`

/** Its variables, but for what it mounts. */
export function mapperVariables({ uid, gid, size }: IdMapping): Readonly<Record<string, string>> {
  return {
    TSSWARM_MAPPING: `${uid} ${gid} ${size}`,
    TSSWARM_UNSHARE: `${unshareCalls[process.arch] ?? -1}`,
  }
}

const trial = `made=$(mktemp -d "$1/.tsswarm-userns-XXXXXX") && cd "$made" || exit 1
trap 'cd /; umount "$made/root" "$made/layers" 2>/dev/null; rm -rf --one-file-system "$made"' EXIT
mkdir layers lower upper work root && : >lower/file || exit 1
TSSWARM_LAYERS=$made/lower perl -e "$2" || exit 1
mount -t overlay -o lowerdir=layers,upperdir=upper,workdir=work overlay root &&
  [ "$(stat -c %u root/file)" = "$3" ] && chmod 600 root/file && exit 0
echo '${usernsComplaint}overlay does not take layers with shifted owners' >&2
exit 1
`

/** What it takes, for whoever is told that the trial failed. */
export const usernsRemedy =
  'it takes Linux 5.19 (Debian 12 has 6.1), perl, and the state folder on ext4, XFS or Btrfs'

/** A command that tries whether this kernel, and the file system of that folder, can have such containers. */
export function usernsTrial(folder: string, mapping: IdMapping = ownRange): readonly string[] {
  const variables = { ...mapperVariables(mapping), TSSWARM_VOLUMES: '0' }
  return [
    'env',
    ...Object.entries(variables).map(([name, value]) => `${name}=${value}`),
    ...['unshare', '--mount', '--propagation', 'private', '--', '/bin/sh', '-c', trial, 'trial'],
    ...[folder, mapper, `${mapping.uid}`],
  ]
}

/** Why it failed, from what it wrote. */
export function trialWords(stderr: string): string {
  return stderr.trim().split('\n').at(-1) || `${usernsComplaint}the trial ended without a word`
}
