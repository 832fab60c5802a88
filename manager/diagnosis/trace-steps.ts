// What the parts of a trace share: what it works with, its steps, and how a node is asked.
import type { TraceBranch, TraceStep, TraceVerdict } from '../../proto/gen/tsswarm/v1/control.ts'
import type { TraceHop, TraceLeg, TraceLegRequest } from '../../proto/gen/tsswarm/v1/diagnosis.ts'
import type { EndpointProtocol, Node } from '../../proto/objects/index.ts'
import type { Store } from '../store/store.ts'
import { hostName } from './names.ts'
import type { AskNode } from './node-asker.ts'
import type { TraceSource } from './trace-ends.ts'

/** What one trace works with. */
export interface Trace {
  readonly store: Store
  readonly ask: AskNode
  readonly source: TraceSource
  readonly protocol: EndpointProtocol
  readonly signal: AbortSignal
}

/** The leg, or why there is none. */
export async function askLeg(
  { ask, signal }: Pick<Trace, 'ask' | 'signal'>,
  node: Node,
  request: TraceLegRequest,
): Promise<TraceLeg | string> {
  try {
    const reply = await ask(node, { $case: 'leg', value: request }, signal)
    return reply.$case === 'leg' ? reply.value : 'it answered another question'
  } catch (err) {
    return err instanceof Error ? err.message : String(err)
  }
}

export function hopStep(node: Node, { place, text }: TraceHop): TraceStep {
  return step(`${hostName(node)}, ${place}`, text)
}

export function step(place: string, text: string): TraceStep {
  return { place, text }
}

export function branch(
  target: string,
  steps: readonly TraceStep[],
  verdict: TraceVerdict,
  text: string,
): TraceBranch {
  return { target, steps, verdict, text, mtu: 0 }
}
