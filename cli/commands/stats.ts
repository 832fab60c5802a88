// tsswarm stats
import { hasCode } from '../../proto/errors.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import type { TaskUsage } from '../../proto/gen/tsswarm/v1/streams.ts'
import { defineCommand } from '../command.ts'
import { formatHelp } from '../common.ts'
import type { CommandContext } from '../context.ts'
import { bool, text } from '../flags.ts'
import { renderList } from '../render/list-format.ts'
import { statsRows, statsView } from '../render/stats.ts'

const intervalMs = 1_000
/** A task that was not heard of for so long has gone. */
const staleMs = 6_000
const clearScreen = '\x1b[2J\x1b[H'

export const command = defineCommand({
  name: 'stats',
  summary: 'Display a live stream of what running tasks use',
  description:
    'TARGET is a service (all running tasks of it), SERVICE.SLOT, or a task; without one all running tasks of the cluster are shown. CPU is a share of one ' +
    'processor. A task whose node cannot be reached has dashes, and is named on stderr with --no-stream.',
  args: { usage: '[TARGET...]', min: 0, max: 1_000, completes: 'targets' },
  absent: (name) => (name === 'all' ? 'only running tasks use something' : undefined),
  flags: {
    format: text(formatHelp),
    'no-stream': bool('Disable streaming stats and only pull the first result'),
    'no-trunc': bool('Do not truncate output'),
  },
  examples: [
    { what: 'All tasks, refreshed', command: 'tsswarm stats' },
    { what: 'A service, once', command: 'tsswarm stats --no-stream web' },
    {
      what: 'Memory alone',
      command: "tsswarm stats --no-stream --format '{{.Name}} {{.MemUsage}}' web",
    },
  ],
  run: async (ctx, { flags, args: references }) => {
    const once = flags['no-stream']
    const shown = { format: flags.format, truncate: !flags['no-trunc'] }
    const client = await ctx.connect()
    const request = { references, intervalMs, once }
    const samples = client.stream(ControlService.taskUsages, [request])
    const table = new Table(ctx, shown)
    try {
      for await (const { tasks } of samples) {
        table.note(tasks)
        if (!once) table.draw()
      }
    } catch (err) {
      // Ctrl-C is how looking ends.
      if (!(ctx.signal.aborted && hasCode(err, 'CANCELLED'))) throw err
      return 0
    }
    return once ? table.print() : 0
  },
})

interface Shown {
  readonly format: string | undefined
  readonly truncate: boolean
}

class Table {
  readonly #ctx: CommandContext
  readonly #shown: Shown
  readonly #tasks = new Map<string, { readonly usage: TaskUsage; readonly atMs: number }>()

  constructor(ctx: CommandContext, shown: Shown) {
    this.#ctx = ctx
    this.#shown = shown
  }

  note(tasks: readonly TaskUsage[]): void {
    const atMs = this.#ctx.clock.monotonicMs()
    for (const usage of tasks) this.#tasks.set(usage.taskId, { usage, atMs })
    for (const [id, one] of this.#tasks) if (atMs - one.atMs > staleMs) this.#tasks.delete(id)
  }

  draw(): void {
    const { stdout } = this.#ctx
    stdout.write(`${stdout.isTerminal ? clearScreen : ''}${this.#text()}`)
  }

  /** Once: also what is not known, and why. The exit code. */
  print(): number {
    const { stdout, stderr } = this.#ctx
    stdout.write(this.#text())
    const silent = [...this.#tasks.values()].filter(({ usage }) => usage.err !== '')
    for (const { usage } of silent) {
      stderr.write(`Error: ${usage.taskName} on ${usage.nodeHostname}: ${usage.err}\n`)
    }
    return silent.length === 0 ? 0 : 1
  }

  #text(): string {
    const usages = [...this.#tasks.values()].map(({ usage }) => usage)
    const { format, truncate } = this.#shown
    return renderList(statsView, statsRows(usages, truncate), { format })
  }
}
