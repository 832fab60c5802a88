// tsswarm events
import { hasCode } from '../../proto/errors.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { defineCommand, noArguments } from '../command.ts'
import { parseFilters } from '../common.ts'
import { bool, list, text } from '../flags.ts'
import { read } from '../read-flag.ts'
import { eventJson, eventLine } from '../render/event-line.ts'
import { renderInspectOne } from '../render/inspect-format.ts'
import { parseTimeMs } from '../units.ts'

export const command = defineCommand({
  name: 'events',
  summary: 'Get real time events of the swarm',
  description:
    'Events of services, nodes, networks, tasks and their containers, in the order in which the swarm decided them; on any manager. ' +
    'Managers remember some thousand. Filters: type, event, service, node, network, task, container, image, label, scope.',
  args: noArguments,
  flags: {
    filter: list('Filter output based on conditions provided', {
      short: 'f',
      completes: [
        ...['type=', 'event=', 'service=', 'node=', 'network=', 'task=', 'container='],
        ...['image=', 'label=', 'scope=swarm'],
      ],
    }),
    format: text("Format output: 'json', or a Go template an event"),
    'no-trunc': bool('Do not truncate IDs'),
    since: text('Show events since timestamp (2024-01-02T13:23:37Z) or relative (42m)'),
    until: text('Stream events until this timestamp'),
  },
  examples: [
    { what: 'What happens now', command: 'tsswarm events' },
    {
      what: 'Containers of a service that ended in the last hour',
      command: 'tsswarm events --since 1h --until 0s --filter service=web --filter event=die',
    },
    { what: 'For programs', command: 'tsswarm events --format json' },
  ],
  run: async (ctx, { flags }) => {
    const { since, until, format } = flags
    const nowMs = ctx.clock.wallMs()
    const timeOf = (flag: string, value: string | undefined): number | undefined =>
      value === undefined
        ? undefined
        : Math.max(
            0,
            read(flag, () => parseTimeMs(value, nowMs), value),
          )
    const request = {
      sinceMs: timeOf('since', since),
      untilMs: timeOf('until', until),
      filters: parseFilters(flags.filter),
    }
    const client = await ctx.connect()
    try {
      for await (const { events } of client.stream(ControlService.watchEvents, [request])) {
        for (const event of events) {
          const isPlain = format === undefined || format === ''
          const line = isPlain
            ? eventLine(event, !flags['no-trunc'])
            : renderInspectOne(eventJson(event), format)
          ctx.stdout.write(line)
        }
      }
    } catch (err) {
      // Ctrl-C is how watching ends.
      if (!(ctx.signal.aborted && hasCode(err, 'CANCELLED'))) throw err
    }
    return 0
  },
})
