// Candidates for the word under the cursor: commands and flags from the registry, names from the daemon.
import { DaemonService } from '../proto/gen/tsswarm/v1/daemon.ts'
import { namespaceLabel } from '../proto/objects/stack.ts'
import type { Command } from './command.ts'
import type { CommandContext } from './context.ts'
import type { Completion, Flag, Flags } from './flags.ts'
import { globalFlags } from './global-flags.ts'
import {
  listNetworks,
  listNodes,
  listPayloads,
  listServices,
  listStackRevisions,
  listTasks,
} from './lists.ts'
import { type CommandGroup, groups, plainCommands } from './registry.ts'
import { ago } from './render/human.ts'
import { taskName } from './render/task-list.ts'

export interface Candidate {
  readonly word: string
  readonly about: string
}

/** `words` are those after the program's name; the last one is being typed and may be empty. */
export async function candidatesFor(
  ctx: CommandContext,
  words: readonly string[],
): Promise<readonly Candidate[]> {
  const last = words.at(-1) ?? ''
  // --network=we: the value is completed, and the word stays whole.
  const [, flag = '', value] = /^(--[\w-]+)=(.*)$/s.exec(last) ?? []
  const isValue = value !== undefined
  const typed = isValue ? value : last
  const before = [...words.slice(0, -1), ...(isValue ? [flag] : [])]
  const all = await unfiltered(ctx, before, typed)
  return all
    .filter(({ word }) => word !== '' && word.startsWith(typed))
    .map((found) => (isValue ? { ...found, word: `${flag}=${found.word}` } : found))
}

async function unfiltered(
  ctx: CommandContext,
  before: readonly string[],
  typed: string,
): Promise<readonly Candidate[]> {
  const top = afterFlags(globalFlags, before)
  if (top.open !== undefined) return []
  const [first, second] = top.args
  if (first === undefined) return typed.startsWith('-') ? flagWords(globalFlags) : topLevel()
  const plain = plainCommands.find((command) => command.name === first)
  if (plain !== undefined) {
    return await ofCommand(ctx, await plain.load(), afterWord(before, first), typed)
  }
  const group = groups.find((candidate) => candidate.name === first)
  if (group === undefined) return []
  if (second === undefined) return await verbs(group)
  const load = group.commands[group.aliases[second] ?? second]
  if (load === undefined) return []
  return await ofCommand(ctx, await load(), afterWord(afterWord(before, first), second), typed)
}

function afterWord(words: readonly string[], word: string): readonly string[] {
  return words.slice(words.indexOf(word) + 1)
}

async function ofCommand(
  ctx: CommandContext,
  command: Command,
  before: readonly string[],
  typed: string,
): Promise<readonly Candidate[]> {
  const { args, open } = afterFlags(command.flags, before)
  if (open !== undefined) return await values(ctx, open.completes, args)
  const ended = command.args.stopAtFirst === true && args.length > 0
  if (typed.startsWith('-') && !ended) return flagWords(command.flags)
  if (ended || args.length >= command.args.max) return []
  const { completes, thenCompletes = completes } = command.args
  return await values(ctx, args.length === 0 ? completes : thenCompletes, args)
}

/** Arguments so far, and the flag whose value is being typed. */
function afterFlags(
  flags: Flags,
  words: readonly string[],
): { readonly args: readonly string[]; readonly open: Flag<unknown> | undefined } {
  const args: string[] = []
  let open: Flag<unknown> | undefined
  for (const word of words) {
    if (open !== undefined) open = undefined
    else if (word.startsWith('-')) open = word.includes('=') ? undefined : valued(flags, word)
    else args.push(word)
  }
  return { args, open }
}

function valued(flags: Flags, word: string): Flag<unknown> | undefined {
  const flag = word.startsWith('--')
    ? flags[word.slice(2)]
    : Object.values(flags).find((candidate) => candidate.short === word.at(-1))
  return flag?.implied === undefined ? flag : undefined
}

function topLevel(): readonly Candidate[] {
  return [...groups, ...plainCommands].map(({ name, summary }) => ({ word: name, about: summary }))
}

async function verbs(group: CommandGroup): Promise<readonly Candidate[]> {
  return await Promise.all(
    Object.entries(group.commands).map(async ([word, load]) => ({
      word,
      about: (await load()).summary,
    })),
  )
}

function flagWords(flags: Flags): readonly Candidate[] {
  const known = Object.entries(flags).map(([name, flag]) => ({
    word: `--${name}`,
    about: flag.summary,
  }))
  const all = [...known, { word: '--help', about: 'Print usage' }]
  return all.sort((a, b) => (a.word < b.word ? -1 : 1))
}

async function values(
  ctx: CommandContext,
  completes: Completion | readonly string[] | undefined,
  args: readonly string[],
): Promise<readonly Candidate[]> {
  if (completes === undefined) return []
  if (typeof completes !== 'string') return completes.map((word) => ({ word, about: '' }))
  try {
    return await names(ctx, completes, args)
  } catch {
    // Without a daemon there are no names; the shell must not be bothered with why.
    return []
  }
}

const once = { retry: false, timeoutMs: 1_000 }

/** `args`: those before. */
async function names(
  ctx: CommandContext,
  kind: Completion,
  args: readonly string[] = [],
): Promise<readonly Candidate[]> {
  const client = await ctx.connect()
  switch (kind) {
    case 'services': {
      const services = await listServices(client, [], once)
      return services.map(({ service }) => ({
        word: service?.spec?.name ?? '',
        about: service?.spec?.task?.container?.image ?? '',
      }))
    }
    case 'nodes': {
      const { nodes } = await listNodes(client, [], once)
      const hosts = nodes.map(({ node }) => ({
        word: node?.description?.hostname ?? node?.id ?? '',
        about: node?.address ?? '',
      }))
      return [...hosts, { word: 'self', about: 'this node' }]
    }
    case 'networks': {
      const networks = await listNetworks(client, [], once)
      return networks.map(({ spec }) => ({ word: spec?.name ?? '', about: spec?.driver ?? '' }))
    }
    case 'secrets':
    case 'configs': {
      const payloads = await listPayloads(
        client,
        kind === 'secrets' ? 'secret' : 'config',
        {},
        once,
      )
      return payloads.map(({ payload }) => ({ word: payload?.spec?.name ?? '', about: '' }))
    }
    case 'tasks': {
      const running = [{ key: 'desired-state', values: ['running'] }]
      const tasks = await listTasks(client, running, once)
      return tasks.map((view) => ({ word: taskName(view, true), about: view.nodeHostname }))
    }
    case 'stacks': {
      const label = namespaceLabel
      const services = await listServices(client, [{ key: 'label', values: [label] }], once)
      const stacks = new Set(services.map(({ service }) => service?.spec?.labels[label] ?? ''))
      return [...stacks].map((word) => ({ word, about: '' }))
    }
    case 'revisions': {
      const revisions = await listStackRevisions(client, args[0] ?? '', once)
      const nowMs = ctx.clock.wallMs()
      return revisions
        .filter(({ kept }) => kept)
        .map(({ revision }) => ({
          word: String(revision?.revision ?? ''),
          about: ago(revision?.meta?.createdAtMs ?? 0, nowMs),
        }))
    }
    case 'targets': {
      const kinds = ['services', 'tasks'] as const
      return (await Promise.all(kinds.map((one) => names(ctx, one)))).flat()
    }
    case 'places': {
      const targets = await names(ctx, 'targets')
      return targets.map(({ word, about }) => ({ word: `${word}:`, about }))
    }
    case 'ends': {
      const kinds = ['tasks', 'services', 'nodes'] as const
      return (await Promise.all(kinds.map((kind) => names(ctx, kind)))).flat()
    }
    case 'volumes': {
      const kind = { $case: 'list', value: {} } as const
      const { volumes } = await client.call(DaemonService.volumes, { kind }, once)
      return volumes.map(({ name, driver }) => ({ word: name, about: driver }))
    }
    case 'images': {
      const { images } = await client.call(
        DaemonService.listImages,
        { reference: '', filters: [] },
        once,
      )
      return images.flatMap((image) => image.names.map((word) => ({ word, about: '' })))
    }
  }
}
