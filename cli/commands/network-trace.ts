// tsswarm network trace
import { ControlService, TraceVerdict } from '../../proto/gen/tsswarm/v1/control.ts'
import { defineCommand } from '../command.ts'
import { troubleExit, withTroubleExit } from '../exit-trouble.ts'
import { choice, text } from '../flags.ts'
import { renderInspectOne } from '../render/inspect-format.ts'
import { traceJson, traceText } from '../render/trace.ts'

/** Several nodes one after another, each of which reads its whole kernel. */
const traceMs = 120_000

export const command = defineCommand({
  name: 'network trace',
  summary: "Follow a packet's way through the swarm and say where it would end",
  description:
    'SRC is a task (name, id or beginning of an id), a service (one of its tasks), a node, or an address. DST is a name as SRC ' +
    'knows it, a service, task, node or address, with or without a port, or ":PORT", a published port of the node of SRC; PORT/udp and ' +
    'PORT/sctp are ports of these, as with --protocol. ' +
    'Names are asked of the resolver, routes and rules of the kernels of the nodes on the way. Nothing is sent.\n\n' +
    'Exit code 0: it would be delivered. 1: it would not. 2: that is not known, or the trace failed.',
  args: { usage: 'SRC DST[:PORT[/PROTOCOL]]', min: 2, max: 2, completes: 'ends' },
  flags: {
    protocol: choice('Protocol', ['tcp', 'udp', 'sctp'], { short: 'p', shown: 'tcp' }),
    format: text("Format output: 'json', or a Go template", { short: 'f' }),
  },
  examples: [
    {
      what: 'Why does web not reach its database?',
      command: 'tsswarm network trace web.1 db:5432',
    },
    {
      what: 'A published port, from one node to another',
      command: 'tsswarm network trace w1 w2:8080',
    },
    { what: 'The same on the node itself', command: 'tsswarm network trace w2 :8080' },
    { what: 'A port of UDP', command: 'tsswarm network trace web.1 dns:53/udp' },
    { what: 'From a client outside', command: 'tsswarm network trace 203.0.113.7 w1:8080' },
    {
      what: 'Only where it would end',
      command: "tsswarm network trace -f '{{.Text}}' web.1 10.0.1.5",
    },
  ],
  run: async (ctx, { flags, args }) =>
    await withTroubleExit(ctx, async () => {
      const [source = '', destination = ''] = args
      const request = { source, destination, protocol: flags.protocol ?? '' }
      const client = await ctx.connect()
      const options = { timeoutMs: traceMs }
      const trace = await client.call(ControlService.traceNetwork, request, options)
      const { format } = flags
      const isPlain = format === undefined || format === ''
      ctx.stdout.write(isPlain ? traceText(trace) : renderInspectOne(traceJson(trace), format))
      if (trace.verdict === TraceVerdict.UNKNOWN) return troubleExit
      return trace.verdict === TraceVerdict.DELIVERED ? 0 : 1
    }),
})
