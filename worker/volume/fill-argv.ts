// How a volume is filled with an image's files: in a folder that nobody else has yet, or in one where others may write meanwhile.
// There the host's root must not be led out: containers can lay a symbolic link, a pipe or a device where the copy is about to
// write, also in place of a folder that it has just made. Pure: whoever fills runs the command.

const copy = ['cp', '-a', '--remove-destination', '--']

// The volume once more, in a mount namespace that ends with the copy: no link of it is followed there, and no device opens. cp
// takes away what lies in a file's place, and makes the file anew or not at all (O_EXCL). A kernel that does not know
// nosymfollow (before 5.10) may pass over it, so it is looked up; the newer calls that mount programs may use have it from 5.14 on.
const guarded = `export LIBMOUNT_FORCE_MOUNT2=always
mount --bind -o nosymfollow,nodev,nosuid,noexec -- "$2" "$2" || exit 1
case ",$(findmnt -rno VFS-OPTIONS -M "$2")," in
*,nosymfollow,*) exec ${copy.join(' ')} "$1/." "$2/" ;;
esac
echo 'the kernel cannot keep links from being followed: use Linux 5.12 or newer' >&2
exit 1
`

/** Copies the folder's files, its own mode and owner too, into one that only its maker knows. */
export function fillingPrivate(from: string, to: string): readonly string[] {
  return [...copy, `${from}/.`, `${to}/`]
}

/** The same into one that others may be writing in. What is there under the same names is replaced. */
export function fillingShared(from: string, to: string): readonly string[] {
  const script = ['/bin/sh', '-c', guarded, 'fill', from, to]
  return ['unshare', '--mount', '--propagation', 'private', '--', ...script]
}
