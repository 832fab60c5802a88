// tsswarm info

import type { Json } from '../../proto/docker/json.ts'
import { SwarmError } from '../../proto/errors.ts'
import { DaemonService, type InfoResponse } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { NodeState } from '../../proto/gen/tsswarm/v1/objects.ts'
import type { Client } from '../client.ts'
import { defineCommand, noArguments } from '../command.ts'
import { text } from '../flags.ts'
import { listNodes } from '../lists.ts'
import { binarySize, cpuCount } from '../render/human.ts'
import { renderInspectOne } from '../render/inspect-format.ts'

export const command = defineCommand({
  name: 'info',
  summary: 'Display information on this host and its swarm',
  args: noArguments,
  flags: { format: text("Format output: 'json', or a Go template", { short: 'f' }) },
  examples: [
    { what: 'For people', command: 'tsswarm info' },
    {
      what: 'Is this host in a swarm?',
      command: "tsswarm info --format '{{.Swarm.LocalNodeState}}'",
    },
  ],
  run: async (ctx, { flags }) => {
    const client = await ctx.connect()
    const info = await client.call(DaemonService.info, {})
    const counts = info.controlAvailable ? await countNodes(client) : undefined
    if (flags.format !== undefined) {
      ctx.stdout.write(renderInspectOne(infoJson(info, counts), flags.format))
      return 0
    }
    ctx.stdout.write(infoText(info, counts))
    return 0
  },
})

type Counts =
  | {
      readonly kind: 'known'
      readonly nodes: number
      readonly managers: number
      readonly ready: number
    }
  /** For example while there is no leader: information must not fail for that. */
  | { readonly kind: 'unknown'; readonly why: string }

async function countNodes(client: Client): Promise<Counts> {
  try {
    const { nodes } = await listNodes(client, [], { retry: false, timeoutMs: 5_000 })
    return {
      kind: 'known',
      nodes: nodes.length,
      managers: nodes.filter((view) => view.node?.manager !== undefined).length,
      ready: nodes.filter((view) => view.node?.state === NodeState.READY).length,
    }
  } catch (err) {
    if (!(err instanceof SwarmError)) throw err
    return { kind: 'unknown', why: err.message }
  }
}

function infoJson(info: InfoResponse, counts: Counts | undefined): Json {
  const { description } = info
  const known = counts?.kind === 'known' ? counts : undefined
  return {
    Name: description?.hostname ?? '',
    ServerVersion: info.version,
    StateDir: info.stateDir,
    NCPU: (description?.resources?.nanoCpus ?? 0) / 1e9,
    MemTotal: description?.resources?.memoryBytes ?? 0,
    OSType: description?.platform?.os ?? '',
    Architecture: description?.platform?.architecture ?? '',
    Labels: Object.entries(description?.engineLabels ?? {}).map(
      ([key, value]) => `${key}=${value}`,
    ),
    Swarm: {
      NodeID: info.nodeId,
      NodeAddr: info.nodeAddress,
      LocalNodeState: info.swarmState,
      ControlAvailable: info.controlAvailable,
      LeaderNodeID: info.leaderNodeId,
      BusNodeID: info.busServerNodeId,
      BusError: info.busFailure,
      Problems: (description?.conditions ?? []).map(({ message }) => message),
      Error: counts?.kind === 'unknown' ? counts.why : info.error,
      RemoteManagers: info.managerAddresses.map((address) => ({ Addr: address })),
      Nodes: known?.nodes ?? 0,
      Managers: known?.managers ?? 0,
      Cluster: { ID: info.clusterId },
    },
  }
}

function infoText(info: InfoResponse, counts: Counts | undefined): string {
  const { description } = info
  const resources = description?.resources
  const lines = [
    `Name: ${description?.hostname ?? ''}`,
    `Server Version: ${info.version}`,
    `OS/Arch: ${description?.platform?.os ?? ''}/${description?.platform?.architecture ?? ''}`,
    `CPUs: ${cpuCount(resources?.nanoCpus ?? 0)}`,
    `Total Memory: ${binarySize(resources?.memoryBytes ?? 0)}`,
    `State Dir: ${info.stateDir}`,
    `Swarm: ${info.swarmState}`,
    ...(info.swarmState === 'inactive' ? [] : swarmLines(info, counts)),
  ]
  return `${lines.join('\n')}\n`
}

function busText({ busServerNodeId, busFailure }: InfoResponse): string {
  if (busServerNodeId !== '') return `that of ${busServerNodeId}`
  return busFailure === '' ? 'none yet' : `none (${busFailure})`
}

function swarmLines(info: InfoResponse, counts: Counts | undefined): readonly string[] {
  const errors = [info.error, counts?.kind === 'unknown' ? counts.why : '']
  return [
    ` NodeID: ${info.nodeId}`,
    ` ClusterID: ${info.clusterId}`,
    ` Is Manager: ${info.controlAvailable}`,
    ...(info.controlAvailable ? [` Leader: ${info.leaderNodeId || 'none known'}`] : []),
    ...(counts?.kind === 'known'
      ? [` Managers: ${counts.managers}`, ` Nodes: ${counts.nodes} (${counts.ready} ready)`]
      : []),
    ` Node Address: ${info.nodeAddress}`,
    ` Bus: ${busText(info)}`,
    ...(info.managerAddresses.length === 0
      ? []
      : [' Manager Addresses:', ...info.managerAddresses.map((address) => `  ${address}`)]),
    ...(info.description?.conditions ?? []).map(({ message }) => ` Problem: ${message}`),
    ...errors.filter((text) => text !== '').map((text) => ` Error: ${text}`),
    ...(counts?.kind === 'known' && counts.managers === 2
      ? [' Warning: two managers cannot lose one; use one, three or five']
      : []),
  ]
}
