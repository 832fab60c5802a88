// A revision of a stack's history as a stack that is to be: planned and carried out like what compose files say.
import { networkSpecFromProto } from '../../../proto/codec/network.ts'
import { serviceSpecFromProto } from '../../../proto/codec/service.ts'
import { SwarmError } from '../../../proto/errors.ts'
import {
  ControlService,
  type GetStackRevisionResponse,
} from '../../../proto/gen/tsswarm/v1/control.ts'
import { predefinedOf } from '../../../proto/spec/predefined-networks.ts'
import type { Client } from '../../client.ts'
import { incomplete } from '../../common.ts'
import type { CommandContext } from '../../context.ts'
import { type At, noticeText } from '../node.ts'
import { planStack, type SwarmState } from '../plan-stack.ts'
import { type ExternalObject, type StackSpec, wholeSpec } from '../stack-spec.ts'
import type { PlannedStack } from './deploy-stack.ts'
import { byName, readSwarmState } from './swarm-state.ts'

export interface PlannedRollback {
  readonly planned: PlannedStack
  /** Which comes back. */
  readonly revision: number
}

/**
 * `revision` 0: the previous one. Notices go to stderr. Errors: NOT_FOUND, FAILED_PRECONDITION when it cannot come back as it was and
 * why, INVALID_ARGUMENT for what the swarm has otherwise now; as Client.call.
 */
export async function plannedRollback(
  ctx: CommandContext,
  client: Client,
  stack: string,
  revision: number,
): Promise<PlannedRollback> {
  const answer = await client.call(ControlService.getStackRevision, { stack, revision })
  const found = answer.revision?.revision?.revision
  if (found === undefined) throw incomplete('revision')
  refuseMissing(stack, found, answer)
  const { state, specs } = await readSwarmState(client, { payloads: true })
  const kept = keptStack({ name: stack, revision: found }, answer, state)
  // What later revisions brought goes, but for networks, secrets and configs: going forward again needs them.
  const plan = planStack(kept, [], state, { prunes: true })
  for (const notice of plan.notices) ctx.stderr.write(`Warning: ${noticeText(notice)}\n`)
  return { planned: { stack: kept, payloads: [], plan, specs }, revision: found }
}

function refuseMissing(stack: string, revision: number, answer: GetStackRevisionResponse): void {
  const missing = answer.revision?.missing ?? []
  if (missing.length === 0) return
  const names = missing.map((one) => `version ${one.revision} of ${one.kind} "${one.name}"`)
  const text =
    `revision ${revision} of stack "${stack}" cannot come back: ${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} gone. ` +
    'Deploy its files again; "tsswarm swarm update --version-history-limit" says how many versions are kept from now on'
  throw new SwarmError('FAILED_PRECONDITION', text)
}

/** Secrets and configs by name where they are at their present version, as `state` has them. */
function keptStack(
  { name, revision }: { readonly name: string; readonly revision: number },
  { content }: GetStackRevisionResponse,
  state: SwarmState,
): StackSpec {
  const at: At = { file: `revision ${revision}`, line: 0, column: 0 }
  const networks = (content?.networks ?? []).map(networkSpecFromProto)
  const present = new Set(state.payloads.map(({ id }) => id))
  const services = (content?.services ?? []).map((proto) => {
    const spec = wholeSpec(byName(serviceSpecFromProto(proto), new Map(), present))
    return { spec, at, path: `service ${spec.name}`, placeOf: () => at }
  })
  const own = new Set(networks.map((network) => network.name))
  const targets = new Set(services.flatMap(({ spec }) => spec.task.networks.map((n) => n.target)))
  const externals = [...targets]
    .filter((target) => !own.has(target) && predefinedOf(target) === undefined)
    .map((target): ExternalObject => ({ kind: 'network', name: target, at, path: '' }))
  return { name, networks, payloads: [], externals, services, notices: [] }
}
