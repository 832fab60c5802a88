// Keeps the node's certificate fresh: renewed between 50 and 80 % of its life, and at once when the cluster gave the node
// another role.

import { createBackoff } from '../../proto/lib/backoff.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Loop } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { NodeRole } from '../../proto/objects/index.ts'
import type { IdentityStore } from './identity-store.ts'
import { renewIdentity } from './join-cluster.ts'
import { renewAtMs } from './node-certificate.ts'

/** How often the wished role and the clock are looked at. */
const lookMs = 200

export interface RenewalDeps {
  readonly identity: IdentityStore
  /** The role the cluster wants this node to have; undefined while no manager told. */
  readonly wantedRole: () => NodeRole | undefined
  /** host:port of managers, best first. */
  readonly managers: () => readonly string[]
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** Runs as long as the node is part of a cluster. */
export function renewalLoop(deps: RenewalDeps): Loop {
  return async (signal) => {
    const { identity, clock, random } = deps
    const backoff = createBackoff({ firstMs: 100, maxMs: 10_000, random })
    let point = random.float()
    while (!signal.aborted) {
      if (!isDue(deps, point)) {
        await wait(clock, lookMs, signal)
      } else if (await renew(deps, signal)) {
        backoff.reset()
        point = random.float()
      } else {
        await wait(clock, backoff.nextMs(), signal)
      }
      if (identity.certificate().notAfterMs < clock.wallMs()) {
        deps.log.warn({}, 'the node certificate has expired')
      }
    }
  }
}

function isDue({ identity, wantedRole, clock }: RenewalDeps, point: number): boolean {
  const cert = identity.certificate()
  const role = wantedRole()
  if (role !== undefined && role !== cert.role) return true
  return clock.wallMs() >= renewAtMs(cert, () => point)
}

async function renew(deps: RenewalDeps, signal: AbortSignal): Promise<boolean> {
  for (const address of deps.managers()) {
    try {
      const fresh = await renewIdentity(
        address,
        deps.identity.current(),
        newId(deps.random),
        signal,
      )
      deps.identity.replace(fresh)
      const { role, notAfterMs } = deps.identity.certificate()
      deps.log.info({ address, role, notAfterMs }, 'node certificate renewed')
      return true
    } catch (err) {
      deps.log.warn({ address, err }, 'node certificate not renewed')
    }
    if (signal.aborted) return false
  }
  return false
}
