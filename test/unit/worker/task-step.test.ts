import fc from 'fast-check'
import t from 'tap'
import { isTerminal, type TaskHealth, TaskState } from '../../../proto/objects/index.ts'
import {
  type ContainerFact,
  nextTaskAction,
  type TaskAction,
  type TaskFacts,
} from '../../../worker/task-step.ts'

const S = TaskState
const absent: ContainerFact = { kind: 'absent' }
const created: ContainerFact = { kind: 'created' }
const running: ContainerFact = { kind: 'running' }
const exited = (exitCode: number, why = ''): ContainerFact => ({ kind: 'exited', exitCode, why })

function told(action: TaskAction): string {
  if (action.kind !== 'report') return action.kind
  const { state, message, err } = action.to
  return [state, message, err].filter((part) => part !== '').join(' ')
}

t.test('a step follows from what is wanted, observed and found', async (t) => {
  const table: readonly (readonly [TaskFacts['desired'], TaskState, ContainerFact, string])[] = [
    [S.RUNNING, S.ASSIGNED, absent, '256 accepted'],
    [S.RUNNING, S.ACCEPTED, absent, '320 preparing'],
    [S.RUNNING, S.PREPARING, absent, 'prepare'],
    [S.RUNNING, S.PREPARING, created, '384 prepared'],
    [S.READY, S.READY, created, 'idle'],
    [S.READY, S.READY, absent, 'prepare'],
    [S.RUNNING, S.READY, created, '448 starting'],
    [S.RUNNING, S.STARTING, created, 'start'],
    [S.RUNNING, S.STARTING, running, '512 started'],
    [S.RUNNING, S.STARTING, absent, '704 started the container of the task is gone'],
    [S.RUNNING, S.RUNNING, running, 'watch'],
    [S.COMPLETE, S.RUNNING, running, 'watch'],
    [S.RUNNING, S.RUNNING, exited(0), '576 finished'],
    [S.RUNNING, S.RUNNING, exited(1), '704 started task: non-zero exit (1)'],
    [S.RUNNING, S.RUNNING, exited(137, 'oom'), '704 started task: non-zero exit (137): oom'],
    [S.RUNNING, S.RUNNING, absent, '704 started the container of the task is gone'],
    // Found by a restarted daemon whose database is behind.
    [S.RUNNING, S.PREPARING, running, '384 prepared'],
    [S.RUNNING, S.READY, running, '448 starting'],
    [S.READY, S.READY, exited(-1), '768 preparing the container ended before it was started'],
    // Asked to stop.
    [S.SHUTDOWN, S.ASSIGNED, absent, '640 shutdown'],
    [S.SHUTDOWN, S.PREPARING, created, 'stop'],
    [S.SHUTDOWN, S.RUNNING, running, 'stop'],
    [S.SHUTDOWN, S.RUNNING, exited(143), '640 shutdown'],
    [S.REMOVE, S.RUNNING, running, 'stop'],
    // Ended, here or by a decision of the cluster.
    [S.RUNNING, S.FAILED, exited(1), 'idle'],
    [S.SHUTDOWN, S.SHUTDOWN, exited(0), 'idle'],
    [S.SHUTDOWN, S.REJECTED, running, 'stop'],
    [S.RUNNING, S.FAILED, created, 'stop'],
    [S.RUNNING, S.REJECTED, absent, 'idle'],
    // No longer ours.
    ['gone', S.RUNNING, running, 'stop'],
    ['gone', S.RUNNING, exited(143), 'remove'],
    ['gone', S.READY, created, 'remove'],
    ['gone', S.FAILED, absent, 'forget'],
  ]
  for (const [desired, observed, container, expected] of table) {
    const what = `desired ${desired}, observed ${observed}, container ${container.kind}`
    t.equal(told(nextTaskAction({ desired, observed, container })), expected, what)
  }
})

t.test('what a health check says comes before ports and before the end', async (t) => {
  const health = (state: TaskHealth['state'], failures = 0) => ({
    health: { state, failures, failedAtMs: 0, output: 'exit code 1' },
  })
  const step = (observed: TaskState, container: ContainerFact, more: Partial<TaskFacts>) =>
    told(nextTaskAction({ desired: S.RUNNING, observed, container, ...more }))
  const off = { isListening: false }
  t.equal(step(S.STARTING, running, { ...health('starting'), ...off }), 'await-health')
  t.equal(step(S.STARTING, running, { ...health('healthy'), ...off }), '512 started')
  t.equal(step(S.STARTING, running, off), 'await-ports')
  t.equal(step(S.STARTING, running, { ...health('unhealthy'), isDrained: false }), 'stop')
  t.equal(step(S.RUNNING, running, health('starting')), 'watch')
  t.equal(step(S.RUNNING, running, { ...health('healthy'), isWired: false }), 'wire')
  t.equal(step(S.RUNNING, running, { ...health('unhealthy'), isDrained: false }), 'await-drained')
  t.equal(step(S.RUNNING, running, health('unhealthy')), 'stop')
  // Source: swarm-semantics 5.3; also a container that ends well has failed.
  const words = 'dockerexec: unhealthy container'
  t.equal(
    step(S.RUNNING, exited(137), health('unhealthy', 3)),
    `704 started task: non-zero exit (137): ${words} (3 health checks in a row failed, the last with exit code 1)`,
  )
  const page = { health: { ...health('unhealthy', 3).health, output: 'status 404:\n<BODY>\n' } }
  t.match(step(S.RUNNING, exited(137), page), /, the last with status 404: <BODY>\)$/, 'one line')
  t.match(step(S.RUNNING, exited(0), health('unhealthy', 1)), `started task: ${words} (its health`)
  t.equal(step(S.RUNNING, exited(0), health('healthy')), '576 finished')
})

t.test('from anywhere a task comes to rest, its state only growing', async () => {
  const states = Object.values(TaskState)
  const anyContainer = fc.oneof(
    fc.constantFrom(absent, created, running),
    fc.integer({ min: -1, max: 255 }).map((code) => exited(code)),
  )
  const anyHealth = fc.record({
    state: fc.constantFrom('starting' as const, 'healthy' as const, 'unhealthy' as const),
    failures: fc.nat({ max: 5 }),
    failedAtMs: fc.constant(0),
    output: fc.constant(''),
  })
  fc.assert(
    fc.property(
      fc.record({
        desired: fc.constantFrom<TaskFacts['desired']>('gone', ...states),
        observed: fc.constantFrom(...states),
        container: anyContainer,
        health: fc.option(anyHealth, { nil: undefined }),
        isDrained: fc.boolean(),
      }),
      fc.boolean(),
      (from, succeeds) => {
        let facts: TaskFacts = from
        for (let step = 0; step < 12; step++) {
          const action = nextTaskAction(facts)
          if (action.kind === 'idle' || action.kind === 'forget') return isAtRest(facts)
          const next = after(facts, action, succeeds)
          if (next.observed < facts.observed) return false
          facts = next
        }
        return false
      },
    ),
  )
})

/** What a task that has nothing more to do looks like. */
function isAtRest({ desired, observed, container }: TaskFacts): boolean {
  if (desired === 'gone') return container.kind === 'absent'
  const isAlive = container.kind === 'running' || container.kind === 'created'
  if (isTerminal(observed)) return !isAlive
  return desired <= TaskState.READY && observed === TaskState.READY
}

/** A host that does what it is told; a container that runs ends some day. */
function after(facts: TaskFacts, action: TaskAction, succeeds: boolean): TaskFacts {
  switch (action.kind) {
    case 'report':
      return { ...facts, observed: action.to.state }
    case 'prepare':
      return succeeds ? { ...facts, container: created } : { ...facts, observed: S.REJECTED }
    case 'start':
      return succeeds ? { ...facts, container: running } : { ...facts, observed: S.FAILED }
    case 'await-health':
      return {
        ...facts,
        health: facts.health && { ...facts.health, state: succeeds ? 'healthy' : 'unhealthy' },
      }
    case 'await-drained':
      return { ...facts, isDrained: true }
    case 'watch':
      return { ...facts, container: exited(succeeds ? 0 : 1) }
    case 'stop':
      return { ...facts, container: exited(143) }
    case 'remove':
      return { ...facts, container: absent }
    default:
      return facts
  }
}
