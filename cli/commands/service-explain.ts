// tsswarm service explain
import { ControlService, type TaskExplanation } from '../../proto/gen/tsswarm/v1/control.ts'
import { defineCommand } from '../command.ts'
import { getService } from '../common.ts'
import { text } from '../flags.ts'
import { shortId } from '../render/human.ts'
import { renderInspect } from '../render/inspect-format.ts'
import { alignTable } from '../render/table.ts'

export const command = defineCommand({
  name: 'service explain',
  summary: 'Explain why tasks of a service are not placed on a node',
  description:
    'For each task without a node: a summary, and for each node the first reason it was turned away.',
  args: { usage: 'SERVICE', min: 1, max: 1, completes: 'services' },
  flags: { format: text("Format output: 'json', or a Go template a task", { short: 'f' }) },
  examples: [
    { what: 'Why is a task pending?', command: 'tsswarm service explain web' },
    { what: 'For programs', command: 'tsswarm service explain --format json web' },
  ],
  run: async (ctx, { flags, args }) => {
    const [reference = ''] = args
    const client = await ctx.connect()
    const { tasks } = await client.call(ControlService.explainService, { reference })
    if (flags.format !== undefined) {
      ctx.stdout.write(renderInspect(tasks.map(explanationJson), flags.format))
      return 0
    }
    if (tasks.length > 0) {
      ctx.stdout.write(groupEqual(tasks).map(explanationText).join('\n'))
      return 0
    }
    const { runningTasks, desiredTasks } = await getService(client, reference)
    ctx.stdout.write(
      `No task of service ${reference} waits for a node (${runningTasks} of ${desiredTasks} are running). ` +
        `See "tsswarm service ps ${reference}" for what became of them.\n`,
    )
    return 0
  },
})

interface Group {
  readonly names: readonly string[]
  readonly explanation: TaskExplanation
}

/** Tasks of one service are mostly turned away for the same reasons: said once. */
function groupEqual(tasks: readonly TaskExplanation[]): readonly Group[] {
  const groups = new Map<string, Group>()
  for (const explanation of tasks) {
    const key = JSON.stringify([explanation.summary, explanation.refusals])
    const names = [...(groups.get(key)?.names ?? []), explanation.taskName]
    groups.set(key, { names, explanation })
  }
  return [...groups.values()]
}

function explanationText({ names, explanation }: Group): string {
  const heading = `${names.join(', ')}: ${explanation.summary}\n`
  if (explanation.refusals.length === 0) return heading
  const rows = explanation.refusals.map((refusal) =>
    [refusal.hostname || shortId(refusal.nodeId), refusal.filter, refusal.reason].join('\t'),
  )
  const table = alignTable(['NODE\tFILTER\tREASON', ...rows])
  return heading + table.replace(/^/gm, '  ').trimEnd().concat('\n')
}

function explanationJson(explanation: TaskExplanation) {
  return {
    TaskID: explanation.taskId,
    TaskName: explanation.taskName,
    Summary: explanation.summary,
    Refusals: explanation.refusals.map((refusal) => ({
      NodeID: refusal.nodeId,
      Hostname: refusal.hostname,
      Filter: refusal.filter,
      Reason: refusal.reason,
    })),
  }
}
