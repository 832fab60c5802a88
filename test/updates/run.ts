// Nodes that are drained and daemons that are killed in the middle of an update: it ends as if nothing had been, with no more tasks and no
// fewer than it may have, and no request is lost. Two services at once, one with each order.
import { withDaemon } from '../../cli/lab/lab.ts'
import { listTasks } from '../../cli/lists.ts'
import type { TaskView } from '../../proto/gen/tsswarm/v1/control.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { TaskState } from '../../proto/objects/index.ts'
import { answeredMin, ask } from '../e2e/services/ask.ts'
import type { TestLab } from '../support/test-lab.ts'

const services = [
  { name: 'mid-stop', order: 'stop-first', port: 18_481 },
  { name: 'mid-start', order: 'start-first', port: 18_482 },
] as const
type Service = (typeof services)[number]

const replicas = 4
const parallelism = 2
/** A machine with ten times the work it can bear needs a minute and a half. */
const updateMs = 300_000
const lookMs = 50

/** Ends when it has answered all that it took: what is lost then is the cluster's. */
const serve = [
  `trap 'while cat /proc/net/tcp* | grep -q ":0050 [^ ]* 01 "; do sleep 0.05; done; kill $server; exit 0' TERM`,
  'busybox httpd -f -p 80 -h /www & server=$!',
  'wait $server',
].join('\n')

export interface Fault {
  readonly what: string
  /** Whom it befalls. */
  readonly host: string
  /** Where clients come in. */
  readonly entry: string
  readonly begin: (lab: TestLab) => Promise<unknown>
  readonly end: (lab: TestLab) => Promise<unknown>
}

export interface Outcome {
  readonly ms: number
  /** At the tasks, while it went on. */
  readonly looks: number
  readonly answered: number
  /** None when all is well. */
  readonly wrong: readonly string[]
}

const available = (lab: TestLab, host: string, availability: string): Promise<string> =>
  lab.cli('m1', 'node', 'update', '--availability', availability, host)

const killed = (host: string, entry: string): Omit<Fault, 'what'> => ({
  host,
  entry,
  begin: (lab) => lab.kill(host).then(() => lab.start(host)),
  end: untilReady,
})

export const faults: readonly Fault[] = [
  {
    what: 'a node is drained',
    host: 'w1',
    entry: 'w1',
    begin: (lab) => available(lab, 'w1', 'drain'),
    end: (lab) => available(lab, 'w1', 'active'),
  },
  { what: 'the daemon of a worker is killed', ...killed('w2', 'm1') },
  { what: 'the daemon of the manager is killed', ...killed('m1', 'w2') },
]

/** Two services that all faults befall, one after the other. */
export async function createServices(lab: TestLab): Promise<void> {
  await Promise.all(services.map((service) => create(lab, service)))
}

async function create(lab: TestLab, { name, order, port }: Service): Promise<void> {
  const policy = ['--update-order', order, '--update-parallelism', `${parallelism}`]
  const pace = ['--update-delay', '500ms', '--update-monitor', '500ms', '--restart-delay', '100ms']
  const size = ['--replicas', `${replicas}`, '--name', name, '-p', `${port}:80`]
  const command = ['service', 'create', ...size, ...policy, ...pace, '--no-resolve-image']
  await lab.cli('m1', ...command, 'lab/hello', '/bin/sh', '-c', serve)
}

/** Updates both services, to an environment of this round, with the fault when each has a new task. */
export async function updateWith(lab: TestLab, fault: Fault, round: string): Promise<Outcome> {
  const entry = lab.address(fault.entry)
  const beganMs = systemClock.monotonicMs()
  const clients = await Promise.all(
    services.map(({ port }) => ask(`http://${entry}:${port}/cgi-bin/index.cgi`)),
  )
  const wrong: string[] = []
  const failed = (err: unknown): number => {
    wrong.push(err instanceof Error ? err.message : String(err))
    return 0
  }
  const look = (): Promise<string> => lookAt(lab, fault)
  const looks = await lab.during(look, () => updateBoth(lab, fault, round)).catch(failed)
  await fault.end(lab).catch(failed)
  const answers = await Promise.all(clients.map((one) => one.end()))
  for (const { answered, failed: lost } of answers) {
    wrong.push(...lost.map((why) => `a request is lost: ${why}`))
    if (answered < answeredMin) wrong.push(`only ${answered} requests were answered`)
  }
  const answered = answers.reduce((sum, one) => sum + one.answered, 0)
  return { ms: systemClock.monotonicMs() - beganMs, looks, answered, wrong }
}

async function updateBoth(lab: TestLab, fault: Fault, round: string): Promise<void> {
  const change = ['service', 'update', '--detach', '--env-add', `MESSAGE=${round}`]
  await Promise.all(services.map(({ name }) => lab.cli('m1', ...change, name)))
  const isInMiddle = async (): Promise<boolean> => {
    const running = (await tasks(lab)).filter(isRunning)
    return services.every(({ name }) => running.some((view) => isNew(view, name, round)))
  }
  await lab.until('both are in the middle', isInMiddle, updateMs)
  await fault.begin(lab)
  await Promise.all(services.map(({ name }) => ended(lab, name, round)))
}

/** What is wrong with the tasks of either; '': nothing. */
async function lookAt(lab: TestLab, fault: Fault): Promise<string> {
  // Not without a pause: every answer costs the manager as much as a task that begins.
  await wait(systemClock, lookMs)
  const views = await tasks(lab).catch((err: unknown) => {
    // Nobody can tell while the only manager does not run.
    if (fault.host === 'm1') return []
    throw err
  })
  return views.length === 0 ? '' : services.map((one) => wrongIn(one, views, fault)).join('')
}

/** Completed, with the new spec everywhere. */
async function ended(lab: TestLab, name: string, round: string): Promise<void> {
  const format = '{{.UpdateStatus.State}}'
  const isOver = async (): Promise<string | undefined> => {
    const now = await lab.look('m1', 'service', 'inspect', '--format', format, name)
    return now === 'updating' ? undefined : now
  }
  const state = await lab.until(`the update of ${name} ends`, isOver, updateMs)
  if (state !== 'completed') throw new Error(`the update of ${name} is ${state}`)
  const allRun = async (): Promise<boolean> => {
    const views = await tasks(lab)
    const running = views.filter((view) => view.serviceName === name && isRunning(view))
    return running.length === replicas && running.every((view) => isNew(view, name, round))
  }
  await lab.until(`all of ${name} run`, allRun, updateMs)
}

async function tasks(lab: TestLab): Promise<readonly TaskView[]> {
  return await withDaemon(lab.deps, lab.record, 'm1', (client) => listTasks(client))
}

function isRunning({ task }: TaskView): boolean {
  return task?.state === TaskState.RUNNING && task.desiredState === TaskState.RUNNING
}

function isNew({ serviceName, spec }: TaskView, name: string, round: string): boolean {
  return serviceName === name && spec?.container?.env.includes(`MESSAGE=${round}`) === true
}

/** What is wrong with the number of tasks; '': nothing. */
function wrongIn({ name, order }: Service, all: readonly TaskView[], fault: Fault): string {
  const views = all.filter(({ serviceName }) => serviceName === name)
  const isFirst = order === 'start-first'
  const slots = Array.from({ length: replicas }, (_, i) =>
    views.filter(({ task }) => task?.slot === i + 1),
  )
  const going = slots.map((slot) => slot.filter(isToRun).length)
  const without = slots.filter((slot) => !slot.some(isRunning) && !slot.some(isOfFault(fault)))
  const sum = going.reduce((total, n) => total + n, 0)
  const mostInSlot = Math.max(...going)
  if (mostInSlot > (isFirst ? 2 : 1)) return `${name}: ${mostInSlot} tasks in a slot`
  if (sum > replicas + (isFirst ? parallelism : 0)) return `${name}: ${sum} tasks`
  const spared = isFirst ? 0 : parallelism
  if (without.length > spared) return `${name}: ${without.length} slots without a task that runs`
  return views.some(({ task }) => (task?.slot ?? 0) > replicas) ? `${name}: a slot too many` : ''
}

function isToRun({ task }: TaskView): boolean {
  return (
    task !== undefined && task.desiredState <= TaskState.RUNNING && task.state <= TaskState.RUNNING
  )
}

/** It was on the host that something befell, or is there because of that. */
function isOfFault({ host }: Fault): (view: TaskView) => boolean {
  return ({ nodeHostname, task }) =>
    nodeHostname === host || task?.reason === 'drain' || task?.reason === 'node-down'
}

function untilReady(lab: TestLab): Promise<true> {
  const areReady = async (): Promise<boolean> => {
    const states = await lab.look('m1', 'node', 'ls', '--format', '{{.Status}}')
    return states.split('\n').every((state) => state === 'Ready')
  }
  return lab.until('all nodes are ready', async () => (await areReady()) && true, updateMs)
}
