// Which images go when the disk fills, and when.
import fc from 'fast-check'
import t from 'tap'
import {
  evictionOrder,
  gcAgeMs,
  gcLimits,
  type ImageFacts,
  isAbove,
  parseWatermark,
} from '../../../../worker/image/eviction.ts'

const nowMs = 1_000_000_000
const image = (id: string, over: Partial<ImageFacts> = {}): ImageFacts => ({
  id,
  usedMs: nowMs - 1_000_000,
  isPulled: true,
  isUsed: false,
  services: {},
  ...over,
})
const order = (images: readonly ImageFacts[], services: readonly string[] = [], revisions = 2) =>
  evictionOrder(images, { nowMs, services: new Set(services), revisions })

t.test('the one not used longest goes first; what must stay stays', async (t) => {
  const ago = (ms: number) => ({ usedMs: nowMs - ms })
  const images = [
    image('b', ago(200_000)),
    image('used', { ...ago(900_000), isUsed: true }),
    image('a', ago(300_000)),
    image('young', ago(gcAgeMs - 1)),
    image('loaded', { ...ago(900_000), isPulled: false }),
    image('c', ago(gcAgeMs)),
  ]
  t.same(order(images), ['a', 'b', 'c'])
})

t.test('the last images of services that are here stay', async (t) => {
  const images = ['v1', 'v2', 'v3', 'v4'].map((id, at) =>
    image(id, { usedMs: at, services: { web: at, ...(id === 'v1' && { db: 7 }) } }),
  )
  t.same(order(images, ['web']), ['v1', 'v2'])
  t.same(order(images, ['web', 'db']), ['v2'], 'each service its own')
  t.same(order(images, ['web'], 0), ['v1', 'v2', 'v3', 'v4'])
  t.same(order(images, []), ['v1', 'v2', 'v3', 'v4'], 'a service that has left keeps nothing')
})

t.test('whatever there is, nothing goes that must stay, and in order', async () => {
  const anyImage = fc.record({
    id: fc.string(),
    usedMs: fc.integer({ min: 0, max: nowMs }),
    isPulled: fc.boolean(),
    isUsed: fc.boolean(),
    services: fc.dictionary(fc.constantFrom('a', 'b'), fc.nat(5)),
  })
  const anyImages = fc.uniqueArray(anyImage, { selector: ({ id }) => id })
  fc.assert(
    fc.property(anyImages, fc.nat(3), (images, revisions) => {
      const gone = order(images, ['a'], revisions)
      const found = gone.map((id) => images.find((one) => one.id === id))
      const isRight = found.every(
        (one) => one?.isPulled === true && !one.isUsed && one.usedMs <= nowMs - gcAgeMs,
      )
      const isSorted = found.every((one, at) => (found[at - 1]?.usedMs ?? 0) <= (one?.usedMs ?? 0))
      const ofA = images.filter(({ services }) => services['a'] !== undefined).length
      const left = ofA - found.filter((one) => one?.services['a'] !== undefined).length
      return isRight && isSorted && left >= Math.min(revisions, ofA)
    }),
  )
})

t.test('limits are shares of the disk or sizes of layers', async (t) => {
  t.same(parseWatermark('85%'), { kind: 'share', share: 0.85 })
  t.same(parseWatermark('20GB'), { kind: 'bytes', bytes: 20e9 })
  t.same(parseWatermark('1.5k'), { kind: 'bytes', bytes: 1500 })
  t.same(parseWatermark('512'), { kind: 'bytes', bytes: 512 })
  for (const text of ['', '0%', '101%', 'half', '-1', '20XB', '%']) {
    t.throws(() => parseWatermark(text), { code: 'INVALID_ARGUMENT', message: /is no limit/ })
  }
  const fill = { diskBytes: 100, diskUsedBytes: 86, imageBytes: 20 }
  t.equal(isAbove(parseWatermark('85%'), fill), true)
  t.equal(isAbove(parseWatermark('86%'), fill), false)
  t.equal(isAbove(parseWatermark('19'), fill), true)
  t.equal(isAbove(parseWatermark('20'), fill), false)
  t.equal(isAbove(parseWatermark('85%'), { ...fill, diskBytes: 0 }), false)
  t.match(gcLimits('85%', '85%', 1), { high: { share: 0.85 }, low: { share: 0.85 }, revisions: 1 })
  t.equal(gcLimits('off', 'whatever', 2).high, undefined)
  for (const [high, low] of [
    ['80%', '85%'],
    ['85%', '1GB'],
    ['1GB', '2GB'],
  ] as const) {
    t.throws(() => gcLimits(high, low, 2), { code: 'INVALID_ARGUMENT', message: /do not fit/ })
  }
})
