import t from 'tap'
import { whatGoes } from '../../../../worker/image/push.ts'
import type { StoredImage } from '../../../../worker/image/store-index.ts'

const digest = `sha256:${'d'.repeat(64)}`
const image: StoredImage = {
  id: 'a'.repeat(64),
  names: ['r.lan/app:1', 'r.lan/app:2', `r.lan/app@${digest}`, 'r.lan/other:1'],
  digests: [digest],
  layerId: undefined,
  createdAtMs: 0,
}

function names(reference: string, allTags = false): readonly string[] {
  return whatGoes([image], { reference, allTags }).map(({ name }) => name)
}

t.test('one name goes, or all tags of it, digests never', async (t) => {
  t.same(names('r.lan/app:1'), ['r.lan/app:1'])
  t.same(names('r.lan/app', true), ['r.lan/app:1', 'r.lan/app:2'])
  t.throws(() => names('r.lan/app'), { code: 'IMAGE_NOT_FOUND', message: /r\.lan\/app:latest/ })
  t.throws(() => names('r.lan/none', true), { code: 'IMAGE_NOT_FOUND', message: /r\.lan\/none\./ })
  t.throws(() => names(`r.lan/app@${digest}`), { code: 'INVALID_ARGUMENT' })
  t.throws(() => names('r.lan/app:1', true), { code: 'INVALID_ARGUMENT', message: /all-tags/ })
  t.throws(() => names('Bad Name'), { code: 'INVALID_ARGUMENT' })
})
