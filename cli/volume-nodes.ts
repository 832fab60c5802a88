// Volumes of this host, of some nodes, or of all: who is asked, and what becomes of those that do not answer.
import { isErrorCode, SwarmError } from '../proto/errors.ts'
import { ControlService } from '../proto/gen/tsswarm/v1/control.ts'
import { DaemonService } from '../proto/gen/tsswarm/v1/daemon.ts'
import type { VolumeReply, VolumeRequest } from '../proto/gen/tsswarm/v1/volume.ts'
import type { CommandContext } from './context.ts'
import { bool, type FlagValues, list } from './flags.ts'
import { usage } from './parse-args.ts'

export const volumeNodeFlags = {
  node: list('On these nodes instead of this host', { takes: 'node', completes: 'nodes' }),
  'all-nodes': bool('On every node of the swarm'),
}

export type VolumeNodeFlags = FlagValues<typeof volumeNodeFlags>
export type VolumeQuestion = NonNullable<VolumeRequest['kind']>

export interface VolumeAnswer {
  /** Host name; undefined: this host, asked alone. */
  readonly node: string | undefined
  readonly reply: VolumeReply
}

/** Whether nodes are asked and not this host alone. */
export function asksNodes(flags: VolumeNodeFlags): boolean {
  return flags['all-nodes'] || flags.node.length > 0
}

/**
 * Asks, and answers as they come, each without a refusal. Of a node that gives none, why is on stderr, and the result is 1.
 * Errors: USAGE, and those of the host's own daemon.
 */
export async function forEachAnswer(
  ctx: CommandContext,
  flags: VolumeNodeFlags,
  kind: VolumeQuestion,
  take: (answer: VolumeAnswer) => void,
): Promise<number> {
  if (flags['all-nodes'] && flags.node.length > 0) {
    throw usage('--all-nodes is incompatible with --node: give one of them')
  }
  const client = await ctx.connect()
  if (!asksNodes(flags)) {
    take({ node: undefined, reply: await client.call(DaemonService.volumes, { kind }) })
    return 0
  }
  let failures = 0
  const request = { nodes: flags.node, request: { kind } }
  for await (const message of client.stream(ControlService.nodeVolumes, [request])) {
    if (message.kind?.$case !== 'answer') continue
    const { name, err, reply } = message.kind.value
    if (err === '' && reply !== undefined && reply.error === '') {
      take({ node: name, reply })
      continue
    }
    const refused = reply !== undefined && reply.error !== ''
    const why = refused ? reply.error : `no answer: ${err}`
    if (refused && flags.node.length === 1) throw refusal(name, reply)
    failures += 1
    ctx.stderr.write(`Error: node ${name}: ${why}\n`)
  }
  return failures === 0 ? 0 : 1
}

function refusal(node: string, { error, errorCode }: VolumeReply): SwarmError {
  return new SwarmError(isErrorCode(errorCode) ? errorCode : 'INTERNAL', `node ${node}: ${error}`)
}
