// What the three commands of `tsswarm explain` have in common.
import { ControlService } from '../proto/gen/tsswarm/v1/control.ts'
import { defineCommand } from './command.ts'
import { text } from './flags.ts'
import { explanationJson, explanationText } from './render/finding.ts'
import { renderInspect } from './render/inspect-format.ts'

interface Kind {
  readonly kind: 'task' | 'service' | 'node'
  readonly completes: 'tasks' | 'services' | 'nodes'
  readonly summary: string
  readonly description: string
  readonly example: { readonly what: string; readonly reference: string }
}

export function explainCommand({ kind, completes, summary, description, example }: Kind) {
  return defineCommand({
    name: `explain ${kind}`,
    summary,
    description,
    args: { usage: kind.toUpperCase(), min: 1, max: 1, completes },
    flags: { format: text("Format output: 'json', or a Go template", { short: 'f' }) },
    examples: [
      { what: example.what, command: `tsswarm explain ${kind} ${example.reference}` },
      {
        what: 'For programs',
        command: `tsswarm explain ${kind} --format json ${example.reference}`,
      },
    ],
    run: async (ctx, { flags, args }) => {
      const [reference = ''] = args
      const client = await ctx.connect()
      const answer = await client.call(ControlService.explain, { kind, reference })
      ctx.stdout.write(
        flags.format === undefined
          ? explanationText(answer)
          : renderInspect([explanationJson(answer)], flags.format),
      )
      return 0
    },
  })
}
