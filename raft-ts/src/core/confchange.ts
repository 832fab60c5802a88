// Membership changes as functions from configuration to configuration.
// Source: thesis 4.3; a change that moves a voter goes through a joint configuration, one that only
// touches learners changes no majority and is taken at once.
import { isJoint } from './quorum.ts'
import type { ConfChange, ConfChangeStep, ConfState, NodeId } from './types.ts'

export type ConfChangeResult =
  | { readonly kind: 'changed'; readonly conf: ConfState }
  | { readonly kind: 'refused'; readonly reason: string }

interface Draft {
  readonly voters: Set<NodeId>
  readonly learners: Set<NodeId>
}

/** The configuration that a change leads to: joint when voters change. The change must be valid. */
export function enterChange(conf: ConfState, change: ConfChange): ConfChangeResult {
  if (isJoint(conf)) return refused('a membership change is under way')
  const invalid = invalidSteps(change)
  if (invalid !== undefined) return refused(invalid)
  const draft: Draft = { voters: new Set(conf.voters), learners: new Set(conf.learners) }
  for (const step of change.steps) applyStep(draft, step)
  if (draft.voters.size === 0) return refused('the change would leave no voter')
  const votersChanged = !sameMembers(conf.voters, draft.voters)
  if (!votersChanged && sameMembers(conf.learners, draft.learners)) {
    return refused('the change changes nothing')
  }
  return { kind: 'changed', conf: votersChanged ? jointConf(conf, draft) : plainConf(draft) }
}

/** The configuration after the joint one. */
export function leaveJoint(conf: ConfState): ConfState {
  return {
    voters: conf.voters,
    outgoing: [],
    learners: [...conf.learners, ...conf.learnersNext],
    learnersNext: [],
  }
}

function refused(reason: string): ConfChangeResult {
  return { kind: 'refused', reason }
}

function invalidSteps(change: ConfChange): string | undefined {
  if (change.steps.length === 0) return 'the change has no steps'
  const seen = new Set<NodeId>()
  for (const { id } of change.steps) {
    if (id === '') return 'a step names no node'
    if (seen.has(id)) return `node ${id} is named by two steps`
    seen.add(id)
  }
  return undefined
}

function applyStep(draft: Draft, step: ConfChangeStep): void {
  draft.voters.delete(step.id)
  draft.learners.delete(step.id)
  if (step.kind === 'add-voter') draft.voters.add(step.id)
  if (step.kind === 'add-learner') draft.learners.add(step.id)
}

function jointConf(conf: ConfState, draft: Draft): ConfState {
  const demoted = [...draft.learners].filter((id) => conf.voters.includes(id))
  const learners = [...draft.learners].filter((id) => !conf.voters.includes(id))
  return { voters: [...draft.voters], outgoing: conf.voters, learners, learnersNext: demoted }
}

function plainConf(draft: Draft): ConfState {
  return {
    voters: [...draft.voters],
    outgoing: [],
    learners: [...draft.learners],
    learnersNext: [],
  }
}

function sameMembers(before: readonly NodeId[], after: ReadonlySet<NodeId>): boolean {
  return before.length === after.size && before.every((id) => after.has(id))
}
