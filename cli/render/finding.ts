// Findings about a task, a service or a node, for people and for programs.
import type { ExplainResponse, Finding } from '../../proto/gen/tsswarm/v1/control.ts'
import { shortId } from './human.ts'
import { alignTable } from './table.ts'

const tasksShown = 10

export function explanationText({ id, name, findings }: ExplainResponse): string {
  const heading = name === '' ? id : `${name} (${id})`
  return `${heading}\n${findings.map(findingText).join('')}`
}

function findingText({ text, causes, refusals, remedy, tasks }: Finding): string {
  const rows = refusals.map((one) =>
    [one.hostname || shortId(one.nodeId), one.filter, one.reason].join('\t'),
  )
  const table = rows.length === 0 ? '' : alignTable(['NODE\tFILTER\tREASON', ...rows])
  return [
    `- ${tasks.length === 0 ? '' : `${tasksText(tasks)}: `}${text}\n`,
    ...causes.map((cause) => `    because: ${cause}\n`),
    table.replace(/^(?=.)/gm, '    '),
    remedy === '' ? '' : `    what to do: ${remedy}\n`,
  ].join('')
}

function tasksText(tasks: readonly string[]): string {
  const more = tasks.length - tasksShown
  const shown = tasks.slice(0, tasksShown).join(', ')
  return more > 0 ? `${shown} and ${more} more` : shown
}

/** In the spelling of `inspect`. */
export function explanationJson({ id, name, findings }: ExplainResponse) {
  return {
    ID: id,
    Name: name,
    Findings: findings.map(({ code, text, causes, remedy, tasks, refusals }) => ({
      Code: code,
      Text: text,
      Causes: causes,
      Remedy: remedy,
      Tasks: tasks,
      Refusals: refusals.map((one) => ({
        NodeID: one.nodeId,
        Hostname: one.hostname,
        Filter: one.filter,
        Reason: one.reason,
      })),
    })),
  }
}
