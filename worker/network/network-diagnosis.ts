// What can be asked of this node's network while it runs: differences, the way of a packet, the answer to a name. Only
// looks; comparisons and writers are kept away meanwhile.
import { pathsDigest, viewDigest } from '../../proto/codec/overlay-digest.ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  Healing,
  LookupNameRequest,
  NameLookup,
  ToldSubject,
  TraceLeg,
  TraceLegRequest,
} from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import type { SharedLock } from '../../proto/lib/shared-lock.ts'
import { requireRecord } from './attachment.ts'
import { enterNamespace } from './data-plane.ts'
import { thingKey } from './difference.ts'
import type { HealingRecord } from './healing-record.ts'
import { type MendDeps, type Mended, mend } from './mend.ts'
import {
  aboutAll,
  auditNetwork,
  type DifferenceAbout,
  healingToProto,
  type NetworkAudit,
  networkAuditToProto,
} from './network-audit.ts'
import { provenanceOf } from './provenance.ts'
import { traceLeg } from './trace-leg.ts'

export interface NetworkReport extends NetworkAudit {
  readonly healing: Healing
  readonly told: readonly ToldSubject[]
}

export interface DiagnosisDeps {
  readonly lock: SharedLock
  readonly healing: HealingRecord
  readonly mend: () => MendDeps
}

/** News that come while the kernel is read make it look behind: then it is read again. */
const readingsMax = 3
const lookupMs = 8_000

export class NetworkDiagnosis {
  readonly #deps: DiagnosisDeps

  constructor(deps: DiagnosisDeps) {
    this.#deps = deps
  }

  /** `networkId`: only what is of that network, and of the node as such; empty: all. */
  async report(networkId: string): Promise<NetworkReport> {
    const audit = await this.#deps.lock.exclusive(() => this.#audit(networkId))
    const { state } = this.#deps.mend().overlay
    const views = state?.views ?? []
    return {
      ...audit,
      healing: healingToProto(this.#deps.healing),
      told: [
        ...views.map((view) => ({ id: view.network.id, digest: viewDigest(view) })),
        ...(state === undefined ? [] : [{ id: '', digest: pathsDigest(state.paths) }]),
      ],
    }
  }

  /** UDP port of VXLAN. */
  vxlanPort(): number {
    return this.#deps.mend().vxlanPort
  }

  /** Errors: as traceLeg. */
  leg(request: TraceLegRequest): Promise<TraceLeg> {
    return this.#deps.lock.exclusive(() => traceLeg(this.#deps.mend(), request))
  }

  /** Asks the resolver as the container does: in its namespace. Errors: NOT_FOUND. */
  async lookup({ taskId, name }: LookupNameRequest): Promise<NameLookup> {
    const { kernel, journal } = this.#deps.mend()
    const { endpoints } = requireRecord(journal)
    const endpoint = endpoints.find(({ containerId }) => containerId === taskId)
    if (endpoint === undefined) {
      throw new SwarmError('NOT_FOUND', `this node has no container of task ${taskId} on a network`)
    }
    const argv = [
      ...enterNamespace(endpoint.netns.path),
      ...[process.execPath, '-e', lookupScript, name, `${lookupMs}`],
    ]
    const { code, stdout, stderr } = await kernel.run('host', argv)
    const failed = { addresses: [], failure: stderr.trim() || `exit code ${code}` }
    if (code !== 0) return failed
    const addresses = stdout.split('\n').filter((line) => line !== '')
    return addresses.length === 0 ? failed : { addresses, failure: '' }
  }

  /** Mends, and notes what others had done: what was told and is not written yet is written first and does not count. */
  async heal(): Promise<Mended> {
    return await this.#deps.lock.exclusive(async () => {
      const deps = this.#deps.mend()
      const { state } = deps.overlay
      const outcome = await deps.overlay.flush(deps.journal)
      const mended = await mend(deps)
      if (outcome === 'done' && deps.overlay.state === state) this.#note(mended)
      return mended
    })
  }

  #note({ differences }: Mended): void {
    const { overlay, journal } = this.#deps.mend()
    const { endpoints } = requireRecord(journal)
    const views = overlay.state?.views ?? []
    const about = provenanceOf({ overlay: overlay.compiled, views, endpoints })
    this.#deps.healing.note(aboutAll(differences, about))
  }

  /** What was told and is not written yet is no difference: it is written first, as it would be anyway. */
  async #audit(networkId: string): Promise<NetworkAudit> {
    let before: readonly DifferenceAbout[] | undefined
    for (let reading = 1; ; reading++) {
      const deps = this.#deps.mend()
      const { state } = deps.overlay
      await deps.overlay.flush(deps.journal)
      const audit = await auditNetwork(deps, networkId)
      const isSteady = deps.overlay.state === state
      const differences = isSteady ? audit.differences : common(audit.differences, before)
      if (isSteady || reading === readingsMax) {
        return networkAuditToProto({ ...audit, differences })
      }
      before = differences
    }
  }
}

/** What both readings found. */
function common(
  now: readonly DifferenceAbout[],
  before: readonly DifferenceAbout[] | undefined,
): readonly DifferenceAbout[] {
  if (before === undefined) return now
  const key = ({ difference }: DifferenceAbout): string =>
    thingKey(difference.namespace, difference.thing)
  const known = new Set(before.map(key))
  return now.filter((one) => known.has(key(one)))
}

/** The name server of every container. Both families; the first failure counts only if neither has an answer. */
const lookupScript = `
const { Resolver } = require('node:dns').promises
const [name, timeout] = process.argv.slice(1)
const resolver = new Resolver({ timeout: Number(timeout) / 4, tries: 2 })
resolver.setServers(['127.0.0.11'])
Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]).then((all) => {
  const found = all.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
  if (found.length > 0) console.log(found.join('\\n'))
  else {
    console.error(all[0].reason.code)
    process.exitCode = 1
  }
})`
