import t from 'tap'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import type { Tx } from '../../../../manager/store/store.ts'
import type { SwarmError } from '../../../../proto/errors.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import type { Task } from '../../../../proto/objects/index.ts'
import { aCluster, aService, aTask } from '../../../support/objects.ts'
import { Replicas } from '../../../support/replicated-stores.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

function create(tx: Tx, ...ids: readonly string[]): void {
  for (const id of ids) tx.create('tasks', aTask({ id }))
}

function ids(from: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `t${from + i}`)
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'fine'
  } catch (err) {
    return (err as SwarmError).code ?? String(err)
  }
}

const tick = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve()
}

t.test('updates of one tick ride one entry, those that wait meanwhile the next', async (t) => {
  const { leader, proposer, ...replicas } = new Replicas()
  const first = [1, 2, 3].map((i) => leader.update((tx) => create(tx, `a${i}`)))
  await tick()
  t.equal(proposer.proposals.length, 1)
  const second = [1, 2, 3].map((i) => leader.update((tx) => create(tx, `b${i}`)))
  await tick()
  t.equal(proposer.proposals.length, 1, 'the next entry leaves when the first was applied')
  t.equal(
    leader.view((tx) => tx.count('tasks')),
    0,
    'nothing shows before it is applied',
  )
  t.equal(replicas.log.length, 1)
  const all = new Replicas()
  t.equal(all.log.length, 1)
  await commitAll({ leader, proposer })
  await Promise.all([...first, ...second])
  t.equal(leader.appliedIndex, 3)
  t.equal(
    leader.view((tx) => tx.count('tasks')),
    6,
  )
  t.equal(
    leader.view((tx) => tx.version),
    6,
    'one step a callback',
  )
})

async function commitAll({
  leader,
  proposer,
}: Pick<Replicas, 'leader' | 'proposer'>): Promise<void> {
  for (let idle = 0; idle < 10; idle++) {
    await Promise.resolve()
    const next = proposer.proposals.shift()
    if (next === undefined) continue
    idle = 0
    const index = leader.appliedIndex + 1
    leader.apply({ index, term: 1, data: next.data })
    next.settle({ kind: 'committed', index })
  }
}

t.test(
  'an entry holds at most 200 changes; a full one leaves though another is in flight',
  async (t) => {
    const replicas = new Replicas()
    const { leader, proposer } = replicas
    const updates = Array.from({ length: 10 }, (_, i) =>
      leader.update((tx) => create(tx, ...ids(i * 90, 90))),
    )
    await tick()
    t.equal(proposer.proposals.length, 4, 'four entries are in flight, the others wait')
    await replicas.commitAll()
    await Promise.all(updates)
    t.equal(replicas.log.length, 1 + 5)
    t.equal(
      replicas.followers[0]?.view((tx) => tx.count('tasks')),
      900,
    )
  },
)

t.test('a callback may make 200 changes and not one more', async (t) => {
  const replicas = new Replicas()
  const fits = replicas.leader.update((tx) => create(tx, ...ids(0, 200)))
  const tooMany = replicas.leader.update((tx) => create(tx, ...ids(1000, 201)))
  const [code] = await Promise.all([codeOf(tooMany), replicas.commitAll(), fits])
  t.equal(code, 'RESOURCE_EXHAUSTED')
  t.equal(
    replicas.leader.view((tx) => tx.count('tasks')),
    200,
  )
})

t.test('an entry holds at most 1.5 MiB', async (t) => {
  const replicas = new Replicas()
  const message = 'x'.repeat(600 * 1024)
  const put = (id: string, times: number) => (tx: Tx) => {
    for (let i = 0; i < times; i++) tx.create('tasks', { ...aTask({ id: `${id}${i}` }), message })
  }
  const updates = ['a', 'b', 'c'].map((id) => replicas.leader.update(put(id, 1)))
  const tooLarge = codeOf(replicas.leader.update(put('d', 3)))
  await replicas.commitAll()
  await Promise.all(updates)
  t.equal(await tooLarge, 'RESOURCE_EXHAUSTED')
  t.equal(replicas.log.length, 1 + 2)
  t.equal(
    replicas.leader.view((tx) => tx.count('tasks')),
    3,
  )
})

t.test('without leadership nothing is taken', async (t) => {
  const replicas = new Replicas()
  const [follower] = replicas.followers
  t.equal(await codeOf(follower?.update(() => 1) ?? Promise.resolve()), 'NOT_LEADER')
  replicas.leader.endTerm()
  t.equal(await codeOf(replicas.leader.update(() => 1)), 'NOT_LEADER')
})

t.test('when leadership is lost: proposed is unknown, everything else was not done', async (t) => {
  const replicas = new Replicas()
  const { leader, proposer } = replicas
  const proposed = codeOf(leader.update((tx) => create(tx, 'a')))
  await tick()
  const ran = codeOf(leader.update((tx) => create(tx, 'b')))
  const readOnly = codeOf(leader.update((tx) => tx.get('tasks', 'a')?.id))
  await tick()
  const waiting = codeOf(leader.update((tx) => create(tx, 'c')))
  leader.endTerm()
  t.equal(await proposed, 'OUTCOME_UNKNOWN')
  t.equal(await ran, 'NOT_LEADER')
  t.equal(await readOnly, 'NOT_LEADER')
  t.equal(await waiting, 'NOT_LEADER')
  // The lost proposal is committed after all, by a later leader.
  replicas.append(proposer.proposals.shift()?.data ?? new Uint8Array())
  t.ok(leader.view((tx) => tx.get('tasks', 'a')))
  t.equal(
    leader.view((tx) => tx.count('tasks')),
    1,
  )
  // And the next term begins from there.
  replicas.term = 2
  replicas.append(new Uint8Array(0))
  leader.startTerm(2)
  const next = leader.update((tx) => create(tx, 'b'))
  await replicas.commitAll()
  await next
  t.equal(
    replicas.followers[0]?.view((tx) => tx.count('tasks')),
    2,
  )
})

t.test(
  'a refused proposal and those behind it were not done, those before it are unknown',
  async (t) => {
    const { leader, proposer } = new Replicas()
    const updates = [0, 1, 2].map((i) =>
      codeOf(leader.update((tx) => create(tx, ...ids(i * 200, 200)))),
    )
    await tick()
    proposer.proposals[1]?.settle({ kind: 'not-leader' })
    t.same(await Promise.all(updates), ['OUTCOME_UNKNOWN', 'NOT_LEADER', 'NOT_LEADER'])
  },
)

t.test('a refused proposal was not done; a lost one is unknown', async (t) => {
  for (const kind of ['not-leader', 'unknown'] as const) {
    const { leader, proposer } = new Replicas()
    const update = codeOf(leader.update((tx) => create(tx, 'a')))
    await tick()
    proposer.proposals.shift()?.settle({ kind })
    t.equal(await update, kind === 'unknown' ? 'OUTCOME_UNKNOWN' : 'NOT_LEADER')
    t.notOk(leader.isLeader)
  }
})

t.test(
  'an entry that is committed in another term or on another state is void everywhere',
  async (t) => {
    for (const later of [{ term: 2 }, { term: 1 }]) {
      const replicas = new Replicas()
      const { leader, proposer } = replicas
      const late = codeOf(leader.update((tx) => create(tx, 'a')))
      await tick()
      const [held] = proposer.proposals.splice(0)
      if (later.term === 2) replicas.term = 2
      else {
        // Another entry of the term comes first, which this leader did not build on.
        const other = new Replicas(5)
        const update = other.leader.update((tx) => create(tx, 'z'))
        await tick()
        replicas.append(other.proposer.proposals[0]?.data ?? new Uint8Array())
        void update.catch(() => {})
      }
      replicas.append(held?.data ?? new Uint8Array())
      t.equal(await late, 'NOT_LEADER', 'it was not done and may be repeated')
      for (const store of [leader, ...replicas.followers]) {
        t.equal(
          store.view((tx) => tx.get('tasks', 'a')),
          undefined,
        )
        t.equal(store.appliedIndex, replicas.log.length)
      }
    }
  },
)

t.test(
  'an error that rests on what is not applied yet is told only when that is applied',
  async (t) => {
    const { leader, proposer } = new Replicas()
    const create1 = leader.update((tx) => create(tx, 'a'))
    let told = false
    const again = codeOf(leader.update((tx) => create(tx, 'a'))).then((code) => {
      told = true
      return code
    })
    await tick()
    t.notOk(told)
    await commitAll({ leader, proposer })
    await create1
    t.equal(await again, 'ALREADY_EXISTS')
    t.equal(await codeOf(leader.update((tx) => create(tx, 'a'))), 'ALREADY_EXISTS')
  },
)

t.test('a repeated request is answered with the first result and changes nothing', async (t) => {
  const replicas = new Replicas()
  const { leader } = replicas
  const make = (method = 'CreateTask'): Promise<unknown> =>
    leader.update(
      (tx) => {
        const { id } = tx.create('tasks', aTask({ id: `t${tx.version}` }))
        return { id, absent: undefined }
      },
      { requestId: 'r1', method },
    )
  const [first, second] = [make(), make()]
  await replicas.commitAll()
  t.strictSame(await first, { id: 't0', absent: undefined })
  t.strictSame(await second, { id: 't0' })
  t.strictSame(await make(), { id: 't0' }, 'applied meanwhile')
  t.equal(await codeOf(make('RemoveTask')), 'INVALID_ARGUMENT')
  t.equal(
    leader.view((tx) => tx.count('tasks')),
    1,
  )
  // A later leader knows it too.
  const [follower] = replicas.followers
  follower?.startTerm(2)
  const third = await follower?.update(() => 'not run', { requestId: 'r1', method: 'CreateTask' })
  t.strictSame(third, { id: 't0' })
})

t.test(
  'a request without a result or without changes is remembered, a failed one is not',
  async (t) => {
    const replicas = new Replicas()
    let runs = 0
    const run = (requestId: string, fails = false): Promise<unknown> =>
      replicas.leader.update(
        () => {
          runs += 1
          if (fails) throw new TypeError('no')
        },
        { requestId },
      )
    const calls = [run('r1'), run('r1'), run('r2', true).catch(() => 'failed'), run('r2')]
    await replicas.commitAll()
    t.same(await Promise.all(calls), [undefined, undefined, 'failed', undefined])
    t.equal(runs, 3)
  },
)

t.test('a callback must be synchronous, and its transaction ends with it', async (t) => {
  const { leader } = new Replicas()
  await t.rejects(
    leader.update(async () => 1),
    /must be synchronous/,
  )
  let kept: Tx | undefined
  await leader.update((tx) => {
    kept = tx
  })
  t.throws(() => kept?.get('tasks', 'a'), /used after its callback/)
  t.throws(() => kept?.create('tasks', aTask({})), /used after its callback/)
})

t.test(
  'versions and names are checked, and the texts say which object and what to do',
  async (t) => {
    const replicas = new Replicas()
    const { leader } = replicas
    const setUp = leader.update((tx) => {
      tx.create('services', aService({ id: 's1', name: 'web' }))
      tx.create('tasks', aTask({ id: 'a' }))
      tx.create('cluster', aCluster({}))
    })
    await replicas.commitAll()
    await setUp
    const check = (
      fn: (tx: Tx) => unknown,
      wanted: { code: string; message?: RegExp },
    ): Promise<unknown> => t.rejects(leader.update(fn), wanted)
    await check((tx) => tx.create('services', aService({ id: 's2', name: 'WEB' })), {
      code: 'NAME_CONFLICT',
      message: /service "web" \(s1\) has this name; choose another/,
    })
    await check((tx) => tx.update('tasks', aTask({ id: 'a', version: 7 })), {
      code: 'OUT_OF_SEQUENCE',
      message:
        /update out of sequence: task a was changed meanwhile \(version 7 was given, 1 is current\)/,
    })
    await check((tx) => tx.update('tasks', aTask({ id: 'b' })), {
      code: 'NOT_FOUND',
      message: /task b/,
    })
    await check((tx) => tx.remove('tasks', 'a', 2), { code: 'OUT_OF_SEQUENCE' })
    await check((tx) => tx.update('cluster', { ...aCluster({}), featureLevel: 0 }), {
      code: 'FAILED_PRECONDITION',
    })
    await check((tx) => tx.update('cluster', { ...aCluster({}), featureLevel: 99 }), {
      code: 'UNSUPPORTED',
      message: /upgrade/,
    })
  },
)

t.test('rows are stamped with version and cluster time', async (t) => {
  const clock = new VirtualClock()
  const store = createMemoryStore({ clock, random: seededRandom(1), encode: true })
  const made = await store.update((tx) => tx.create('tasks', aTask({ id: 'a', version: 99 })))
  t.match(made, { version: 1, createdAtMs: clock.wallMs(), updatedAtMs: clock.wallMs() })
  await clock.advance(500)
  const twice = await store.update((tx) => {
    const once = tx.update('tasks', { ...(tx.get('tasks', 'a') as Task), slot: 2 })
    t.equal(tx.version, 2)
    return tx.update('tasks', { ...once, slot: 3 })
  })
  t.match(twice, {
    version: 2,
    slot: 3,
    createdAtMs: made.createdAtMs,
    updatedAtMs: clock.wallMs(),
  })
  t.same(
    store.view((tx) => tx.get('tasks', 'a')),
    twice,
  )
})

t.test('too many waiting updates are turned away', async (t) => {
  const { leader } = new Replicas()
  const updates = Array.from({ length: 20_001 }, () => codeOf(leader.update(() => 1)))
  leader.endTerm()
  const codes = await Promise.all(updates)
  t.equal(codes.filter((code) => code === 'NOT_LEADER').length, 20_000)
  t.equal(codes.at(-1), 'RESOURCE_EXHAUSTED')
})
