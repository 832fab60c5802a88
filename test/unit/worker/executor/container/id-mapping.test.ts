import t from 'tap'
import {
  hostIds,
  type IdFiles,
  insideIds,
  ownRange,
  parseUsernsRemap,
  resolveRemap,
} from '../../../../../worker/executor/container/id-mapping.ts'

const nobody: IdFiles = {
  passwd: 'root:x:0:0:root:/root:/bin/sh\n',
  group: 'root:x:0:\n',
  subuid: '',
  subgid: '',
}
const granted: IdFiles = {
  ...nobody,
  subuid: '# ranges\nann:100000:65536\ntsswarm:165536:65536\n',
  subgid: 'tsswarm:265536:131072\n',
}

t.test('a setting is off, auto or a range', async (t) => {
  t.equal(parseUsernsRemap('off'), 'off')
  t.equal(parseUsernsRemap('auto'), 'auto')
  t.equal(parseUsernsRemap('default'), 'auto', 'as Docker calls it')
  const range = { uid: 65_536, gid: 200_000, size: 65_536 }
  t.strictSame(parseUsernsRemap('65536:200000:65536'), range)
  for (const [text, why] of [
    ['', /must be off, auto or UID:GID:SIZE/],
    ['200000:200000', /must be off, auto or UID:GID:SIZE/],
    ['200000:200000:65535', /must have 65536 numbers or more/],
    ['65535:200000:65536', /must begin at 65536 or above/],
    ['200000:0:65536', /must begin at 65536 or above/],
    ['4294901760:200000:65536', /must end below 4294967295/],
  ] as const) {
    t.throws(() => parseUsernsRemap(text), { message: why }, text)
  }
})

t.test('auto takes what the host gives tsswarm, else a range of its own', async (t) => {
  t.equal(resolveRemap('off', granted), undefined)
  t.strictSame(resolveRemap('auto', granted), { uid: 165_536, gid: 265_536, size: 65_536 })
  t.strictSame(resolveRemap('auto', nobody), ownRange)
  t.strictSame(resolveRemap('auto', { ...granted, subgid: '' }), ownRange, 'both are needed')
  const few = { ...granted, subuid: 'tsswarm:165536:65535\n' }
  t.strictSame(resolveRemap('auto', few), ownRange, 'and enough of them')
})

t.test('a range that somebody has is refused', async (t) => {
  const refused = (files: Partial<IdFiles>, message: RegExp, uid = 200_000) =>
    t.throws(() => resolveRemap({ uid, gid: 400_000, size: 65_536 }, { ...nobody, ...files }), {
      code: 'HOST_UNFIT',
      message,
    })
  refused(
    { subuid: 'ann:265535:10\n' },
    /200000 to 265535 .*\/etc\/subuid gives some of them to ann/,
  )
  refused({ subgid: 'ann:390000:10001\n' }, /400000 to 465535 .*\/etc\/subgid gives/)
  refused({ passwd: 'ann:x:200000:1::/:/bin/sh\n' }, /user ann has 200000/)
  refused({ group: 'www:x:465535:\n' }, /group www has 465535/)
  const around = { subuid: 'ann:190000:10000\nbob:265536:10\nodd:line\n' }
  const range = { uid: 200_000, gid: 400_000, size: 65_536 }
  t.strictSame(resolveRemap(range, { ...nobody, ...around }), range, 'those beside it are not')
  t.strictSame(resolveRemap({ ...range, uid: 165_536 }, granted)?.uid, 165_536, 'nor its own')
})

t.test('numbers go from inside to the host and back', async (t) => {
  const mapping = { uid: 200_000, gid: 300_000, size: 65_536 }
  const host = { uid: 265_535, gid: 300_000 }
  t.strictSame(hostIds(mapping, { uid: 65_535, gid: 0 }), host)
  t.strictSame(insideIds(mapping, host), { uid: 65_535, gid: 0 })
  t.equal(hostIds(mapping, { uid: 65_536, gid: 0 }), undefined)
  t.equal(hostIds(mapping, { uid: 0, gid: 65_536 }), undefined)
  t.strictSame(insideIds(mapping, { uid: 0, gid: 365_536 }), { uid: 65_534, gid: 65_534 })
})
