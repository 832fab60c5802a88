// How long it takes from a host's network being cut until a manager tells it is down, and until its tasks run elsewhere.
// Three managers and two workers of a fresh lab, one worker cut a try and healed. Not the proof (test/e2e/cluster.test.ts).
import { untilReady } from '../../cli/lab/lab.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { NodeState } from '../../proto/gen/tsswarm/v1/objects.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import type { TestLab } from '../support/test-lab.ts'
import {
  createRequest,
  figure,
  type LabBenchResult,
  type LabClient,
  onFreshLab,
  onHost,
  removeServices,
  rounds,
  runningTasks,
  seen,
} from './lab-bench.ts'

export interface NodelossBenchOptions {
  /** Hosts cut. Default 3. */
  readonly tries?: number
}

interface Loss {
  readonly downMs: number
  readonly replacedMs: number
}

const lost = 'w2'
const replicas = 10
const gapMs = 20

/** Measures on a fresh lab of three managers and two workers. */
export async function runNodelossBench({
  tries = 3,
}: NodelossBenchOptions = {}): Promise<LabBenchResult> {
  return await onFreshLab('nodeloss', { managers: 3, workers: 2 }, async (lab) => {
    const losses = await rounds(tries, (round) => loseNode(lab, `web-${round}`))
    return [
      figure(
        'host cut off to seen down',
        3_000,
        losses.map(({ downMs }) => downMs),
      ),
      figure(
        'host cut off to replacements running',
        4_000,
        losses.map(({ replacedMs }) => replacedMs),
      ),
    ]
  })
}

async function loseNode(lab: TestLab, name: string): Promise<Loss> {
  const loss = await onHost(lab, 'm1', async (client) => {
    await client.call(ControlService.createService, createRequest(name, replicas))
    await seen('tasks run, some of them on the host to lose', gapMs, async () => {
      const tasks = await runningTasks(client)
      return tasks.length === replicas && tasks.some(isOnLost)
    })
    return await cutAndWatch(lab, client)
  })
  await lab.heal(lost)
  await untilReady(lab.deps, lab.record)
  await removeServices(lab, name)
  return loss
}

async function cutAndWatch(lab: TestLab, client: LabClient): Promise<Loss> {
  const startMs = systemClock.monotonicMs()
  await lab.cut(lost)
  await seen(`${lost} is down`, gapMs, async () => {
    const { nodes } = await client.call(ControlService.listNodes, { filters: [] })
    return nodes.some(
      ({ node }) => node?.description?.hostname === lost && node.state === NodeState.DOWN,
    )
  })
  const downMs = systemClock.monotonicMs() - startMs
  await seen('all run elsewhere', gapMs, async () => {
    const tasks = await runningTasks(client)
    return tasks.filter((task) => !isOnLost(task)).length === replicas
  })
  return { downMs, replacedMs: systemClock.monotonicMs() - startMs }
}

function isOnLost({ nodeHostname }: { readonly nodeHostname: string }): boolean {
  return nodeHostname === lost
}
