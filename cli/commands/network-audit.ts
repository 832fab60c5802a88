// tsswarm network audit
import { SwarmError } from '../../proto/errors.ts'
import { type AuditedNode, ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { withTroubleExit } from '../exit-trouble.ts'
import { bool, list, text } from '../flags.ts'
import { auditJson, auditLines, auditSummary } from '../render/audit.ts'
import { renderInspectOne } from '../render/inspect-format.ts'

export const command = defineCommand({
  name: 'network audit',
  summary: 'Compare the network of every node with what it should be',
  description:
    'Every node compares its kernel (devices, addresses, routes, neighbours, forwarding entries, rules, nft tables) with what it ' +
    'should hold, and says what of its host stands in the way: firewalls, missing kernel features, nodes that do not answer ' +
    'through VXLAN. What nodes were told is compared with the swarm. Nothing is changed; nodes mend most differences by ' +
    'themselves within a second or two, so what they mended is told too.\n\n' +
    'Exit code 0: nothing differs. 1: something does. 2: a node did not answer, or the audit failed.',
  args: { usage: '[NETWORK]', min: 0, max: 1, completes: 'networks' },
  flags: {
    node: list('Audit these nodes only (default: all, or all with something on NETWORK)', {
      short: 'n',
      takes: 'node',
      completes: 'nodes',
    }),
    format: text("Format output: 'json', or a Go template a node", { short: 'f' }),
    verbose: bool('Show all that nodes remember of what they mended', { short: 'v' }),
  },
  examples: [
    { what: 'Is the network of all nodes as it should be?', command: 'tsswarm network audit' },
    { what: 'What concerns one network', command: 'tsswarm network audit back' },
    {
      what: 'Two nodes, for programs',
      command: 'tsswarm network audit --node w1 --node w2 --format json',
    },
    {
      what: 'How much each node mended',
      command: "tsswarm network audit --format '{{.Node}} {{.Healing.Mended}}'",
    },
  ],
  run: async (ctx, { flags, args }) =>
    await withTroubleExit(ctx, async () => {
      const [network = ''] = args
      const client = await ctx.connect()
      const request = { network, nodes: flags.node }
      const answers = new Answers(ctx, flags)
      try {
        for await (const { kind } of client.stream(ControlService.auditNetwork, [request])) {
          if (kind?.$case === 'asked') answers.begin(kind.value.names)
          if (kind?.$case === 'node') answers.take(kind.value)
        }
      } finally {
        answers.clearProgress()
      }
      return answers.end()
    }),
})

/** Prints answers as they come, with who is still waited for below them on a terminal. */
class Answers {
  readonly #ctx: CommandContext
  readonly #flags: { readonly format: string | undefined; readonly verbose: boolean }
  readonly #answered: AuditedNode[] = []
  #waiting: string[] = []
  #asked = 0

  constructor(
    ctx: CommandContext,
    flags: { readonly format: string | undefined; readonly verbose: boolean },
  ) {
    this.#ctx = ctx
    this.#flags = flags
  }

  begin(names: readonly string[]): void {
    this.#asked = names.length
    this.#waiting = [...names]
    this.#showProgress()
  }

  take(node: AuditedNode): void {
    this.#answered.push(node)
    const at = this.#waiting.indexOf(node.name)
    if (at >= 0) this.#waiting.splice(at, 1)
    this.clearProgress()
    const { format, verbose } = this.#flags
    const isPlain = format === undefined || format === ''
    const written = isPlain
      ? auditLines(node, verbose)
          .map((line) => `${line}\n`)
          .join('')
      : renderInspectOne(auditJson(node), format)
    this.#ctx.stdout.write(written)
    this.#showProgress()
  }

  /** Exit code. Errors: INTERNAL when the answer was cut short. */
  end(): number {
    if (this.#answered.length < this.#asked) {
      const text = `the answer ended before ${this.#waiting.join(', ')} had answered: try again`
      throw new SwarmError('UNAVAILABLE', text)
    }
    const { format } = this.#flags
    if (format === undefined || format === '') {
      this.#ctx.stdout.write(`${auditSummary(this.#answered)}\n`)
    }
    if (this.#answered.some(({ err }) => err !== '')) return 2
    return this.#answered.some(({ findings }) => findings.length > 0) ? 1 : 0
  }

  clearProgress(): void {
    if (this.#ctx.stderr.isTerminal) this.#ctx.stderr.write('\r\u001b[K')
  }

  #showProgress(): void {
    const { stderr } = this.#ctx
    if (!stderr.isTerminal || this.#waiting.length === 0) return
    const done = this.#asked - this.#waiting.length
    const line = `${done} of ${this.#asked} nodes answered, waiting for ${this.#waiting.join(', ')}`
    stderr.write(line.slice(0, stderr.columns - 1))
  }
}
