// The commands of secrets and configs: create, ls, inspect, rm, update and history, each once for both kinds.
import { payloadJson } from '../proto/docker/payload-json.ts'
import type { Payload } from '../proto/gen/tsswarm/v1/objects.ts'
import { newId } from '../proto/lib/ids.ts'
import type { PayloadKind } from '../proto/spec/payload-spec.ts'
import { defineCommand } from './command.ts'
import {
  checkInspectFlags,
  forEachArgument,
  incomplete,
  inspectFlags,
  listFlags,
  listFlagsBy,
  parseFilters,
} from './common.ts'
import { choice, list } from './flags.ts'
import { listPayloads } from './lists.ts'
import { getPayload, payloadMethods, readData } from './payload-calls.ts'
import { read } from './read-flag.ts'
import { renderInspect } from './render/inspect-format.ts'
import { renderList } from './render/list-format.ts'
import {
  historyRows,
  historyView,
  payloadListView,
  payloadRows,
  prettyPayload,
} from './render/payload-list.ts'
import { changeMap, parseMap } from './service/assignments.ts'

const templateDriver = choice('Template driver: golang', ['golang'])

function completesOf(kind: PayloadKind): 'secrets' | 'configs' {
  return kind === 'secret' ? 'secrets' : 'configs'
}

export function createCommand(kind: PayloadKind) {
  return defineCommand({
    name: `${kind} create`,
    summary: `Create a ${kind} from a file or STDIN as content`,
    description:
      kind === 'secret'
        ? 'At most 500 KiB. Nobody is shown it again: it is given to containers only, in memory.'
        : 'At most 1000 KiB. "config inspect" shows it; containers have it in memory.',
    args: { usage: `${kind.toUpperCase()} FILE|-`, min: 2, max: 2 },
    flags: {
      label: list(`${kind === 'secret' ? 'Secret' : 'Config'} labels`, { short: 'l' }),
      'template-driver': templateDriver,
    },
    absent: (name) =>
      name === 'driver' ? 'external stores are not available: give the data itself' : undefined,
    examples: [
      { what: 'From a file', command: `tsswarm ${kind} create db ./db.txt` },
      {
        what: 'From another program',
        command: `openssl rand -hex 20 | tsswarm ${kind} create db -`,
      },
    ],
    run: async (ctx, { flags, args }) => {
      const [name = '', path = ''] = args
      const labels = read('label', () => parseMap('label', flags.label))
      const data = await readData(ctx, kind, path)
      const client = await ctx.connect()
      const { payload } = await client.call(payloadMethods(kind).create, {
        requestId: newId(ctx.random),
        spec: { name, labels, data, templateDriver: flags['template-driver'] ?? '' },
      })
      if (payload === undefined) throw incomplete(kind)
      ctx.stdout.write(`${payload.id}\n`)
      return 0
    },
  })
}

export function listCommand(kind: PayloadKind) {
  return defineCommand({
    name: `${kind} ls`,
    summary: `List ${kind}s`,
    description: `Filters: id, name (its beginning), names (all of it), label. Each ${kind} is listed once, as its present version.`,
    args: { usage: '', min: 0, max: 0 },
    flags: listFlagsBy('id=', 'name=', 'names=', 'label='),
    examples: [
      { what: `All ${kind}s`, command: `tsswarm ${kind} ls` },
      { what: 'Those of a label', command: `tsswarm ${kind} ls --filter label=tier=db` },
    ],
    run: async (ctx, { flags }) => {
      const filters = parseFilters(flags.filter)
      const client = await ctx.connect()
      const views = await listPayloads(client, kind, { filters })
      const rows = payloadRows(views, ctx.clock.wallMs())
      ctx.stdout.write(renderList(payloadListView(kind), rows, flags))
      return 0
    },
  })
}

export function inspectCommand(kind: PayloadKind) {
  const shown = kind === 'secret' ? 'What it holds is never shown.' : 'Data is in base64.'
  const usage = kind.toUpperCase()
  return defineCommand({
    name: `${kind} inspect`,
    summary: `Display detailed information on one or more ${kind}s`,
    description: `A name means the present version, an id any. ${shown}`,
    args: { usage: `${usage} [${usage}...]`, min: 1, max: 1_000, completes: completesOf(kind) },
    flags: inspectFlags,
    examples: [
      { what: `A ${kind}`, command: `tsswarm ${kind} inspect db` },
      { what: 'For people', command: `tsswarm ${kind} inspect --pretty db` },
    ],
    run: async (ctx, { flags, args }) => {
      checkInspectFlags(flags)
      const client = await ctx.connect()
      const found: Payload[] = []
      const exit = await forEachArgument(ctx, args, async (reference) => {
        const { payload } = await getPayload(client, kind, reference)
        if (payload !== undefined) found.push(payload)
      })
      ctx.stdout.write(
        flags.pretty
          ? found.map((one) => prettyPayload(kind, one)).join('\n')
          : renderInspect(
              found.map((one) => payloadJson(kind, one)),
              flags.format,
            ),
      )
      return exit
    },
  })
}

export function removeCommand(kind: PayloadKind) {
  const usage = kind.toUpperCase()
  return defineCommand({
    name: `${kind} rm`,
    summary: `Remove one or more ${kind}s`,
    description: `All versions of it. A ${kind} that a service has is not removed.`,
    args: { usage: `${usage} [${usage}...]`, min: 1, max: 1_000, completes: completesOf(kind) },
    flags: {},
    examples: [{ what: `A ${kind}`, command: `tsswarm ${kind} rm db` }],
    run: async (ctx, { args }) => {
      const client = await ctx.connect()
      return await forEachArgument(ctx, args, async (reference) => {
        const request = { requestId: newId(ctx.random), reference }
        await client.call(payloadMethods(kind).remove, request)
        ctx.stdout.write(`${reference}\n`)
      })
    },
  })
}

export function updateCommand(kind: PayloadKind) {
  return defineCommand({
    name: `${kind} update`,
    summary: `Give a ${kind} other data, or other labels`,
    description:
      'Other data makes a new version. Services that have an earlier one are updated to it, each as its own update policy says; ' +
      'the others are left alone, and "service rollback" goes back to the version before. Of old versions the cluster keeps as many ' +
      `as "swarm update --version-history-limit" says, and those still in use. Prints the id of the present version.`,
    args: {
      usage: `${kind.toUpperCase()} [FILE|-]`,
      min: 1,
      max: 2,
      completes: completesOf(kind),
    },
    flags: {
      'label-add': list(`Add or update a label`),
      'label-rm': list('Remove a label by its key'),
      'template-driver': templateDriver,
    },
    examples: [
      { what: 'Other data', command: `tsswarm ${kind} update db ./db.txt` },
      { what: 'Labels', command: `tsswarm ${kind} update --label-add tier=db db` },
    ],
    run: async (ctx, { flags, args }) => {
      const [reference = '', path] = args
      const added = read('label-add', () => parseMap('label', flags['label-add']))
      const data = path === undefined ? new Uint8Array(0) : await readData(ctx, kind, path)
      const client = await ctx.connect()
      const found = await getPayload(client, kind, reference)
      const present = found.present
        ? found
        : await getPayload(client, kind, found.payload?.spec?.name ?? reference)
      const { spec: old, meta } = present.payload ?? {}
      const { name = '', labels = {}, templateDriver: driver = '' } = old ?? {}
      const spec = {
        name,
        labels: changeMap(labels, flags['label-rm'], added),
        data,
        templateDriver: flags['template-driver'] ?? driver,
      }
      const answer = await client.call(payloadMethods(kind).update, {
        requestId: newId(ctx.random),
        reference: name,
        version: meta?.version ?? 0,
        spec,
      })
      if (answer.payload === undefined) throw incomplete(kind)
      ctx.stdout.write(`${answer.payload.id}\n`)
      const services = [...answer.services].sort()
      if (services.length > 0) ctx.stderr.write(`Updated services: ${services.join(', ')}\n`)
      return 0
    },
  })
}

export function historyCommand(kind: PayloadKind) {
  return defineCommand({
    name: `${kind} history`,
    summary: `Show the versions of a ${kind}`,
    description: 'The newest first, each with the services and the number of tasks that have it.',
    args: { usage: kind.toUpperCase(), min: 1, max: 1, completes: completesOf(kind) },
    flags: { format: listFlags.format, quiet: listFlags.quiet },
    examples: [{ what: 'Who has which version', command: `tsswarm ${kind} history db` }],
    run: async (ctx, { flags, args }) => {
      const [reference = ''] = args
      const client = await ctx.connect()
      const { payload } = await getPayload(client, kind, reference)
      const filters = [{ key: 'names', values: [payload?.spec?.name ?? ''] }]
      const views = await listPayloads(client, kind, { filters, allVersions: true })
      ctx.stdout.write(renderList(historyView, historyRows(views, ctx.clock.wallMs()), flags))
      return 0
    },
  })
}
