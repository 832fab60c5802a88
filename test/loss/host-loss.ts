// What clients notice of a host that is lost, and of one of which only the daemon is. New connections only: what was connected to
// a lost host is lost with it.
import { NodeState } from '../../proto/gen/tsswarm/v1/objects.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import type { GeneratorResult } from './generator.ts'
import { sums } from './run.ts'
import { type LossLoad, type LossSite, service, workerHost } from './site.ts'

export type Loss = 'host cut off' | 'daemon killed'

/** Times since the loss. */
export interface HostLossResult {
  readonly host: string
  /** Wall clock. */
  readonly lostAtMs: number
  readonly sent: number
  readonly failed: number
  /** Until the last connection that failed began; 0: none did. */
  readonly lastFailureMs: number
  /** Until managers counted the host as down. */
  readonly downMs: number
  /** Until all replicas ran elsewhere. */
  readonly replacedMs: number
  readonly clients: readonly GeneratorResult[]
}

export interface HostLossPlan {
  readonly replicas: number
  readonly perSecond: number
  readonly host?: string
  /** For an answer, the connection included. */
  readonly waitMs?: number
}

/** Loses the host under load, waits until its tasks run elsewhere, and gives it back. */
export async function loseHost(
  site: LossSite,
  loss: Loss,
  { replicas, perSecond, host = workerHost, waitMs = 2_000 }: HostLossPlan,
): Promise<HostLossResult> {
  const { lab } = site
  const witness = host === 'm1' ? 'm2' : 'm1'
  const load: LossLoad = {
    perSecond,
    waitMs,
    fastMs: 5,
    slowPerSecond: 0,
    slowMs: 0,
    keepAlive: 0,
  }
  // A host keeps its ways in when only its daemon is lost.
  const generators = site.clients(load, loss === 'daemon killed' ? [host] : [])
  try {
    await lab.until('clients are answered', async () =>
      generators.every(({ line }) => (line?.answered.fresh ?? 0) > 0),
    )
    const [lostAtMs, startMs] = [systemClock.wallMs(), systemClock.monotonicMs()]
    const sinceMs = (): number => systemClock.monotonicMs() - startMs
    await (loss === 'host cut off' ? lab.cut(host) : lab.kill(host))
    const isDown = async (): Promise<boolean> =>
      (await lab.nodeView(witness, host).catch(() => undefined))?.node?.state === NodeState.DOWN
    const isReplaced = site.converged(witness, replicas, ({ node }) => node !== host)
    const replaced = isReplaced.then(sinceMs)
    const [downMs, replacedMs] = await Promise.all([
      lab.until(`${host} is down`, isDown).then(sinceMs),
      replaced,
    ])
    await giveBack(site, loss, host)
    const clients = await Promise.all(generators.map((one) => one.end()))
    const { sent, failed } = sums(clients)
    const begun = clients.flatMap(({ failures }) =>
      failures.map((one) => one.startedAtMs - lostAtMs),
    )
    const lastFailureMs = Math.max(0, ...begun)
    return { host, lostAtMs, sent, failed, lastFailureMs, downMs, replacedMs, clients }
  } finally {
    for (const generator of generators) generator.kill()
  }
}

/** Until it is a node as before, without the tasks that were replaced. */
async function giveBack(site: LossSite, loss: Loss, host: string): Promise<void> {
  const { lab } = site
  await (loss === 'host cut off' ? lab.heal(host) : lab.start(host))
  const witness = host === 'm1' ? 'm2' : 'm1'
  await lab.until(`${host} is ready, and its old tasks have ended`, async () => {
    const view = await lab.nodeView(witness, host).catch(() => undefined)
    const tasks = await lab.tasks(witness, service)
    const isLeft = tasks.some(({ node, state }) => node === host && /^Running/.test(state))
    return view?.node?.state === NodeState.READY && !isLeft
  })
}
