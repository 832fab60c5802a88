// What the audit of one node answers with, made from a comparison of its kernel. Not for what stands in the way on the host
// itself (cli/daemon/node-diagnosis.ts), and not for names (the managers have them).
import type { Healing, KernelDifference, NodeAudit } from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import { type Difference, differenceText, subjectOf } from './difference.ts'
import type { HealingRecord } from './healing-record.ts'
import { closedChains, compareOnce, type MendDeps } from './mend.ts'
import { type About, type Provenance, provenanceOf } from './provenance.ts'

/** A kernel that lost everything differs in as many things as there are. */
const differencesMax = 1_000

export type NetworkAudit = Pick<NodeAudit, 'differences' | 'leftOut' | 'host'>

export interface FoundInNetwork {
  readonly differences: readonly DifferenceAbout[]
  /** Foreign chains that are closed, one sentence each. */
  readonly closed: readonly string[]
}

/** Changes nothing. `networkId`: only what is of that network, and what is of none. */
export async function auditNetwork(deps: MendDeps, networkId: string): Promise<FoundInNetwork> {
  const { plan, state } = await compareOnce(deps)
  const views = deps.overlay.state?.views ?? []
  const about = provenanceOf({ overlay: state.overlay, views, endpoints: state.endpoints })
  const differences = aboutAll(plan.differences, about).filter(
    (one) => networkId === '' || (one.about.networkId ?? networkId) === networkId,
  )
  return { differences, closed: await closedChains(deps.kernel) }
}

export function networkAuditToProto({ differences, closed }: FoundInNetwork): NetworkAudit {
  return {
    differences: differences.slice(0, differencesMax).map(toProto),
    leftOut: Math.max(0, differences.length - differencesMax),
    host: closed.map((text) => ({
      text,
      remedy:
        'it is opened by itself within a minute; if it is not, the log of the daemon says what its tool answered',
    })),
  }
}

export interface DifferenceAbout {
  readonly difference: Difference
  readonly about: About
}

export function aboutAll(
  differences: readonly Difference[],
  about: Provenance,
): readonly DifferenceAbout[] {
  return differences.map((difference) => ({
    difference,
    about: about(difference.namespace, difference.thing),
  }))
}

export function healingToProto(record: HealingRecord): Healing {
  return {
    forMs: record.forMs(),
    comparisons: record.comparisons,
    mended: record.mended,
    last: record.last().map((one) => ({
      agoMs: one.agoMs,
      difference: toProto(one),
      text: differenceText(one.difference),
    })),
  }
}

function toProto({ difference, about }: DifferenceAbout): KernelDifference {
  const { networkId = '', serviceId = '', taskId = '', nodeId = '' } = about
  return {
    subject: subjectOf(difference.thing),
    problem: difference.problem,
    ...{ networkId, serviceId, taskId, nodeId },
    inHost: difference.namespace === 'host',
  }
}
