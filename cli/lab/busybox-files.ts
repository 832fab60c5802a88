// The files of a small Linux made of the host's static busybox: shell, tools, users. What images of
// the lab and of the tests start from.
import { readFile } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import type { TarEntry } from '../../proto/lib/tar.ts'

const applets = (
  'ash awk base64 basename cat chgrp chmod chown cp cut date dd df dirname dmesg du echo egrep env expr ' +
  'false find fold free grep groups gunzip gzip head hexdump hostname httpd id ifconfig ip kill killall ' +
  'less ln ls md5sum mkdir mkfifo mknod mktemp more mount mv nc netstat nice nproc nslookup od pgrep ping ' +
  'ping6 pkill printenv printf ps pwd readlink realpath rm rmdir route sed seq setsid sh sha256sum shuf ' +
  'sleep sort stat stty su sync tail tar tee telnet test time timeout top touch tr traceroute true tty ' +
  'umount uname uniq unshare uptime usleep vi watch wc wget which whoami xargs xxd yes zcat'
).split(' ')

const passwd = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www:x:82:82:www:/www:/bin/false
app:x:1000:1001:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
`
const group = `root:x:0:
daemon:x:1:
www:x:82:
audio:x:29:app
app:x:1001:
nogroup:x:65534:
`
const directories =
  'bin dev etc home home/app proc root run sbin sys tmp usr usr/bin var var/run www'

/** Where Debian and Ubuntu put the package busybox-static. */
export const busyboxPath = '/bin/busybox'

/** Errors: HOST_UNFIT when the host has no busybox. */
export async function busyboxFiles(path: string = busyboxPath): Promise<readonly TarEntry[]> {
  const data = await readFile(path).catch((cause: unknown) => {
    throw new SwarmError(
      'HOST_UNFIT',
      `cannot read ${path}, needed to build the lab's image: apt-get install busybox-static`,
      { cause },
    )
  })
  return [
    ...directories.split(' ').map(directory),
    { kind: 'file', path: 'bin/busybox', data, mode: 0o755 },
    ...applets.map(
      (name): TarEntry => ({ kind: 'symlink', path: `bin/${name}`, target: 'busybox' }),
    ),
    { kind: 'file', path: 'etc/passwd', data: Buffer.from(passwd) },
    { kind: 'file', path: 'etc/group', data: Buffer.from(group) },
  ]
}

function directory(path: string): TarEntry {
  if (path === 'tmp') return { kind: 'directory', path, mode: 0o1777 }
  if (path === 'home/app') return { kind: 'directory', path, uid: 1000, gid: 1001 }
  return { kind: 'directory', path }
}
