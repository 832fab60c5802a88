// How long no write is accepted after the leader was killed with -9 under writes: three managers of a fresh lab, one
// killed a try and started again. Not the proof that no write is lost (test/e2e/cluster.test.ts).
import { untilReady } from '../../cli/lab/lab.ts'
import { SwarmError } from '../../proto/errors.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import type { TestLab } from '../support/test-lab.ts'
import {
  createRequest,
  figure,
  type LabBenchResult,
  type LabClient,
  onFreshLab,
  onHost,
  rounds,
  seen,
} from './lab-bench.ts'

export interface FailoverBenchOptions {
  /** Leaders killed. Default 5. */
  readonly tries?: number
}

const managers = ['m1', 'm2', 'm3']
const probeGapMs = 20
const probesMax = 100
const acceptedWithinMs = 60_000

/** Measures on a fresh lab of three managers. */
export async function runFailoverBench({
  tries = 5,
}: FailoverBenchOptions = {}): Promise<LabBenchResult> {
  return await onFreshLab('failover', { managers: 3, workers: 0 }, async (lab) => {
    const ms = await rounds(tries, () => killLeader(lab))
    return [figure('leader killed (-9) to first write accepted', 1_000, ms)]
  })
}

async function killLeader(lab: TestLab): Promise<number> {
  const leader = await lab.leader('m1')
  const [first = '', second = ''] = managers.filter((host) => host !== leader)
  const ms = await onHost(lab, first, (one) =>
    onHost(lab, second, (other) => killUnderWrites(lab, leader, [one, other])),
  )
  await lab.start(leader)
  // A daemon answers before its manager part does.
  await lab.until(`${leader} is a manager again`, () =>
    onHost(lab, leader, (client) => client.call(ControlService.listNodes, { filters: [] })),
  )
  await untilReady(lab.deps, lab.record)
  return ms
}

async function killUnderWrites(
  lab: TestLab,
  leader: string,
  clients: readonly LabClient[],
): Promise<number> {
  const writing = { stop: false, acknowledged: 0 }
  const writers = Promise.all(clients.map((client) => keepWriting(client, writing)))
  // Looked at below; a writer that fails meanwhile must not end the process unheard.
  writers.catch(() => {})
  try {
    await seen('writes go through', 5, async () => writing.acknowledged > 20)
    const startMs = systemClock.monotonicMs()
    await lab.kill(leader)
    // Only writes begun from here on count: none of them can have been accepted by the old leader.
    return (await firstAcceptedAtMs(clients)) - startMs
  } finally {
    writing.stop = true
    await writers
  }
}

/** A user's writes: one after the other, repeated by the client while their outcome is unknown. */
async function keepWriting(
  client: LabClient,
  writing: { readonly stop: boolean; acknowledged: number },
): Promise<void> {
  while (!writing.stop) {
    await client.call(ControlService.createService, aWrite())
    writing.acknowledged += 1
    await wait(systemClock, 10)
  }
}

/** Begins a new write every 20 ms, in turns at each manager left, until one of them is accepted. */
async function firstAcceptedAtMs(clients: readonly LabClient[]): Promise<number> {
  const endsAtMs = systemClock.monotonicMs() + acceptedWithinMs
  const open = new Set<Promise<void>>()
  let acceptedAtMs: number | undefined
  let refusal: unknown
  for (let at = 0; acceptedAtMs === undefined; at++) {
    const client = clients[at % clients.length]
    if (client !== undefined && open.size < probesMax) {
      const probe = client
        .call(ControlService.createService, aWrite(), { retry: false, timeoutMs: 10_000 })
        .then(
          () => {
            acceptedAtMs ??= systemClock.monotonicMs()
          },
          // Refused for want of a leader: a later one is accepted, or this is the cause below.
          (err: unknown) => {
            refusal = err
          },
        )
        .finally(() => open.delete(probe))
      open.add(probe)
    }
    if (systemClock.monotonicMs() > endsAtMs) {
      const text = `no write was accepted within ${acceptedWithinMs} ms of the leader's end`
      throw new SwarmError('DEADLINE_EXCEEDED', text, { cause: refusal })
    }
    await wait(systemClock, probeGapMs)
  }
  await Promise.all(open)
  return acceptedAtMs
}

function aWrite(): ReturnType<typeof createRequest> {
  return createRequest(`w-${newId(systemRandom)}`, 0)
}
