// The image lab/hello: HTTP on port 80 that answers with host, container and task name, and a
// shell. Every host of a lab has it, and so has the lab's registry.
import type { TarEntry } from '../../proto/lib/tar.ts'
import { busyboxFiles } from './busybox-files.ts'
import { buildImageArchive } from './image-archive.ts'

export const helloImageName = 'lab/hello:latest'

// Templates of a service fill NODE and TASK; without them the answer still names the container.
const answer = `#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "hello from \${NODE:-an unnamed host}"
echo "container: $(hostname)"
echo "task: \${TASK:-none}"
echo "client: $REMOTE_ADDR"
[ -z "$MESSAGE" ] || echo "message: $MESSAGE"
`
const serve = `#!/bin/sh
# SIGTERM ends the server at once: as process 1 it would otherwise be ignored.
trap 'kill $server; exit 0' TERM INT
echo "hello: serving on port \${PORT:-80}"
busybox httpd -f -vv -p "\${PORT:-80}" -h /www &
server=$!
wait $server
`

/**
 * A docker-archive, the same bytes for the same busybox. Errors: HOST_UNFIT without busybox-static.
 */
export async function buildHelloImage(name: string = helloImageName): Promise<Uint8Array> {
  const files: readonly TarEntry[] = [
    ...(await busyboxFiles()),
    { kind: 'directory', path: 'www/cgi-bin' },
    { kind: 'file', path: 'www/cgi-bin/index.cgi', data: Buffer.from(answer), mode: 0o755 },
    { kind: 'file', path: 'bin/serve', data: Buffer.from(serve), mode: 0o755 },
  ]
  return buildImageArchive({ names: [name], files, command: ['/bin/serve'] })
}
