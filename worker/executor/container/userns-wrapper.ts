// conmon's first program for containers with a user namespace: as the usual one (oci-runtime.ts), and before the runtime makes the
// namespace it does what only root of the host can. The image's layers and the volumes are mounted once more with their owners
// shifted, so that layers are shared with all other containers and a volume has the same owners on disk with and without.
// util-linux mounts so from 2.39 on; Perl is on every Debian, and its three calls have the same numbers on all processors.
import { chmod, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { SpawnHelper } from '../spawn/spawn-helper.ts'
import type { IdMapping } from './id-mapping.ts'
import type { UsernsCreation } from './user-namespace.ts'

/** What a failure of it begins with. */
export const usernsComplaint = 'no user namespace: '

/** Number of unshare(2), the one call that each processor has under another. Source: the kernel's tables of system calls. */
const unshareCalls: Readonly<Partial<Record<NodeJS.Architecture, number>>> = {
  x64: 272,
  arm64: 97,
  arm: 337,
  ppc64: 282,
  riscv64: 97,
  s390x: 303,
}

// The runtime makes the container the owner of its standard streams, also of the host's /dev/null where one of them is that
// (crun 1.8): it gets another one. And to raise limits or lower the OOM score takes root of the host.
const wrapper = `#!/bin/sh
cd "$TSSWARM_PLACE" && mount -t tmpfs -o mode=0711,nosuid,noexec,size=1m tmpfs . || exit 1
cd "$TSSWARM_PLACE" && mknod -m 0666 null c 1 3 || exit 1
[ ! -c /proc/$$/fd/0 ] || exec 0<>null
[ ! -c /proc/$$/fd/1 ] || exec 1>null
[ ! -c /proc/$$/fd/2 ] || exec 2>null
perl "$0.pl" || exit 1
for limit in $TSSWARM_LIMITS; do prlimit --pid $$ "$limit" 2>null || :; done
echo "$TSSWARM_OOM" >/proc/$$/oom_score_adj 2>null || :
cd layers || exit 1
mount -t overlay -o "$TSSWARM_OVERLAY" overlay "$TSSWARM_ROOTFS" || exit 1
cd / && exec "$TSSWARM_RUNTIME" "$@"
`

// Constants are those of linux/mount.h, linux/fcntl.h and linux/sched.h.
const mapper = `use strict;
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
      . "Linux 6.3 on; NFS cannot), or --userns host");
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

/** Writes both programs. */
export async function writeUsernsWrapper(path: string): Promise<void> {
  await writeFile(path, wrapper)
  await writeFile(`${path}.pl`, mapper)
  await chmod(path, 0o755)
}

/** Its variables, besides those of the usual wrapper. */
export function usernsVariables(
  { mapping, volumes, limits, oomScoreAdj }: UsernsCreation,
  placeDir: string,
): Readonly<Record<string, string>> {
  return {
    ...mapperVariables(mapping),
    TSSWARM_PLACE: placeDir,
    TSSWARM_LIMITS: limits.join(' '),
    TSSWARM_OOM: `${oomScoreAdj}`,
    TSSWARM_VOLUMES: `${volumes.length}`,
    ...Object.fromEntries(volumes.map((path, at) => [`TSSWARM_VOLUME_${at}`, path])),
  }
}

function mapperVariables({ uid, gid, size }: IdMapping): Readonly<Record<string, string>> {
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
export function usernsTrial(mapping: IdMapping, folder: string): readonly string[] {
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

const trialMs = 30_000

/** Errors: HOST_UNFIT with the reason and the remedy. */
export async function tryUserns(
  helper: Pick<SpawnHelper, 'spawn'>,
  mapping: IdMapping,
  folder: string,
): Promise<void> {
  const { code, stderr } = await helper.spawn(usernsTrial(mapping, folder), { timeoutMs: trialMs })
  if (code === 0) return
  throw new SwarmError(
    'HOST_UNFIT',
    `usernsRemap is set, and this host cannot do it: ${trialWords(stderr)}; ${usernsRemedy}; or set usernsRemap to off`,
  )
}
