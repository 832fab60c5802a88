// A container may come before what its node is told of the networks: that travels another way. Each wait has its end.
import { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { HostPort } from '../executor/network-attacher.ts'
import type { OverlayKeeper } from './overlay-keeper.ts'

export interface News {
  readonly overlay: Pick<OverlayKeeper, 'waitFor' | 'waitForPorts'>
  readonly clock: Clock
}

const networksMs = 10_000
/** A node that hears nothing of the bus asks within 3 s. */
const portsMs = 5_000

/** Errors: NOT_FOUND: the cluster told of no such networks. Rejects with the signal's reason. */
export async function waitForNetworks(
  news: News,
  { name, networks }: { readonly name: string; readonly networks: readonly string[] },
  signal: AbortSignal,
): Promise<void> {
  const wait = (ending: AbortSignal): Promise<void> => news.overlay.waitFor(networks, ending)
  if (await within(news.clock, { ms: networksMs, signal }, wait)) return
  const message = `container ${name} asks for networks ${networks.join(', ')}, and the cluster did not tell of all of them within ${networksMs} ms`
  throw new SwarmError('NOT_FOUND', message)
}

/**
 * Ports that an update moves from the mesh to the hosts of its tasks: until the node hears that the mesh has them no more. If it
 * keeps them they are refused as any that are in use. Rejects with the signal's reason.
 */
export async function waitForPorts(
  news: News,
  ports: readonly HostPort[],
  signal: AbortSignal,
): Promise<void> {
  await within(news.clock, { ms: portsMs, signal }, (ending) =>
    news.overlay.waitForPorts(ports, ending),
  )
}

/** Whether it came within that time. */
async function within(
  clock: Clock,
  { ms, signal }: { readonly ms: number; readonly signal: AbortSignal },
  wait: (ending: AbortSignal) => Promise<void>,
): Promise<boolean> {
  const { controller, release } = childController(signal)
  const timer = clock.setTimer(ms, () => controller.abort())
  try {
    await wait(controller.signal)
    return true
  } catch (err) {
    signal.throwIfAborted()
    if (!controller.signal.aborted) throw err
    return false
  } finally {
    timer.cancel()
    release()
  }
}
