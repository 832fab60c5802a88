import t from 'tap'
import { isPruned, type PruneWish } from '../../../../worker/image/prune.ts'
import { savedImages } from '../../../../worker/image/save.ts'
import type { StoredImage } from '../../../../worker/image/store-index.ts'

const digest = `sha256:${'d'.repeat(64)}`

function anImage(id: string, names: readonly string[], createdAtMs = 0): StoredImage {
  return { id: id.padEnd(64, '0'), names, digests: [digest], layerId: undefined, createdAtMs }
}

const first = anImage('aaaa1', ['docker.io/library/app:1', `docker.io/library/app@${digest}`])
const second = anImage('aaaa2', ['docker.io/library/app:2', 'r.lan/other:x'])
const images = [first, second]

t.test('a name without a tag saves all of its tags, one with a tag that one', async (t) => {
  t.same(savedImages(images, ['app']), [
    { id: first.id, names: ['docker.io/library/app:1'] },
    { id: second.id, names: ['docker.io/library/app:2'] },
  ])
  t.same(savedImages(images, ['app:2']), [{ id: second.id, names: ['docker.io/library/app:2'] }])
  t.same(savedImages(images, ['app:2', 'r.lan/other:x', 'app:2']), [
    { id: second.id, names: ['docker.io/library/app:2', 'r.lan/other:x'] },
  ])
})

t.test('an id saves the image without a name', async (t) => {
  t.same(savedImages(images, ['aaaa1']), [{ id: first.id, names: [] }])
  t.same(savedImages(images, [`sha256:${second.id}`]), [{ id: second.id, names: [] }])
  t.same(savedImages([anImage('b', [])], [`b${'0'.repeat(63)}`]).length, 1)
})

t.test('what is not there, or might be several, is said', async (t) => {
  t.throws(() => savedImages(images, ['none']), { code: 'IMAGE_NOT_FOUND', message: /none/ })
  t.throws(() => savedImages(images, ['Bad Name']), { code: 'IMAGE_NOT_FOUND' })
  t.throws(() => savedImages(images, ['aaaa']), { code: 'AMBIGUOUS', message: /2 matches/ })
})

t.test('a prune takes what it is wished to take', async (t) => {
  const wish: PruneWish = { all: false, untilMs: 0, labels: [], otherLabels: [] }
  const nameless = anImage('c', [], 100)
  const pruned = (over: Partial<PruneWish>, image = nameless, labels = {}): boolean =>
    isPruned(image, labels, { ...wish, ...over })
  t.equal(pruned({}), true)
  t.equal(pruned({}, first), false, 'it has a name')
  t.equal(pruned({ all: true }, first), true)
  t.equal(pruned({ untilMs: 100 }), false, 'made just then')
  t.equal(pruned({ untilMs: 101 }), true)
  const labels = { stage: 'test' }
  t.equal(pruned({ labels: ['stage'] }, nameless, labels), true)
  t.equal(pruned({ labels: ['stage=test'] }, nameless, labels), true)
  t.equal(pruned({ labels: ['stage=live'] }, nameless, labels), false)
  t.equal(pruned({ labels: ['stage', 'other'] }, nameless, labels), false)
  t.equal(pruned({ otherLabels: ['stage=test'] }, nameless, labels), false)
  t.equal(pruned({ otherLabels: ['stage=live'] }, nameless, labels), true)
})
