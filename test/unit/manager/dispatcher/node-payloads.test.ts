// Whatever happens to the tasks of a node: it is to have what its open tasks use, and has been sent it.
import fc from 'fast-check'
import t from 'tap'
import { NodePayloads } from '../../../../manager/dispatcher/node-payloads.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import type { Store } from '../../../../manager/store/store.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { serviceId, TaskState, taskId } from '../../../../proto/objects/index.ts'
import { payloadUse } from '../../../../proto/spec/payload-spec.ts'
import type { TaskSpec } from '../../../../proto/spec/service-spec.ts'
import { aPayload, aTaskSpec } from '../../../support/objects.ts'

/** There are s0 to s3; s4 is named by specs and gone. */
const known = ['s0', 's1', 's2', 's3']

async function aStore(): Promise<Store> {
  const store = createMemoryStore({ clock: systemClock, random: seededRandom(1) })
  await store.update((tx) => {
    for (const id of known) tx.create('secrets', aPayload({ id }))
  })
  return store
}

function specWith(numbers: readonly number[]): TaskSpec {
  const spec = aTaskSpec({})
  const secrets = numbers.map((n) => payloadUse.parse({ source: `s${n}` }))
  return { ...spec, container: { ...spec.container, secrets } }
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant('note' as const),
    task: fc.nat({ max: 3 }),
    uses: fc.uniqueArray(fc.nat({ max: 4 }), { maxLength: 3 }),
    state: fc.constantFrom(TaskState.ASSIGNED, TaskState.RUNNING, TaskState.FAILED),
  }),
  fc.record({ kind: fc.constant('forget' as const), task: fc.nat({ max: 3 }) }),
  fc.record({ kind: fc.constant('new session' as const) }),
)

t.test('a node has what its open tasks use, no more and no less', async (t) => {
  const store = await aStore()
  const property = fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    const payloads = new NodePayloads()
    const uses = new Map<number, readonly number[]>()
    let held = new Set<string>()
    for (const one of steps) {
      if (one.kind === 'new session') {
        payloads.clear()
        held = new Set()
        for (const [task, numbers] of uses) note(payloads, task, TaskState.RUNNING, numbers)
      } else if (one.kind === 'forget') {
        payloads.forget(taskId(`t${one.task}`))
        uses.delete(one.task)
      } else {
        note(payloads, one.task, one.state, one.uses)
        if (one.state > TaskState.RUNNING) uses.delete(one.task)
        else uses.set(one.task, one.uses)
      }
      const { ids, fresh } = store.view((tx) => payloads.due(tx))
      for (const { id } of fresh) held.add(id)
      held = new Set([...held].filter((id) => ids.some((named) => named === id)))
      const wanted = new Set([...uses.values()].flat().map((n) => `s${n}`))
      const there = known.filter((id) => wanted.has(id))
      if ([...held].sort().join() !== there.join() || ids.length !== there.length) return false
    }
    return true
  })
  fc.assert(property, { numRuns: 300 })
  t.pass()
})

function note(
  payloads: NodePayloads,
  task: number,
  state: TaskState,
  uses: readonly number[],
): void {
  const ids = { id: taskId(`t${task}`), serviceId: serviceId('web') }
  payloads.note({ ...ids, state }, specWith(uses))
}
