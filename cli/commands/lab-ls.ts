// `tsswarm lab ls`
import { defineCommand, noArguments } from '../command.ts'
import { bool, text } from '../flags.ts'
import { labName } from '../lab/command-deps.ts'
import { labNetwork, registryPlace } from '../lab/lab.ts'
import {
  defaultLabRoots,
  hostNames,
  hostPaths,
  type LabRecord,
  listLabs,
  requireLab,
} from '../lab/lab-record.ts'
import { runningPid } from '../lab/processes.ts'
import { registryFiles, registryPort } from '../lab/registry.ts'
import { hostAddress } from '../lab/topology.ts'
import { alignTable } from '../render/table.ts'

export const command = defineCommand({
  name: 'lab ls',
  summary: 'List labs and their hosts',
  args: noArguments,
  description:
    'The last line of a lab is its registry, which serves plain HTTP and holds lab/hello.',
  flags: {
    name: text('Only the lab of this name', { short: 'n' }),
    quiet: bool('Only the names of the labs', { short: 'q' }),
  },
  examples: [{ what: 'All labs of this machine', command: 'tsswarm lab ls' }],
  run: async (ctx, { flags }) => {
    const labs =
      flags.name === undefined
        ? listLabs(defaultLabRoots)
        : [requireLab(defaultLabRoots, labName(flags.name))]
    if (flags.quiet) {
      ctx.stdout.write(labs.map(({ name }) => `${name}\n`).join(''))
      return 0
    }
    ctx.stdout.write(alignTable(['LAB\tHOST\tADDRESS\tDAEMON', ...labs.flatMap(rows)]))
    return 0
  },
})

function rows(record: LabRecord): readonly string[] {
  const row = (host: string, address: string, pidFile: string): string => {
    const state = runningPid(pidFile) === undefined ? 'stopped' : 'running'
    return [record.name, host, address, state].join('\t')
  }
  const hosts = hostNames(record).map((host) => {
    const { pidFile } = hostPaths(defaultLabRoots, record.name, host)
    return row(host, hostAddress(labNetwork(record), host), pidFile)
  })
  const registry = registryPlace(defaultLabRoots, record)
  const address = `${registry.address}:${registryPort}`
  return [...hosts, row('registry', address, registryFiles(registry).pidFile)]
}
