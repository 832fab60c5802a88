import { createHash } from 'node:crypto'
import t from 'tap'
import { busyboxFiles } from '../../../../cli/lab/busybox-files.ts'
import { buildHelloImage } from '../../../../cli/lab/hello-image.ts'
import { buildImageArchive } from '../../../../cli/lab/image-archive.ts'

/** Files of a tar by name, of the little it needs here. */
function untar(archive: Uint8Array): ReadonlyMap<string, Buffer> {
  const bytes = Buffer.from(archive)
  const files = new Map<string, Buffer>()
  for (let at = 0; bytes[at] !== 0; ) {
    const name = bytes.toString('utf8', at, at + 100).replace(/\0.*$/, '')
    const size = Number.parseInt(bytes.toString('utf8', at + 124, at + 135), 8)
    files.set(name, bytes.subarray(at + 512, at + 512 + size))
    at += 512 + Math.ceil(size / 512) * 512
  }
  return files
}

t.test('an archive names its image, and digests are of the bytes', async (t) => {
  const files = untar(
    buildImageArchive({
      names: ['a/b:1'],
      files: [{ kind: 'file', path: 'x', data: Buffer.from('x') }],
      entrypoint: ['/x'],
      user: 'app',
      volumes: ['/data'],
      labels: { k: 'v' },
      stopSignal: 'SIGINT',
    }),
  )
  const [manifest] = JSON.parse(files.get('manifest.json')?.toString() ?? '[]')
  t.same(manifest.RepoTags, ['a/b:1'])
  const layer = files.get(manifest.Layers[0]) ?? Buffer.alloc(0)
  const digest = createHash('sha256').update(layer).digest('hex')
  const config = JSON.parse(files.get(manifest.Config)?.toString() ?? '{}')
  t.same(config.rootfs.diff_ids, [`sha256:${digest}`])
  t.match(config.config, {
    Entrypoint: ['/x'],
    User: 'app',
    Volumes: { '/data': {} },
    Labels: { k: 'v' },
    StopSignal: 'SIGINT',
  })
  t.same([...untar(layer).keys()], ['x'])
})

t.test("the lab's image is the same bytes each time and runs a server", async (t) => {
  const [one, other] = [await buildHelloImage(), await buildHelloImage()]
  t.ok(Buffer.from(one).equals(Buffer.from(other)))
  const files = untar(one)
  const [manifest] = JSON.parse(files.get('manifest.json')?.toString() ?? '[]')
  t.same(manifest.RepoTags, ['lab/hello:latest'])
  const content = untar(files.get(manifest.Layers[0]) ?? Buffer.alloc(0))
  for (const path of ['bin/busybox', 'bin/serve', 'bin/sh', 'www/cgi-bin/index.cgi']) {
    t.ok(content.has(path), path)
  }
})

t.test('a host without busybox is told what to install', async (t) => {
  await t.rejects(busyboxFiles('/no/such/busybox'), {
    code: 'HOST_UNFIT',
    message: /apt-get install busybox-static/,
  })
})
