// What does not go with the mode of a service, and what of the mode cannot change.
// Source: Docker Swarm (swarm-semantics 2, 7.2): no update policies for jobs, no limit a node without replicas, no change of mode.
import { SwarmError } from '../../proto/errors.ts'
import { modesLevel, type Service } from '../../proto/objects/index.ts'
import { isJob } from '../../proto/spec/service-mode.ts'
import { isUsualPolicy, type ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { ReadTx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'

export interface ModeProblem {
  readonly field: string
  readonly reason: string
}

/** What does not go together. */
export function checkMode({ mode, task, update, rollback }: ServiceSpec): readonly ModeProblem[] {
  const problems: ModeProblem[] = []
  if (mode.kind === 'cron') problems.push(...checkCron(task))
  if (isJob(mode)) {
    for (const [field, policy] of Object.entries({ update, rollback })) {
      if (isUsualPolicy(policy)) continue
      const reason = `is not for jobs, whose tasks are not replaced but run again: leave it out`
      problems.push({ field, reason })
    }
  }
  const isOneANode = mode.kind === 'global' || mode.kind === 'global-job'
  if (isOneANode && task.placement.maxReplicasPerNode > 0) {
    const reason = `is not for mode ${mode.kind}, which has one task a node: leave it out`
    problems.push({ field: 'task.placement.maxReplicasPerNode', reason })
  }
  return problems
}

/** A run has its own number of tries. */
function checkCron({ restart }: ServiceSpec['task']): readonly ModeProblem[] {
  const reason = 'is not for cron services: say how often a run tries with --cron-retries'
  return (['maxAttempts', 'windowMs'] as const)
    .filter((field) => restart[field] > 0)
    .map((field) => ({ field: `task.restart.${field}`, reason }))
}

/** Errors: FAILED_PRECONDITION while a manager of an older version could not read it. */
export function requireMode(tx: ReadTx, { name, mode }: ServiceSpec): void {
  const { featureLevel } = theCluster(tx)
  if (mode.kind === 'replicated' || featureLevel >= modesLevel) return
  throw new SwarmError(
    'FAILED_PRECONDITION',
    `service "${name}" of mode ${mode.kind} cannot be made: the cluster is at feature level ${featureLevel}, and this mode came with ` +
      `${modesLevel}. Upgrade tsswarm on all managers; the cluster moves on by itself`,
    { details: { featureLevel } },
  )
}

/** Errors: INVALID_ARGUMENT. */
export function refuseOtherMode({ spec }: Service, next: ServiceSpec): void {
  if (spec.mode.kind === next.mode.kind) return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `service "${spec.name}": field mode cannot change from ${spec.mode.kind} to ${next.mode.kind}. ` +
      'Create a service of that mode and remove this one',
    { details: { field: 'mode' } },
  )
}
