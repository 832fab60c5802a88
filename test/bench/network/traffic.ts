// How soon a new task gets connections on the node that is last to lead them there: from the moment its own node says that
// it runs, on a lab with real daemons. Every node has a client that tries the service's virtual address all the time.
import { TaskState } from '../../../proto/gen/tsswarm/v1/objects.ts'
import { enterNamespace } from '../../../worker/network/data-plane.ts'
import type { TestLab } from '../../support/test-lab.ts'
import { median, quantile } from '../raft/rounds.ts'
import type { ConnectionLoad } from './load.ts'

export interface TrafficFigure {
  readonly what: string
  readonly tries: number
  readonly ms: number
  readonly p99Ms: number
  readonly goalP99Ms?: number
  readonly triesMs: string
}

const network = 'bench'
const goalP99Ms = 200

/** ms from RUNNING, in one try. */
interface Try {
  /** That it runs was written to the store. */
  readonly committed: number
  /** Whose clients got an answer first, and last. */
  readonly first: number
  readonly farthest: number
}

export async function measureTraffic(
  lab: TestLab,
  load: ConnectionLoad,
  count: number,
  signal: AbortSignal,
): Promise<readonly TrafficFigure[]> {
  await lab.cli('m1', 'network', 'create', network)
  // With a client's container on it, each node holds the network.
  const one = ['--replicas', `${hostCount(lab)}`, '--replicas-max-per-node', '1']
  await create(lab, 'client', ...one)
  const clients = (await lab.until('clients run on all nodes', async () => {
    const views = await lab.taskViews('m1', 'client')
    const pids = views.flatMap(({ task }) => (task?.state === TaskState.RUNNING ? [task.pid] : []))
    return pids.length === hostCount(lab) && pids
  })) as readonly number[]
  const tries: Try[] = []
  for (let number = 1; number <= count && !signal.aborted; number++) {
    tries.push(await measureOne(lab, load, clients, `s${number}`))
  }
  return [
    figure(
      'known to the cluster',
      tries.map((one) => one.committed),
    ),
    figure(
      'the first node',
      tries.map((one) => one.first),
    ),
    {
      ...figure(
        'the farthest node',
        tries.map((one) => one.farthest),
      ),
      goalP99Ms,
    },
  ]
}

async function measureOne(
  lab: TestLab,
  load: ConnectionLoad,
  clients: readonly number[],
  name: string,
): Promise<Try> {
  // It runs, as far as anybody knows, when its published port is waited on.
  await create(lab, name, '--replicas', '0', '--publish', 'target=80')
  const vip = await lab.until(`${name} has an address`, () => vipOf(lab, name))
  const answered = clients.map((pid) => load.until(enterNamespace(`/proc/${pid}/ns/net`), vip, 80))
  await lab.cli('m1', 'service', 'scale', '--detach', `${name}=1`)
  const times = await Promise.all(answered)
  const task = await lab.until(`${name} runs`, async () => {
    const [view] = await lab.taskViews('m1', name)
    return view?.task?.state === TaskState.RUNNING && view.task
  })
  await lab.cli('m1', 'service', 'rm', name)
  return {
    committed: task.appliedAtMs - task.stateAtMs,
    first: Math.min(...times) - task.stateAtMs,
    farthest: Math.max(...times) - task.stateAtMs,
  }
}

async function vipOf(lab: TestLab, name: string): Promise<string | undefined> {
  const text = await lab.cli('m1', 'service', 'inspect', '--format', '{{json .Endpoint}}', name)
  const { VirtualIPs: vips = [] }: { readonly VirtualIPs?: readonly { readonly Addr: string }[] } =
    JSON.parse(text) ?? {}
  const network = vips.map(({ Addr: address }) => address.split('/')[0] ?? '')
  return network.find((address) => !address.startsWith('10.0.0.'))
}

async function create(lab: TestLab, name: string, ...flags: readonly string[]): Promise<void> {
  const own = ['--detach', '--quiet', '--name', name, '--network', network, ...flags]
  await lab.cli('m1', 'service', 'create', ...own, 'lab/hello')
}

function hostCount(lab: TestLab): number {
  return lab.record.managers + lab.record.workers
}

function figure(what: string, times: readonly number[]): TrafficFigure {
  return {
    what,
    tries: times.length,
    ms: Math.round(median(times)),
    p99Ms: Math.round(quantile(times, 0.99)),
    triesMs: times
      .map(Math.round)
      .sort((a, b) => a - b)
      .join(' '),
  }
}
