// tsswarm service logs

import { hasCode } from '../../proto/errors.ts'
import { ControlService, type LogLine } from '../../proto/gen/tsswarm/v1/control.ts'
import { defineCommand } from '../command.ts'
import { bool, text } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { read } from '../read-flag.ts'
import { logDetails, logPrefix, logTimestamp, rawDetails } from '../render/log-line.ts'
import { parseTimeMs } from '../units.ts'

export const command = defineCommand({
  name: 'service logs',
  summary: 'Fetch the logs of a service or task',
  description:
    'Logs come from the nodes that ran the tasks. A task whose node cannot be reached is named on stderr; the others go on.',
  args: { usage: 'SERVICE|TASK', min: 1, max: 1, completes: 'targets' },
  flags: {
    details: bool('Show extra details provided to logs'),
    follow: bool('Follow log output', { short: 'f' }),
    'no-resolve': bool('Do not map IDs to Names in output'),
    'no-task-ids': bool('Do not include task IDs in output'),
    'no-trunc': bool('Do not truncate output'),
    raw: bool('Do not neatly format logs'),
    since: text('Show logs since timestamp (2024-01-02T13:23:37Z) or relative (42m)'),
    tail: text('Number of lines to show from the end of the logs of each task', {
      short: 'n',
      shown: 'all',
    }),
    timestamps: bool('Show timestamps', { short: 't' }),
  },
  examples: [
    {
      what: 'The last lines of every task, and what follows',
      command: 'tsswarm service logs -f -n 10 web',
    },
    { what: 'One task, of the last hour', command: 'tsswarm service logs --since 1h web.1' },
  ],
  run: async (ctx, { flags, args }) => {
    const [reference = ''] = args
    const { since } = flags
    const nowMs = ctx.clock.wallMs()
    const sinceMs = since === undefined ? 0 : read('since', () => parseTimeMs(since, nowMs), since)
    const tail = tailOf(flags.tail)
    const client = await ctx.connect()
    const lines = client.stream(ControlService.serviceLogs, [
      {
        reference,
        follow: flags.follow,
        sinceMs: Math.max(sinceMs, 0),
        tail,
        stdout: true,
        stderr: true,
        details: flags.details,
      },
    ])
    let exit = 0
    try {
      for await (const line of lines) {
        if (line.err !== '') {
          const node = line.nodeHostname === '' ? '' : ` on ${line.nodeHostname}`
          ctx.stderr.write(`Error: ${line.taskName || line.taskId}${node}: ${line.err}\n`)
          exit = 1
        } else {
          const out = line.stderr ? ctx.stderr : ctx.stdout
          out.write(formatLine(line, flags))
        }
      }
    } catch (err) {
      // Ctrl-C is how following ends.
      if (!(flags.follow && ctx.signal.aborted && hasCode(err, 'CANCELLED'))) throw err
    }
    return exit
  },
})

const newline = 0x0a

function tailOf(value: string | undefined): number | undefined {
  if (value === undefined || value === 'all') return undefined
  if (/^\d+$/.test(value) && Number(value) <= 4_294_967_295) return Number(value)
  throw usage(`invalid argument "${value}" for "-n, --tail" flag: must be a number or "all"`)
}

interface LogFlags {
  readonly details: boolean
  readonly raw: boolean
  readonly timestamps: boolean
  readonly 'no-task-ids': boolean
  readonly 'no-trunc': boolean
  readonly 'no-resolve': boolean
}

/** The container's bytes stay as they are, whatever they mean. */
function formatLine(line: LogLine, flags: LogFlags): Uint8Array {
  const body = line.text.at(-1) === newline ? line.text.subarray(0, -1) : line.text
  const time = flags.timestamps ? `${logTimestamp(line)} ` : ''
  if (flags.raw) return joined(flags.details ? `${time}${rawDetails(line)} ` : time, body)
  const prefix = logPrefix(line, {
    taskIds: !flags['no-task-ids'],
    truncate: !flags['no-trunc'],
    resolve: !flags['no-resolve'],
  })
  const details = flags.details ? `${logDetails(line)} ` : ''
  return joined(`${time}${prefix}    | ${details}`, body)
}

function joined(start: string, body: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(start), body, Buffer.from('\n')])
}
