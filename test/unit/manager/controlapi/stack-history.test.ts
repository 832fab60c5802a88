// Which revisions of a stack stay, which one a rollback means, and what of them is bounded.
import * as fc from 'fast-check'
import t from 'tap'
import {
  contentBytesMax,
  presentOf,
  previousOf,
  revisionsOf,
  surplusOf,
} from '../../../../manager/controlapi/stack-history.ts'
import {
  namespaceLabel,
  nodeId,
  type StackRevision,
  stackHistoryLevel,
} from '../../../../proto/objects/index.ts'
import {
  aControlWorld,
  aRequestId,
  type ControlWorld,
  createService,
} from '../../../support/control.ts'

function aRevision(revision: number, more: Partial<StackRevision> = {}): StackRevision {
  return {
    stack: 's',
    revision,
    version: 1,
    createdAtMs: 0,
    updatedAtMs: 0,
    kind: 'deploy',
    rollbackTo: 0,
    state: 'deployed',
    message: '',
    clientNodeId: nodeId('n'),
    clientUser: 'root',
    changes: [],
    content: new Uint8Array(1),
    digest: `d${revision}`,
    versions: [],
    ...more,
  }
}

const without = { content: new Uint8Array(0), digest: '' }
const numbers = (rows: readonly StackRevision[]): readonly number[] => rows.map((r) => r.revision)

t.test('a rollback means the last that was deployed and is not as the present one', (t) => {
  const failed = { state: 'failed' as const, ...without }
  const cases: readonly (readonly [string, readonly StackRevision[], number | undefined])[] = [
    ['nothing', [], undefined],
    ['one alone', [aRevision(1)], undefined],
    ['the one before', [aRevision(1), aRevision(2)], 1],
    ['not what is the same', [aRevision(1), aRevision(2, { digest: 'd3' }), aRevision(3)], 1],
    ['not what failed', [aRevision(1), aRevision(2, failed), aRevision(3)], 1],
    ['the present one failed', [aRevision(1), aRevision(2), aRevision(3, failed)], 2],
    ['its client went away', [aRevision(1), aRevision(2, { ...without, state: 'deploying' })], 1],
    [
      'the last was brought back',
      [aRevision(1), aRevision(2), aRevision(3, { ...without, state: 'reverted' })],
      1,
    ],
  ]
  for (const [what, rows, revision] of cases) t.equal(previousOf(rows)?.revision, revision, what)
  const reverted = { ...without, state: 'reverted' as const }
  t.equal(presentOf([aRevision(1), aRevision(2, reverted)])?.revision, 1)
  t.equal(presentOf([aRevision(1, reverted)]), undefined)
  t.end()
})

t.test(
  'the newest and as many before it stay; failures push out nothing that can come back',
  (t) => {
    const five = [1, 2, 3, 4, 5].map((revision) => aRevision(revision))
    t.strictSame(numbers(surplusOf(five, 2)), [2, 1])
    t.strictSame(numbers(surplusOf(five, 0)), [4, 3, 2, 1])
    t.strictSame(surplusOf(five, 4), [])
    const failures = [6, 7, 8, 9].map((n) => aRevision(n, { ...without, state: 'failed' }))
    t.strictSame(numbers(surplusOf([...five, ...failures], 2)), [6, 3, 2, 1])
    const large = { content: new Uint8Array(contentBytesMax) }
    const seven = [1, 2, 3, 4, 5, 6, 7].map((revision) => aRevision(revision, large))
    t.strictSame(numbers(surplusOf(seven, 10)), [3, 2, 1], 'four MiB')
    const property = fc.property(
      fc.array(fc.boolean(), { maxLength: 40 }),
      fc.nat({ max: 12 }),
      (ables, limit) => {
        const rows = ables.map((able, i) => aRevision(i + 1, able ? {} : without))
        const gone = new Set(numbers(surplusOf(rows, limit)))
        const kept = rows.filter(({ revision }) => !gone.has(revision))
        const able = kept.filter(({ content }) => content.length > 0).length
        return (
          able <= limit + 1 &&
          kept.length - able <= limit + 1 &&
          kept.at(-1) === rows.at(-1) &&
          surplusOf(kept, limit).length === 0
        )
      },
    )
    fc.assert(property)
    t.end()
  },
)

const stackService = (w: ControlWorld, name: string, env: readonly string[] = []) =>
  createService(w, {
    name,
    labels: { [namespaceLabel]: 's' },
    container: { env: [...env] },
  })

const begin = async (w: ControlWorld, more: object = {}) => {
  const request = { requestId: aRequestId(), stack: 's', kind: 'deploy', rollbackTo: 0 }
  const full = { ...request, clientUser: 'u', changes: [], ...more }
  return (await w.api.beginStackRevision(w.caller, full, w.signal)).revision
}

const end = async (w: ControlWorld, revision: number, state: string, message = '') => {
  const request = { requestId: aRequestId(), stack: 's', revision, state, message }
  return (await w.api.endStackRevision(w.caller, request, w.signal)).problem
}

const rowsOf = (w: ControlWorld) => w.store.view((tx) => revisionsOf(tx, 's'))

t.test('texts, changes and content are bounded', async (t) => {
  const w = await aControlWorld()
  const change = { action: 'create', kind: 'service', name: 'x'.repeat(300) }
  const changes = Array.from({ length: 150 }, () => ({
    ...change,
    fields: Array.from({ length: 30 }, () => 'f'.repeat(300)),
  }))
  const revision = await begin(w, { changes, clientUser: 'u'.repeat(1_000) })
  await end(w, revision, 'failed', 'm'.repeat(5_000))
  const [row] = rowsOf(w)
  t.equal(row?.changes.length, 100)
  t.equal(row?.changes[0]?.fields.length, 20)
  t.equal(row?.changes[0]?.name.length, 257)
  t.equal(row?.clientUser.length, 257)
  t.equal(row?.message.length, 1_001)
  // Each of 30 services with 40 kB is more than an entry of the log may have.
  for (let i = 0; i < 30; i++) await stackService(w, `s_${i}`, [`A=${'x'.repeat(40_000)}`])
  const large = await begin(w)
  t.match(
    await end(w, large, 'deployed'),
    /^it cannot come back: 12\d{5} bytes, and at most 1048576/,
  )
  t.match(rowsOf(w).at(-1), { state: 'deployed', content: new Uint8Array(0), digest: '' })
})

t.test('a repeat is answered with the first number; what ended may end otherwise', async (t) => {
  const w = await aControlWorld()
  await stackService(w, 's_a')
  await stackService(w, 'other')
  const requestId = aRequestId()
  const first = await begin(w, { requestId })
  t.equal(first, 2, 'after what was found')
  t.equal(await begin(w, { requestId }), first)
  t.equal(await end(w, first, 'deployed'), '')
  t.match(rowsOf(w)[1], { state: 'deployed', versions: [] })
  t.ok((rowsOf(w)[1]?.content.length ?? 0) > 0)
  await end(w, first, 'failed', 'later')
  t.match(rowsOf(w)[1], { state: 'failed', message: 'later' })
  t.ok((rowsOf(w)[1]?.content.length ?? 0) > 0, 'what was kept stays')
  await end(w, first, 'reverted')
  t.equal(rowsOf(w)[1]?.content.length, 0)
  t.match(await end(w, 9, 'deployed'), /revision 9 of stack "s" is not there any more/)
})

t.test('what is no revision is refused', async (t) => {
  const w = await aControlWorld()
  await t.rejects(begin(w, { stack: '' }), /a revision names its stack/)
  await t.rejects(begin(w, { kind: 'other' }), /is of kind deploy or rollback/)
  const revision = await begin(w)
  await t.rejects(end(w, revision, 'done'), /"done" is no end of a revision/)
  await w.store.update((tx) => {
    const [cluster] = [...tx.all('cluster')]
    if (cluster === undefined) throw new Error('no cluster')
    tx.remove('cluster', cluster.id)
    tx.create('cluster', { ...cluster, featureLevel: stackHistoryLevel - 1 })
  })
  await t.rejects(
    begin(w),
    /the cluster is at feature level 4, and the history of stacks came with/,
  )
})
