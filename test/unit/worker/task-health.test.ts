// Where a container is asked over the network, and what keeps it from being asked.
import t from 'tap'
import { silentLogger } from '../../../proto/lib/log.ts'
import { seededRandom } from '../../../proto/lib/random.ts'
import { type TaskHealth, TaskState, taskId } from '../../../proto/objects/index.ts'
import { createFakeExecutor } from '../../../worker/executor/fake/fake-executor.ts'
import { FakeHost } from '../../../worker/executor/fake/fake-host.ts'
import type { ContainerNetwork } from '../../../worker/executor/network-attacher.ts'
import type { NetworkQuestion } from '../../../worker/health/ask-network.ts'
import { ProbeSlots } from '../../../worker/health/probe-slots.ts'
import { initialStatus } from '../../../worker/task-driver.ts'
import { TaskHealthCheck } from '../../../worker/task-health.ts'
import { aContainer } from '../../support/container-configs.ts'
import { anAssignedTask, aSpecRecord } from '../../support/task-builders.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const attached = (...addresses: readonly string[]): ContainerNetwork => ({
  kind: 'attached',
  endpoints: [{ networkId: 'red', addresses, aliases: [] }],
  ports: [],
})

/** One container that is asked for a page each second. */
async function asked(network: ContainerNetwork, canAsk = true) {
  const clock = new VirtualClock()
  const host = new FakeHost({ clock, localImages: { 'test/busybox': {} } })
  const executor = createFakeExecutor(host)
  const questions: (NetworkQuestion & { readonly where: string })[] = []
  const note = (where: string) => async (question: NetworkQuestion) => {
    questions.push({ ...question, where })
    return { isHealthy: true, output: '' }
  }
  const told: TaskHealth[] = []
  const deps = { executor, probes: new ProbeSlots(clock), clock, random: seededRandom(1) }
  const networkProber = canAsk ? { ask: note('container'), askHost: note('host') } : undefined
  const health = new TaskHealthCheck(
    { ...deps, networkProber, log: silentLogger },
    taskId('a'),
    async (one) => void told.push(one),
  )
  const { signal } = new AbortController()
  await executor.create(aContainer('a', { network }), signal)
  const healthcheck = { http: { port: 80, path: '/ok' }, intervalMs: 1_000, retries: 1 }
  const { spec } = aSpecRecord('x', { healthcheck })
  const status = { ...initialStatus(anAssignedTask({ id: 'a' })), state: TaskState.STARTING }
  health.learn(await executor.inspect('a'), spec, status)
  if (health.health !== undefined) throw new Error('asked before its start')
  health.learn(await executor.start('a', signal), spec, status)
  const life = new AbortController()
  const running = health.run(life.signal)
  await clock.advance(1_500)
  life.abort()
  await running
  return { questions, told: told.at(-1) }
}

t.test('at the address that it has, IPv4 first, without its prefix', async (t) => {
  const { questions, told } = await asked(attached('fd01::5/64', '10.0.1.5/24'))
  t.match(questions, [{ where: 'container', address: '10.0.1.5', port: 80, path: '/ok' }])
  t.match(told, { state: 'healthy' })
  t.match((await asked(attached('fd01::5/64'))).questions, [{ address: 'fd01::5' }])
})

t.test('on the network of its host at the host’s own', async (t) => {
  const { questions } = await asked({ kind: 'host' })
  t.match(questions, [{ where: 'host', address: '127.0.0.1', port: 80, timeoutMs: 30_000 }])
})

t.test('without a network it is ill, where nobody can ask nothing is said', async (t) => {
  const { questions, told } = await asked({ kind: 'none' })
  t.same(questions, [])
  t.match(told, { state: 'unhealthy', output: /on no network: check it with a command/ })
  t.match((await asked(attached('10.0.1.5'), false)).told, { state: 'starting', failures: 0 })
})
