import { createHash } from 'node:crypto'
import t from 'tap'
import { chainText } from '../../../../proto/lib/error-chain.ts'
import {
  complaint,
  lastLine,
  parseManifest,
  pullError,
  registryError,
} from '../../../../worker/image/registry-manifest.ts'

t.test("an image's blobs and digest", async (t) => {
  const raw = JSON.stringify({
    config: { digest: 'sha256:c', size: 10 },
    layers: [{ digest: 'sha256:l', size: 20 }],
  })
  t.same(parseManifest(raw), {
    kind: 'image',
    digest: `sha256:${createHash('sha256').update(raw).digest('hex')}`,
    blobs: [
      { digest: 'sha256:l', sizeBytes: 20 },
      { digest: 'sha256:c', sizeBytes: 10 },
    ],
  })
  t.match(parseManifest('{"fsLayers":[{"blobSum":"x"}]}'), { kind: 'image', blobs: [] })
  t.throws(() => parseManifest('{}'), { code: 'UNSUPPORTED' })
})

t.test('a list of platforms', async (t) => {
  const raw = JSON.stringify({
    manifests: [
      { digest: 'sha256:2', platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
      { digest: 'sha256:4' },
    ],
  })
  t.match(parseManifest(raw), {
    kind: 'list',
    platforms: [
      { digest: 'sha256:2', os: 'linux', architecture: 'arm', variant: 'v7' },
      { digest: 'sha256:4', os: '', architecture: '' },
    ],
  })
})

t.test("what a registry's refusal means", async (t) => {
  const code = (text: string): string =>
    pullError(`time="x" level=fatal msg="${text}"`, 'r.lan/a:1', 'r.lan').code
  t.equal(code('reading manifest 1 in r.lan/a: manifest unknown'), 'IMAGE_NOT_FOUND')
  t.equal(code('name unknown: repository name not known to registry'), 'IMAGE_NOT_FOUND')
  t.equal(code('no image found in manifest list for architecture arm'), 'IMAGE_NOT_FOUND')
  t.equal(code('unauthorized: authentication required'), 'UNAUTHENTICATED')
  t.equal(code('requested access to the resource is denied'), 'UNAUTHENTICATED')
  t.equal(code('http: server gave HTTP response to HTTPS client'), 'UNAVAILABLE')
  t.equal(code('x509: certificate signed by unknown authority'), 'UNAVAILABLE')
  t.equal(code('write /x: no space left on device'), 'RESOURCE_EXHAUSTED')
  t.equal(code('dial tcp 1.2.3.4:443: connect: connection refused'), 'UNAVAILABLE')
  t.match(pullError('', 'r.lan/a:1', 'r.lan').message, /^cannot pull r\.lan\/a:1/)
})

t.test("the registry's own words are the cause, with the status they stand for", async (t) => {
  const chain = (text: string): string =>
    chainText(pullError(`level=fatal msg="${text}"`, 'r.lan/a:1', 'r.lan'))
  t.equal(
    chain('reading manifest 1 in r.lan/a: manifest unknown'),
    'No such image: r.lan/a:1: registry r.lan does not have it. Check name and tag: ' +
      'reading manifest 1 in r.lan/a: manifest unknown (HTTP 404)',
  )
  t.match(
    chain('unauthorized: authentication required'),
    /wants a login \("tsswarm login r\.lan"; .*--with-registry-auth\): .* \(HTTP 401\)$/,
  )
  t.match(chain('requested access to the resource is denied'), /is denied$/, 'it may be 401 or 403')
  t.match(chain('received unexpected HTTP status: 503 Service Unavailable'), / 503 Service/)
})

t.test('the registry itself decides what its mirrors could not', async (t) => {
  const mirror = '(Mirrors also failed: [m.lan/a:1: manifest unknown]): r.lan/a:1: '
  const err = pullError(`level=fatal msg="${mirror}network is unreachable"`, 'r.lan/a:1', 'r.lan')
  t.equal(err.code, 'UNAVAILABLE')
  t.match(err.message, /manifest unknown.*network is unreachable/)
})

t.test('a push is refused in its own words', async (t) => {
  const place = { subject: 'r.lan/a:1', registry: 'r.lan' }
  const text = (stderr: string): string => registryError('push', stderr, place).message
  t.match(text('unauthorized: authentication required'), /^push access denied for r\.lan\/a:1/)
  t.match(text('no space left on device'), /^cannot push r\.lan\/a:1: no space/)
  t.match(text('i/o timeout'), /^cannot push r\.lan\/a:1 to registry r\.lan: i\/o timeout/)
})

t.test('what skopeo says in its debug lines is told when it is ended for its time', async (t) => {
  const debug = 'time="t" level=debug msg="Looking for TLS certificates"\n'
  const busy = `${debug}time="t" level=debug msg="Too many requests to x: sleeping"\n`
  const fatal = 'time="t" level=fatal msg="manifest unknown"\n'
  t.equal(
    complaint({ stderr: busy, cutShort: 'timeout' }, 30_000),
    'toomanyrequests: it refuses each try',
  )
  t.equal(complaint({ stderr: debug, cutShort: 'timeout' }, 30_000), 'no answer within 30 s')
  t.equal(complaint({ stderr: debug + fatal }, 30_000), fatal)
  const refused = pullError(complaint({ stderr: busy, cutShort: 'timeout' }, 1), 'r.lan/a', 'r.lan')
  t.match(chainText(refused), /asked too often: wait, or log in: toomanyrequests.*\(HTTP 429\)$/)
})

t.test('the message of the last line', async (t) => {
  t.equal(lastLine('noise\ntime="t" level=fatal msg="a \\"b\\" c"\n'), 'a "b" c')
  t.equal(
    lastLine('level=fatal msg="Error parsing image name \\"docker://x\\": pinging it: no"'),
    'pinging it: no',
  )
  t.equal(lastLine('plain'), 'plain')
})
