import t from 'tap'
import { parseReference } from '../../../../worker/image/reference.ts'
import {
  findByReference,
  findImages,
  isNative,
  layerChain,
  parseImageConfig,
  parseImages,
  parseLayers,
  repositoryDigests,
  storedPlatform,
} from '../../../../worker/image/store-index.ts'

const idA = 'a'.repeat(64)
const idB = `aaaa${'b'.repeat(60)}`
const digestOf = (digit: string): string => `sha256:${digit.repeat(64)}`

const images = parseImages(
  JSON.stringify([
    {
      id: idA,
      digest: digestOf('1'),
      names: ['docker.io/lab/hello:latest', `r.lan/x@${digestOf('2')}`],
      layer: 'top',
      created: '2024-01-02T03:04:05Z',
      'big-data-digests': {
        manifest: digestOf('1'),
        [`manifest-${digestOf('2')}`]: digestOf('2'),
        [digestOf('9')]: digestOf('9'),
      },
    },
    { id: idB, names: null },
  ]),
)

t.test('images have names, digests of manifests, top layer and age', async (t) => {
  t.same(images[0], {
    id: idA,
    names: ['docker.io/lab/hello:latest', `r.lan/x@${digestOf('2')}`],
    digests: [digestOf('1'), digestOf('2')],
    layerId: 'top',
    createdAtMs: Date.parse('2024-01-02T03:04:05Z'),
  })
  t.match(images[1], { names: [], digests: [], layerId: undefined, createdAtMs: 0 })
})

t.test(
  'the own digest of an image is the first, and that of the list it came by the last',
  async (t) => {
    const row = (own: string, list: string) => ({
      id: idA,
      digest: digestOf(list),
      'big-data-digests': {
        manifest: digestOf(own),
        [`manifest-${digestOf('1')}`]: digestOf('1'),
        [`manifest-${digestOf('2')}`]: digestOf('2'),
      },
    })
    const digests = (own: string, list: string) =>
      parseImages(JSON.stringify([row(own, list)]))[0]?.digests
    t.same(digests('1', '2'), [digestOf('1'), digestOf('2')])
    t.same(digests('2', '1'), [digestOf('2'), digestOf('1')])
  },
)

t.test("the digest of a list means this host's image of it, if that is there", async (t) => {
  const [image] = images
  if (image === undefined) throw new Error('there is one')
  const of = (id: string, architecture: string) => ({
    ...image,
    id,
    digests: [digestOf(id.slice(0, 1)), digestOf('9')],
    platform: { os: 'linux', architecture },
  })
  const own = of(idA, process.arch === 'x64' ? 'amd64' : process.arch)
  const foreign = of(`c${idA.slice(1)}`, 's390x')
  const found = (all: readonly (typeof own)[], digit: string) =>
    findByReference(all, parseReference(`x@${digestOf(digit)}`))?.platform?.architecture
  t.equal(found([foreign, own], '9'), own.platform.architecture)
  t.equal(found([foreign], '9'), 's390x')
  t.equal(found([foreign, own], 'c'), 's390x')
  t.equal(isNative(foreign), false)
  t.equal(isNative(own), true)
  t.equal(isNative(image), true, 'it does not say')
  t.same(storedPlatform('{"os":"linux","architecture":"arm","variant":"v7"}'), {
    ...{ os: 'linux', architecture: 'arm', variant: 'v7' },
  })
  for (const text of ['', 'x', '{}', '[]']) t.equal(storedPlatform(text), undefined)
})

t.test('an image is found by name, by digest under any name, by id', async (t) => {
  const ids = (text: string): readonly string[] => findImages(images, text).map(({ id }) => id)
  t.same(ids('lab/hello'), [idA])
  t.same(ids('lab/hello:other'), [])
  t.same(ids(`whatever/name@${digestOf('2')}`), [idA])
  t.same(ids(idB), [idB])
  t.same(ids(`sha256:${idB}`), [idB])
  t.same(ids('aaaab'), [idB])
  t.same(ids('aaaa'), [idA, idB], 'ambiguous')
  t.same(ids('aaa'), [], 'too short')
  t.same(ids('No Name'), [])
  t.equal(findByReference(images, parseReference('lab/hello'))?.id, idA)
})

t.test('digests are told by repository, as far as they are known', async (t) => {
  const [image] = images
  if (image === undefined) throw new Error('there is one')
  const plain = { ...image, names: ['docker.io/lab/hello:1', 'docker.io/lab/hello:2', 'r.lan/x:1'] }
  const told = (of: typeof image, digests: Readonly<Record<string, string>>, isPulled = true) =>
    repositoryDigests(of, { digests, isPulled })
  t.same(told(image, {}), [`r.lan/x@${digestOf('2')}`], 'of the other nothing is known')
  t.same(told(plain, {}), [`docker.io/lab/hello@${digestOf('2')}`, `r.lan/x@${digestOf('2')}`])
  t.same(told(plain, {}, false), [], 'no registry gave it')
  const noted = { 'docker.io/lab/hello': digestOf('5'), 'r.lan/gone': digestOf('6') }
  t.same(told(plain, noted), [`docker.io/lab/hello@${digestOf('5')}`])
  t.same(told(plain, { 'docker.io/lab/hello': '' }), [], 'it was taken away')
  t.same(told(image, { 'r.lan/x': digestOf('7') }), [`r.lan/x@${digestOf('7')}`])
})

t.test('layers are followed down to the lowest', async (t) => {
  const layers = parseLayers(
    JSON.stringify([
      { id: 'low', 'diff-size': 5, 'compressed-diff-digest': digestOf('3') },
      { id: 'top', parent: 'low', 'diff-size': 7 },
    ]),
  )
  const byId = new Map(layers.map((layer) => [layer.id, layer]))
  const chain = images.map((image) => layerChain(image, byId).map(({ id }) => id))
  t.same(chain, [['top', 'low'], []])
})

t.test('a configuration is read whatever is missing in it', async (t) => {
  t.same(parseImageConfig('{}', idA), {
    env: [],
    entrypoint: [],
    command: [],
    workdir: '',
    user: '',
    stopSignal: '',
    volumes: [],
    labels: {},
    health: {
      test: [],
      intervalMs: 0,
      timeoutMs: 0,
      retries: 0,
      startPeriodMs: 0,
      startIntervalMs: 0,
      shell: ['/bin/sh', '-c'],
    },
    ports: [],
  })
  const text = JSON.stringify({
    config: {
      Env: ['A=b'],
      Entrypoint: ['/e'],
      Cmd: null,
      Volumes: { '/v': {} },
      Labels: { a: 'b' },
      User: 'u',
      StopSignal: 'SIGINT',
      ExposedPorts: { '80/tcp': {}, '53/udp': {}, 8080: {}, '0/tcp': {}, '9/raw': {}, x: {} },
    },
  })
  t.match(parseImageConfig(text, idA), {
    env: ['A=b'],
    entrypoint: ['/e'],
    command: [],
    volumes: ['/v'],
    labels: { a: 'b' },
    ports: [
      { protocol: 'tcp', targetPort: 8080 },
      { protocol: 'tcp', targetPort: 80 },
      { protocol: 'udp', targetPort: 53 },
    ],
  })
})

t.test('damage is named', async (t) => {
  t.throws(() => parseImages('{'), { code: 'DATA_LOSS', message: /images\.json/ })
  t.throws(() => parseLayers('{}'), { code: 'DATA_LOSS', message: /layers\.json/ })
  t.throws(() => parseImageConfig('', idA), { code: 'DATA_LOSS' })
})
