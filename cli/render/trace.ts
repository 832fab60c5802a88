// The way of a packet, as lines and as JSON.
import {
  type TraceBranch,
  type TraceNetworkResponse,
  type TraceStep,
  TraceVerdict,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { alignTable } from './table.ts'

const verdictNames: Readonly<Record<TraceVerdict, string>> = {
  [TraceVerdict.UNKNOWN]: 'unknown',
  [TraceVerdict.DELIVERED]: 'delivered',
  [TraceVerdict.REFUSED]: 'refused',
  [TraceVerdict.DROPPED]: 'dropped',
  [TraceVerdict.UNREACHABLE]: 'unreachable',
}

export function traceText(trace: TraceNetworkResponse): string {
  const { steps, branches, text } = trace
  const [only, ...others] = branches
  const indented = (branch: TraceBranch): string =>
    [
      `way to ${branch.target}:\n`,
      stepLines(branch.steps, '  '),
      `  => ${branch.text}${mtuText(branch)}\n`,
    ].join('')
  if (only === undefined) return `${stepLines(steps, '')}=> ${text}\n`
  if (others.length === 0) {
    return `${stepLines([...steps, ...only.steps], '')}=> ${text}${mtuText(only)}\n`
  }
  return `${stepLines(steps, '')}${branches.map(indented).join('')}=> ${text}\n`
}

function stepLines(steps: readonly TraceStep[], indent: string): string {
  if (steps.length === 0) return ''
  const table = alignTable(steps.map(({ place, text }) => `${place}\t${text}`))
  return table.replace(/^(?=.)/gm, indent)
}

function mtuText({ mtu, verdict }: TraceBranch): string {
  return mtu > 0 && verdict === TraceVerdict.DELIVERED ? `, packets of up to ${mtu} bytes` : ''
}

export function traceJson({ steps, branches, verdict, text }: TraceNetworkResponse) {
  return {
    Verdict: verdictNames[verdict],
    Text: text,
    Steps: steps.map(stepJson),
    Ways: branches.map((branch) => ({
      Target: branch.target,
      Verdict: verdictNames[branch.verdict],
      Text: branch.text,
      Mtu: branch.mtu,
      Steps: branch.steps.map(stepJson),
    })),
  }
}

function stepJson({ place, text }: TraceStep) {
  return { Place: place, Text: text }
}
