// What conmon runs as its runtime: makes a mount namespace, mounts the container's root there and only then becomes the runtime. So
// the host's mount table never grows, and the kernel unmounts when the container ends. One program where `unshare`, a shell and
// `mount` were three. Of containers with a user namespace: userns-wrapper.ts.
import { rootfsVariable } from './creation-processes.ts'
import { unshareCalls } from './shifted-mounts.ts'

/** Number of mount(2). Source: the kernel's tables of system calls. */
const mountCalls: Readonly<Partial<Record<NodeJS.Architecture, number>>> = {
  x64: 165,
  arm64: 40,
  arm: 21,
  ppc64: 21,
  riscv64: 40,
  s390x: 21,
}

// Constants are those of linux/sched.h and linux/mount.h: CLONE_NEWNS; MS_REC with MS_SLAVE, as what the host mounts is seen and
// nothing of this goes back.
/** In Perl. */
export const rootWrapper = `use strict;
sub refuse { print STDERR "cannot make the container's root: @_: $!\\n"; exit 1 }
my ($unshare, $mount) = map { $_ + 0 } split / /, $ENV{TSSWARM_CALLS};
my ($here, $none, $type, $options) = ('/', '', 'overlay', $ENV{TSSWARM_OVERLAY});
syscall($unshare, 0x00020000) == 0 or refuse('unshare');
syscall($mount, $none, $here, $none, 0x00084000, 0) == 0 or refuse('propagation');
chdir $ENV{TSSWARM_LAYERS} or refuse("chdir $ENV{TSSWARM_LAYERS}");
my $root = $ENV{${rootfsVariable}};
syscall($mount, $type, $root, $type, 0, $options) == 0 or refuse("overlay on $root");
chdir '/' or refuse('chdir /');
exec { $ENV{TSSWARM_RUNTIME} } $ENV{TSSWARM_RUNTIME}, @ARGV;
refuse("exec $ENV{TSSWARM_RUNTIME}");
`

/** Its variables, besides those of every wrapper. */
export const rootVariables: Readonly<Record<string, string>> = {
  TSSWARM_CALLS: `${unshareCalls[process.arch] ?? -1} ${mountCalls[process.arch] ?? -1}`,
}
