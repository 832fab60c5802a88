// What an audit found on a node, as lines and as JSON.
import { type AuditedNode, AuditFindingKind } from '../../proto/gen/tsswarm/v1/control.ts'
import { humanDuration } from './human.ts'

const kindNames: Readonly<Record<AuditFindingKind, string>> = {
  [AuditFindingKind.KERNEL]: 'kernel',
  [AuditFindingKind.STATE]: 'state',
  [AuditFindingKind.PEER]: 'peer',
  [AuditFindingKind.HOST]: 'host',
}

/** Of mended differences that are shown without --verbose. */
const mendedShown = 3

export function auditLines(node: AuditedNode, isVerbose: boolean): readonly string[] {
  const { name, err, findings, leftOut, healing } = node
  const lines = findings.flatMap(({ text, remedy }) => [
    `${name}: ${text}`,
    ...(remedy === '' ? [] : [`    what to do: ${remedy}`]),
  ])
  if (leftOut > 0) lines.push(`${name}: and ${leftOut} more differences`)
  if (err !== '') return [`${name}: does not answer: ${err}`, ...lines]
  if (healing === undefined || healing.mended === 0) return lines
  const { mended, last, forMs } = healing
  const count = mended === 1 ? '1 difference was' : `${mended} differences were`
  lines.push(`${name}: ${count} mended in ${inWords(forMs)}, the last of them:`)
  for (const one of last.slice(0, isVerbose ? last.length : mendedShown)) {
    lines.push(`    ${inWords(one.agoMs)} ago: ${one.text}`)
  }
  return lines
}

function inWords(ms: number): string {
  const text = humanDuration(ms)
  return text.charAt(0).toLowerCase() + text.slice(1)
}

/** "5 nodes asked, 4 answered: 2 differences". */
export function auditSummary(nodes: readonly AuditedNode[]): string {
  const answered = nodes.filter(({ err }) => err === '')
  const count = nodes.reduce((sum, { findings, leftOut }) => sum + findings.length + leftOut, 0)
  const asked = nodes.length === 1 ? '1 node' : `${nodes.length} nodes`
  const found = count === 0 ? 'nothing differs' : count === 1 ? '1 finding' : `${count} findings`
  return answered.length === nodes.length
    ? `${asked} asked: ${found}`
    : `${asked} asked, ${answered.length} answered: ${found}`
}

export function auditJson(node: AuditedNode) {
  const { nodeId, name, err, findings, leftOut, healing } = node
  return {
    NodeID: nodeId,
    Node: name,
    Error: err,
    Findings: findings.map((one) => ({
      Kind: kindNames[one.kind],
      Text: one.text,
      Remedy: one.remedy,
      Network: one.network,
    })),
    LeftOut: leftOut,
    Healing: {
      ForMs: healing?.forMs ?? 0,
      Comparisons: healing?.comparisons ?? 0,
      Mended: healing?.mended ?? 0,
      Last: (healing?.last ?? []).map(({ agoMs, text }) => ({ AgoMs: agoMs, Text: text })),
    },
  }
}
