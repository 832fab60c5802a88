import fc from 'fast-check'
import t from 'tap'
import {
  type AssignedTask,
  type Assignments,
  type AssignmentUpdate,
  specHash,
  taskId,
} from '../../../proto/objects/index.ts'
import { applyAssignmentUpdate, noAssignments } from '../../../worker/assignments.ts'
import { anAssignedTask, aSpecRecord } from '../../support/task-builders.ts'

const at = (index: number, epoch = 1) => ({ epoch, index })

function aSet(index: number, tasks: readonly AssignedTask[]): AssignmentUpdate {
  const hashes = new Set(tasks.map((task) => task.specHash))
  return {
    kind: 'set',
    stamp: at(index),
    tasks,
    specs: [...hashes].map((hash) => aSpecRecord(hash)),
  }
}

function applied(current: Assignments, update: AssignmentUpdate): Assignments {
  const result = applyAssignmentUpdate(current, update)
  if (result.kind !== 'applied') throw new Error(`not applied: ${result.kind}`)
  return result.assignments
}

t.test('a set replaces everything', async (t) => {
  const first = applied(noAssignments, aSet(5, [anAssignedTask({ id: 'a' })]))
  const second = applied(first, aSet(6, [anAssignedTask({ id: 'b', specHash: specHash('x') })]))
  t.same([...second.tasks.keys()], ['b'])
  t.same([...second.specs.keys()], ['x'], 'a spec nobody uses is let go')
  t.same(second.stamp, at(6))
})

t.test('changes hold on top of exactly what came before', async (t) => {
  const first = applied(noAssignments, aSet(5, [anAssignedTask({ id: 'a' })]))
  const changes: AssignmentUpdate = {
    kind: 'changes',
    previous: at(5),
    stamp: at(9),
    update: [anAssignedTask({ id: 'b' })],
    remove: [taskId('a')],
    specs: [],
  }
  const second = applied(first, changes)
  t.same([...second.tasks.keys()], ['b'])
  t.equal(applyAssignmentUpdate(second, { ...changes, previous: at(7), stamp: at(10) }).kind, 'gap')
  t.equal(applyAssignmentUpdate(noAssignments, changes).kind, 'gap', 'nothing before')
})

t.test('what is older is ignored, what is equal is not, a new epoch is newer', async (t) => {
  const current = applied(noAssignments, aSet(5, []))
  t.equal(applyAssignmentUpdate(current, aSet(4, [])).kind, 'stale')
  t.equal(applyAssignmentUpdate(current, aSet(5, [])).kind, 'applied')
  const restored: AssignmentUpdate = { kind: 'set', stamp: at(1, 2), tasks: [], specs: [] }
  t.equal(applyAssignmentUpdate(current, restored).kind, 'applied')
})

t.test('a task without its spec is a gap', async (t) => {
  const bare: AssignmentUpdate = {
    kind: 'set',
    stamp: at(1),
    tasks: [anAssignedTask({ id: 'a' })],
    specs: [],
  }
  t.equal(applyAssignmentUpdate(noAssignments, bare).kind, 'gap')
})

// The truth moves on; two managers at different points of it send sets and increments, sessions break anywhere.
t.test('any interleaving of sets, increments and reconnects ends in what is wanted', async () => {
  const move = fc.record({
    task: fc.integer({ min: 0, max: 5 }),
    spec: fc.integer({ min: 0, max: 2 }),
    isRemoval: fc.boolean(),
  })
  const event = fc.constantFrom('move', 'send', 'send', 'lose', 'duplicate', 'reconnect')
  fc.assert(
    fc.property(
      fc.array(fc.tuple(event, move), { maxLength: 60 }),
      fc.boolean(),
      (events, endsByIncrement) => {
        const world = new World()
        for (const [kind, change] of events) world.step(kind, change)
        // Once the faults end: one last message, whichever comes.
        if (endsByIncrement) world.step('send')
        if (!world.isCurrent()) world.step('reconnect')
        return world.isCurrent() && world.onlyGrew
      },
    ),
  )
})

interface Move {
  readonly task: number
  readonly spec: number
  readonly isRemoval: boolean
}

class World {
  onlyGrew = true
  #index = 1
  #truth = new Map<string, AssignedTask>()
  #agent: Assignments = noAssignments
  #sent: { index: number; tasks: ReadonlyMap<string, AssignedTask> } | undefined
  #last: AssignmentUpdate | undefined

  step(kind: string, change?: Move): void {
    if (kind === 'move' && change !== undefined) this.#move(change)
    if (kind === 'reconnect') this.#deliver(this.#set())
    if (kind === 'send' && this.#sent !== undefined) this.#deliver(this.#changes())
    if (kind === 'lose' && this.#sent !== undefined) this.#changes()
    if (kind === 'duplicate' && this.#last !== undefined) this.#deliver(this.#last)
  }

  isCurrent(): boolean {
    const tasks = [...this.#truth.values()]
    return (
      this.#agent.tasks.size === tasks.length &&
      tasks.every((task) => {
        const known = this.#agent.tasks.get(task.id)
        return known?.specHash === task.specHash && this.#agent.specs.has(task.specHash)
      })
    )
  }

  #move({ task, spec, isRemoval }: Move): void {
    this.#index += 1
    const next = new Map(this.#truth)
    const id = `t${task}`
    if (isRemoval) next.delete(id)
    else next.set(id, anAssignedTask({ id, specHash: specHash(`s${spec}`) }))
    this.#truth = next
  }

  #set(): AssignmentUpdate {
    this.#sent = { index: this.#index, tasks: this.#truth }
    return aSet(this.#index, [...this.#truth.values()])
  }

  #changes(): AssignmentUpdate {
    const before = this.#sent ?? { index: 0, tasks: new Map<string, AssignedTask>() }
    this.#sent = { index: this.#index, tasks: this.#truth }
    const update = [...this.#truth.values()].filter((task) => before.tasks.get(task.id) !== task)
    return {
      kind: 'changes',
      previous: at(before.index),
      stamp: at(this.#index),
      update,
      remove: [...before.tasks.keys()].filter((id) => !this.#truth.has(id)).map(taskId),
      specs: update.map((task) => aSpecRecord(task.specHash)),
    }
  }

  #deliver(message: AssignmentUpdate): void {
    this.#last = message
    const before = this.#agent.stamp
    const result = applyAssignmentUpdate(this.#agent, message)
    if (result.kind === 'applied') this.#agent = result.assignments
    if (result.kind === 'gap') this.#deliver(this.#set())
    const after = this.#agent.stamp
    if (before !== undefined && (after?.index ?? 0) < before.index) this.onlyGrew = false
  }
}
